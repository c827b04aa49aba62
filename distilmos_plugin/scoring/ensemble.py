"""Several models over the same clips: what each says, and the mean and spread."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from distilmos_plugin.errors import ConfigError, some
from distilmos_plugin.scoring.collect import Clip
from distilmos_plugin.scoring.predictor import READERS, Predictor
from distilmos_plugin.scoring.results import Score


class Ensemble:
    """Scores clips with several models, each as it would alone.

    For every target ``x``: ``x`` is the mean over the models that predict it, ``x_sd`` their standard deviation (n - 1; only
    where there are two), ``x@<model>`` the score of each. A clip that one of them cannot score has no score.

    Args:
        predictors: at least two, no two alike.

    Attributes:
        targets: what at least one of the models predicts.
        columns: of the results, in this order.

    Raises:
        ConfigError: if a model comes twice.
    """

    def __init__(self, predictors: Sequence[Predictor]) -> None:
        self.predictors = tuple(predictors)
        twice = [label for label, count in Counter(map(_full_label, predictors)).items() if count > 1]
        if twice:
            raise ConfigError(f"--model: {some(twice)} comes twice; name each model once")
        names = Counter(predictor.name for predictor in predictors)
        self._labels = [item.name if names[item.name] == 1 else _full_label(item) for item in predictors]
        self.targets = tuple(dict.fromkeys(target for predictor in self.predictors for target in predictor.targets))
        self.columns = tuple(column for target in self.targets for column in self._columns(target))

    @property
    def signature(self) -> str:
        """The models' signatures field by field, joined by ``+`` where they differ."""
        fields = zip(*(predictor.signature.split("|") for predictor in self.predictors), strict=True)
        return "|".join(_joined(values) for values in fields)

    def score_many(self, clips: Sequence[Clip], batch_seconds: float | None = None, workers: int = READERS, **options: bool):
        """Score clips, in the order given; as :meth:`Predictor.score_many`, without ``frames``."""
        runs = [item.score_many(clips, batch_seconds=batch_seconds, workers=workers, **options) for item in self.predictors]
        return map(self._merged, zip(*runs, strict=True))

    def _merged(self, scores: tuple[Score, ...]) -> Score:
        flags = tuple(dict.fromkeys(flag for score in scores for flag in score.flags))
        failed = next((score for score in scores if not score.ok), None)
        if failed is not None:
            return replace(failed, targets={}, flags=flags, signature=self.signature)
        merged: dict[str, float] = {}
        for target in self.targets:
            values = [score.targets[target] for score in scores if target in score.targets]
            spread = [statistics.stdev(values)] if len(values) > 1 else []
            merged |= dict(zip(self._columns(target), [statistics.fmean(values), *spread, *values], strict=True))
        return replace(scores[0], targets=merged, flags=flags, signature=self.signature)

    def _columns(self, target: str) -> list[str]:
        labels = [label for label, item in zip(self._labels, self.predictors, strict=True) if target in item.targets]
        spread = [f"{target}_sd"] if len(labels) > 1 else []
        return [target, *spread, *(f"{target}@{label}" for label in labels)]


def _full_label(predictor: Predictor) -> str:
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
