"""What runs on every device: the model, its loss, and which parts stay in evaluation mode."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import fields

import numpy as np
import torch
from torch import Tensor, nn

from distilmos_plugin.data.dataset import Batch
from distilmos_plugin.data.labels import Labels
from distilmos_plugin.models import MOSModel


class TrainingModule(nn.Module):
    """Maps a batch to ``(loss, stats, weight)``; the module that is replicated over devices.

    Args:
        model: the system.
        frozen: parts of it that stay in evaluation mode while the rest trains.
        use_amp: compute in bfloat16 where that is safe. Here, and not in Fabric's ``precision``, which would round waveforms
            to 8 bits and labels to 1/64 MOS, nor by ESPnet, whose scaling of gradients is for float16.
    """

    def __init__(self, model: MOSModel, frozen: Sequence[nn.Module] = (), use_amp: bool = False) -> None:
        super().__init__()
        self.model, self.use_amp = model, use_amp
        self._frozen = list(frozen)  # a plain list: they are registered in the model already

    def train(self, mode: bool = True) -> TrainingModule:
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        with torch.autocast(batch.waveforms[0].device.type, torch.bfloat16, enabled=self.use_amp):
            labels = batch.labels
            prediction = self.model(batch.waveforms, listeners=labels.listeners, rates=batch.rates, domains=labels.domains)
            return self.model.loss(prediction, labels)


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Return the batch with its tensors on ``device``."""

    def move(value: Tensor | None) -> Tensor | None:
        return None if value is None else value.to(device, non_blocking=True)

    labels = {item.name: getattr(batch.labels, item.name) for item in fields(Labels) if item.name != "targets"}
    targets = {name: move(value) for name, value in batch.labels.targets.items()}
    return Batch(
        batch.keys,
        [move(waveform) for waveform in batch.waveforms],
        batch.rates,
        Labels(targets, **{name: move(value) for name, value in labels.items()}),
    )


def seed_batch(seed: int, epoch: int, batch: int, rank: int) -> None:
    """Seed every random generator that a training step may draw from (dropout above all) by what batch it is.

    Where training was cut off and which device got the batch before then make no difference: no random state has to be stored.
    """
    value = int(np.random.SeedSequence([seed, epoch, batch, rank]).generate_state(1)[0])
    torch.manual_seed(value)
    np.random.seed(value)
    random.seed(value)
