"""The mean predicted MOS as a metric of torchmetrics, for the validation of TTS, VC, codec and enhancement training."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from distilmos_plugin.errors import ConfigError, DataError, DistilmosError, require, suggest
from distilmos_plugin.scoring.models import load
from distilmos_plugin.scoring.predictor import Predictor

if TYPE_CHECKING:
    from torchmetrics import Metric
else:
    Metric = require("torchmetrics", "train").Metric

NO_SYSTEM = ""


class DistilMOS(Metric):
    """Mean predicted MOS of synthesised speech, over all clips and for each system; no reference, no labels.

    Scores are those of :meth:`~distilmos_plugin.scoring.predictor.Predictor.score`: the same number as on the command line.
    The model is no submodule: it is not trained, not in checkpoints and not in ``parameters()``; it follows the metric to its
    device. Clips without a score (too short, NaN) do not count, and a warning says how many there were.

    Args:
        model: what ``distilmos score --model`` takes, loaded when it is first needed; or a loaded predictor.
        target: which score; None takes the model's first, ``mos``.
        per_system: make :meth:`compute` return a dictionary, for ``log_dict``.
        precision: ``fp32`` or ``bf16``, for a model that is named.
        kwargs: of ``torchmetrics.Metric``.

    Example:
        >>> import torch
        >>> metric = DistilMOS("mini", per_system=True)
        >>> metric.update(torch.randn(2, 16000), sample_rate=16000, systems=["vits", "fastspeech2"])
        >>> sorted(metric.compute())
        ['mos', 'mos/fastspeech2', 'mos/vits']
    """

    is_differentiable = False  # Predictor.differentiable is, for a loss
    higher_is_better = True
    full_state_update = False

    scores: list[Tensor]
    names: list[Tensor]
    unscored: Tensor

    def __init__(
        self,
        model: str | PathLike | Predictor = "mini",
        *,
        target: str | None = None,
        per_system: bool = False,
        precision: str = "fp32",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._model = _Model(model, precision)
        self.target, self.per_system = target, per_system
        self._reasons: list[str] = []
        # A process without clips sends empty vectors of the metric's own type, so names are sent as that type too.
        self.add_state("scores", default=[], dist_reduce_fx="cat")
        self.add_state("names", default=[], dist_reduce_fx="cat")
        self.add_state("unscored", default=torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(
        self,
        waveforms: Tensor | Sequence[Tensor | np.ndarray],
        sample_rate: int,
        systems: str | Sequence[str] | None = None,
        lengths: Tensor | Sequence[int] | None = None,
    ) -> None:
        """Score clips and keep the scores.

        Args:
            waveforms: ``[samples]``, ``[batch, samples]``, ``[batch, channels, samples]``, or a sequence of ``[samples]`` or
                ``[channels, samples]``; full scale 1, on any device.
            sample_rate: Hz; any rate.
            systems: the system that made all of them, or one for each clip.
            lengths: samples of each clip, where a batch is padded.

        Raises:
            DataError: if systems or lengths are not as many as the clips.
            ConfigError: for a target that the model does not have.
        """
        clips = [waveforms] if getattr(waveforms, "ndim", 0) == 1 else list(waveforms)
        names = [systems or NO_SYSTEM] * len(clips) if systems is None or isinstance(systems, str) else list(systems)
        for what, values in (("systems", names), ("lengths", clips if lengths is None else lengths)):
            if len(values) != len(clips):
                raise DataError(f"{len(clips)} clips and {len(values)} {what}; one for each clip is needed")
        if bad := [name for name in names if "\n" in name]:
            raise DataError(f"system {bad[0]!r}: a name cannot hold a line end")
        if lengths is not None:
            clips = [clip[..., : int(length)] for clip, length in zip(clips, lengths, strict=True)]
        predictor = self._model.on(self.device)
        target = self._target(predictor)
        results = list(predictor.score_many(clips, sample_rate))
        values, kept = [], ""
        for result, name in zip(results, names, strict=True):
            if result.ok:
                values.append(result.targets[target])
                kept += f"{name}\n"
            else:
                self.unscored += 1
                self._reasons.append(result.reason or result.status)
        if values:
            options = {"dtype": self.dtype, "device": self.device}
            self.scores.append(torch.tensor(values, **options))
            self.names.append(torch.tensor(list(kept.encode()), **options))

    def compute(self) -> Tensor | dict[str, Tensor]:
        """Return the mean score, in the target's unit (MOS points), over the clips of all processes.

        With ``per_system`` a dictionary: ``mos``, and ``mos/<system>`` for each system that was named. NaN without a score.
        """
        scores = _joined(self.scores, self.device)
        if self.unscored:
            reasons = f": {self._reasons[0]}" if self._reasons else ""
            total = int(self.unscored) + len(scores)
            warnings.warn(f"{int(self.unscored)} of {total} clips have no score and do not count{reasons}", stacklevel=2)
        mean = scores.mean()  # NaN of nothing
        if not self.per_system:
            return mean
        text = bytes(_joined(self.names, self.device).to(torch.uint8).tolist()).decode()
        names = text.split("\n")[:-1]
        label = self._target(self._model.on(self.device))
        means = {label: mean}
        for system in sorted(set(names) - {NO_SYSTEM}):
            mine = torch.tensor([name == system for name in names], device=scores.device)
            means[f"{label}/{system}"] = scores[mine].mean()
        return means

    def reset(self) -> None:
        """Forget all clips."""
        super().reset()
        self._reasons = []

    def _target(self, predictor: Predictor) -> str:
        if self.target is None:
            return predictor.targets[0]
        if self.target not in predictor.targets:
            known = predictor.targets
            raise ConfigError(f"target: '{self.target}' is not one of {', '.join(known)}{suggest(self.target, known)}")
        return self.target


class _Model:
    """A predictor that is loaded when it is first needed; copies of a metric share it."""

    def __init__(self, model: str | PathLike | Predictor, precision: str) -> None:
        self.name, self.precision = (None if isinstance(model, Predictor) else model), precision
        self.predictor: Predictor | None = model if isinstance(model, Predictor) else None

    def on(self, device: torch.device) -> Predictor:
        if self.predictor is None:
            self.predictor = load(self.name, device, self.precision)
        elif self.predictor.device != device:
            self.predictor.model.to(device)
        return self.predictor

    def __deepcopy__(self, memo: dict[int, Any]) -> _Model:
        return self

    def __getstate__(self) -> dict[str, Any]:
        if self.name is None:
            raise DistilmosError(
                "a metric that goes to another process needs the model's name or folder: DistilMOS('mini'), not a Predictor"
            )
        return {"name": self.name, "precision": self.precision, "predictor": None}


def _joined(parts: list[Tensor] | Tensor, device: torch.device) -> Tensor:
    """Return a state as one vector: a list before processes have been synchronised, a tensor after."""
    if isinstance(parts, Tensor):
        return parts
    return torch.cat(parts) if parts else torch.zeros(0, device=device)
