"""Several models over the same clips: what each says, their mean or stack, and the spread."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from distilmos_plugin import __version__
from distilmos_plugin.errors import ConfigError, some
from distilmos_plugin.scoring.predictor import READERS, Predictor
from distilmos_plugin.scoring.recordings import as_clips
from distilmos_plugin.scoring.results import Score, deviation_column


@dataclass(frozen=True)
class Stack:
    """How the scores of the models become one: ``intercept + sum(weights * scores)``.

    Attributes:
        weights: one a model.
        intercept: in the target's unit.
    """

    weights: tuple[float, ...]
    intercept: float

    def __call__(self, scores: Sequence[float]) -> float:
        return self.intercept + math.fsum(weight * score for weight, score in zip(self.weights, scores, strict=True))


@dataclass(frozen=True)
class Identity:
    """Of an ensemble that was released as one model.

    Attributes:
        name, digest: for the signature.
        about: one line on the model, for its users.
        stacks: target -> stack; of other targets the mean is taken.
    """

    name: str
    digest: str
    about: str = ""
    stacks: Mapping[str, Stack] = field(default_factory=dict)


class Ensemble:
    """Scores clips with several models, each as it would alone.

    For every target ``x``: ``x`` is the mean over the models that predict it, or their stack; ``x_sd`` the models' standard
    deviation (n - 1; only where there are two); ``x_std``, where all of them predict standard deviations, that of the mixture
    of their distributions about ``x``: it holds their own and their disagreement (Lakshminarayanan, Pritzel, Blundell, 2017);
    and, unless the ensemble is released as one model, ``x@<model>`` the score of each. A clip that one of them cannot score
    has no score.

    Args:
        predictors: no two alike, and at least two unless the ensemble is released as one model.
        identity: of an ensemble that is released as one model.
        source: where a downloaded model came from.

    Attributes:
        targets: what at least one of the models predicts.
        columns: of the results, in this order.

    Raises:
        ConfigError: if a model comes twice.
    """

    def __init__(self, predictors: Sequence[Predictor | Ensemble], identity: Identity | None = None, source: str = "") -> None:
        self.predictors, self.identity, self.source = tuple(predictors), identity, source
        self.name = identity.name if identity else "+".join(item.name for item in predictors)
        self.digest = identity.digest if identity else "+".join(item.digest for item in predictors)
        self.about = identity.about if identity else ""
        twice = [label for label, count in Counter(map(_full_label, predictors)).items() if count > 1]
        if twice:
            raise ConfigError(f"--model: {some(twice)} comes twice; name each model once")
        names = Counter(predictor.name for predictor in predictors)
        self._labels = [item.name if names[item.name] == 1 else _full_label(item) for item in predictors]
        self.targets = tuple(dict.fromkeys(target for predictor in self.predictors for target in predictor.targets))
        self.columns = tuple(column for target in self.targets for column in self._columns(target))

    @property
    def signature(self) -> str:
        """The models' signatures field by field, joined by ``+`` where they differ; a released ensemble has its own name."""
        fields = zip(*(predictor.signature.split("|") for predictor in self.predictors), strict=True)
        head, model, version, *rest = map(_joined, fields)
        if self.identity:
            model, version = f"model:{_full_label(self)}", f"v:{__version__}"
        return "|".join([head, model, version, *rest])

    @property
    def model(self) -> nn.ModuleList:
        """The members' models."""
        return nn.ModuleList(predictor.model for predictor in self.predictors)

    @property
    def device(self) -> torch.device:
        """Where the models are."""
        return self.predictors[0].device

    @property
    def precision(self) -> str:
        """Of the first member; the signature has those of all."""
        return self.predictors[0].precision

    def score(self, source: Any, sample_rate: int | None = None, *, frames: bool = False, allow_pipes: bool = False) -> Score:
        """Score one clip; as :meth:`Predictor.score`, without scores over time.

        Raises:
            ConfigError: if scores over time are asked for.
        """
        if frames:
            raise ConfigError("frames: scores over time are of one model, not of an ensemble")
        return next(self.score_many([source], sample_rate, workers=1, allow_pipes=allow_pipes))

    def score_many(
        self,
        sources: Iterable[Any] | Mapping[str, Any],
        sample_rate: int | None = None,
        *,
        batch_seconds: float | None = None,
        workers: int = READERS,
        frames: bool = False,
        allow_pipes: bool = False,
    ) -> Iterator[Score]:
        """Score clips, in the order given; as :meth:`Predictor.score_many`, without scores over time.

        Raises:
            ConfigError: if scores over time are asked for.
        """
        if frames:
            raise ConfigError("frames: scores over time are of one model, not of an ensemble")
        clips = [replace(clip, source=_repeatable(clip.source)) for clip in as_clips(sources, sample_rate)]
        options = {"batch_seconds": batch_seconds, "workers": workers, "allow_pipes": allow_pipes}
        runs = [predictor.score_many(clips, **options) for predictor in self.predictors]
        return map(self._merged, zip(*runs, strict=True))

    def _merged(self, scores: tuple[Score, ...]) -> Score:
        flags = tuple(dict.fromkeys(flag for score in scores for flag in score.flags))
        failed = next((score for score in scores if not score.ok), None)
        if failed is not None:
            return replace(failed, targets={}, flags=flags, signature=self.signature)
        merged: dict[str, float] = {}
        for target in self.targets:
            merged |= dict(zip(self._columns(target), self._values(target, scores), strict=True))
        return replace(scores[0], targets=merged, flags=flags, signature=self.signature)

    def _values(self, target: str, scores: Sequence[Score]) -> list[float]:
        """Return the values of :meth:`_columns`."""
        values = [score.targets[target] for score in scores if target in score.targets]
        stack = self.identity.stacks.get(target) if self.identity else None
        together = stack(values) if stack else statistics.fmean(values)
        spread = [statistics.stdev(values)] if len(values) > 1 else []
        deviations = [score.targets.get(deviation_column(target)) for score in scores if target in score.targets]
        mixture = []
        if None not in deviations:
            squares = [own**2 + (value - together) ** 2 for own, value in zip(deviations, values, strict=True)]
            mixture = [math.sqrt(statistics.fmean(squares))]
        return [together, *spread, *mixture, *([] if self.identity else values)]

    def _columns(self, target: str) -> list[str]:
        members = [(label, item) for label, item in zip(self._labels, self.predictors, strict=True) if target in item.targets]
        spread = [f"{target}_sd"] if len(members) > 1 else []
        deviation = deviation_column(target)
        mixture = [deviation] if all(deviation in item.columns for _, item in members) else []
        return [target, *spread, *mixture, *([] if self.identity else (f"{target}@{label}" for label, _ in members))]


def _repeatable(source: Any) -> Any:
    """Return what several models can read one after the other: of a file object its content."""
    return source.read() if hasattr(source, "read") else source


def _full_label(predictor: Predictor | Ensemble) -> str:
    return f"{predictor.name}@{predictor.digest}"


def _joined(values: Sequence[str]) -> str:
    """Join values of one field, ``name:value`` each, by ``+``.

    >>> _joined(("rate:16000", "rate:16000")), _joined(("model:a@1", "model:b@2"))
    ('rate:16000', 'model:a@1+b@2')
    """
    if len(set(values)) == 1:
        return values[0]
    name = values[0].partition(":")[0]
    return f"{name}:" + "+".join(value.partition(":")[2] for value in values)
