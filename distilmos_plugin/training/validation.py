"""Scores of the dev set between epochs: by the one scoring path, each process its share, the figures from all of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from distilmos_plugin.config import Config
from distilmos_plugin.data.directory import DataDirectory
from distilmos_plugin.errors import DataError, some
from distilmos_plugin.evaluation.correlations import METRICS, metrics, system_means
from distilmos_plugin.models import MOSModel
from distilmos_plugin.models.losses import score_loss
from distilmos_plugin.progress import say
from distilmos_plugin.scoring.predictor import Predictor
from distilmos_plugin.scoring.results import deviation_column
from distilmos_plugin.training.ranking import Criterion

if TYPE_CHECKING:
    from lightning.fabric import Fabric


def valid_metrics(targets: tuple[str, ...], systems: bool) -> tuple[str, ...]:
    """Return the names of the dev figures: ``loss``, ``utterance_lcc``, ``system_srcc`` ... of the first target.

    Those of any further target end in its name: ``utterance_lcc_sig``.
    """
    levels = ("utterance", "system") if systems else ("utterance",)
    endings = ["", *(f"_{target}" for target in targets[1:])]
    return ("loss", *(f"{level}_{name}{ending}" for ending in endings for level in levels for name in METRICS))


def without_systems(criterion: Criterion) -> Criterion:
    """Return the criterion with utterance figures in place of system figures, for a dev set without system ids."""
    return tuple((phase, metric.replace("system_", "utterance_", 1), mode) for phase, metric, mode in criterion)


class Validation:
    """Scores the dev set with a model that is being trained.

    Args:
        directory: the dev set.
        config: the experiment's.
        fabric: launched.
        allow_pipes: run ``command |`` entries of ``wav.scp``.

    Raises:
        DataError: if a label is missing.
    """

    def __init__(self, directory: DataDirectory, config: Config, fabric: Fabric, allow_pipes: bool = False) -> None:
        for target in config.targets:
            if target not in directory.targets:
                raise DataError(f"{directory.path}: no utt2{target}, which validation on '{target}' needs")
        self.directory, self.config, self.fabric, self.allow_pipes = directory, config, fabric, allow_pipes
        self.warned = False

    def __call__(self, model: MOSModel) -> dict[str, float | None]:
        """Return the figures of :func:`valid_metrics`, None where one cannot be computed; the same in every process.

        ``loss`` is the loss on the scores alone: no frame, pairwise, listener or token terms.

        Raises:
            DataError: if no clip at all can be scored.
        """
        self._share_buffers(model)
        scores = self._gather(self._score(model))
        if not scores:
            raise DataError(f"{self.directory.path}: none of the {len(self.directory.keys)} dev clips can be scored")
        figures: dict[str, float | None] = {"loss": 0.0}
        for target in self.config.targets:
            truth = {key: self.directory.targets[target][key] for key in scores}
            predicted = {key: values[target] for key, values in scores.items()}
            deviations = [values.get(deviation_column(target), math.nan) for values in scores.values()]
            columns = ([*predicted.values()], [*truth.values()], deviations)
            guess, true, deviation = map(torch.tensor, columns)
            cost = score_loss(guess, true, self.config.loss_conf, deviation)
            figures["loss"] += float(cost)
            ending = "" if target == self.config.targets[0] else f"_{target}"
            levels = {"utterance": (truth, predicted)}
            if self.directory.systems is not None:
                levels["system"] = tuple(system_means(values, self.directory.systems) for values in (truth, predicted))
            for level, (true, guess) in levels.items():
                result = metrics([*true.values()], [*guess.values()])
                figures |= {f"{level}_{name}{ending}": result[name] for name in METRICS}
        return figures

    def _score(self, model: MOSModel) -> dict[str, dict[str, float]]:
        """Score this process's share: key -> target -> score."""
        keys = self.directory.keys[self.fabric.global_rank :: self.fabric.world_size]
        predictor = Predictor(model, self.config)
        sources = {key: self.directory.wav[key] for key in keys}
        results = list(predictor.score_many(sources, allow_pipes=self.allow_pipes))
        bad = [f"{score.key} ({score.status})" for score in results if score.status != "ok"]
        if bad and not self.warned:
            self.warned = True
            say(f"{self.directory.path}: {len(bad)} dev clips have no score and do not count: {some(bad)}")
        return {score.key: score.targets for score in results if score.status == "ok"}

    def _share_buffers(self, model: MOSModel) -> None:
        """Give every process the first one's running statistics: each has gathered its own over the last batches."""
        if self.fabric.world_size > 1:
            for buffer in model.buffers():
                torch.distributed.broadcast(buffer, src=0)

    def _gather(self, scores: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
        """Return the scores of all processes, in the order of the dev set."""
        parts = [scores]
        if self.fabric.world_size > 1:
            parts = [{} for _ in range(self.fabric.world_size)]
            torch.distributed.all_gather_object(parts, scores)
        merged = {key: values for part in parts for key, values in part.items()}
        return {key: merged[key] for key in self.directory.keys if key in merged}
