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
    """Return the names of the dev figures: ``loss``, ``utterance_lcc``, ``system_srcc`` ...

    With several targets these are means over the targets, and those of each end in its name: ``utterance_lcc_sig``.
    """
    levels = ("utterance", "system") if systems else ("utterance",)
    endings = ["", *(f"_{target}" for target in targets if len(targets) > 1)]
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
        targets = self.config.targets
        loss = sum(self._loss(target, scores) for target in targets)
        each = {target: self._correlations(target, scores) for target in targets}
        names = [name for name in valid_metrics(targets[:1], self.directory.systems is not None) if name != "loss"]
        figures: dict[str, float | None] = {"loss": loss}
        for name in names:
            values = [found[name] for found in each.values()]
            figures[name] = None if None in values else sum(values) / len(values)
        if len(targets) > 1:
            figures |= {f"{name}_{target}": found[name] for target, found in each.items() for name in names}
        return figures

    def _loss(self, target: str, scores: dict[str, dict[str, float]]) -> float:
        """Return the weighted loss on a target's scores, in the units of the objective."""
        conf = self.config.loss_conf
        truth = [self.directory.targets[target][key] for key in scores]
        predicted = [values[target] for values in scores.values()]
        deviations = [values.get(deviation_column(target), math.nan) for values in scores.values()]
        columns = (torch.tensor(column) / conf.unit(target) for column in (predicted, truth, deviations))
        guess, true, deviation = columns
        return conf.weight(target) * float(score_loss(guess, true, conf, deviation))

    def _correlations(self, target: str, scores: dict[str, dict[str, float]]) -> dict[str, float | None]:
        """Return the figures of one target over the clips that have a label for it."""
        labels = self.directory.targets[target]
        truth = {key: labels[key] for key in scores if not math.isnan(labels[key])}
        levels = {"utterance": (truth, {key: scores[key][target] for key in truth})}
        if self.directory.systems is not None:
            levels["system"] = tuple(system_means(values, self.directory.systems) for values in levels["utterance"])
        figures = {}
        for level, (true, guess) in levels.items():
            result = metrics([*true.values()], [*guess.values()])
            figures |= {f"{level}_{name}": result[name] for name in METRICS}
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
