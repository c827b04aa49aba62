"""The published network of SA-SSL-MOS, written down from its sizes, for clips of one length: what ours is compared with.

Sizes and order of the layers are those of github.com/Dear-xxf/SA_SSL_MOS (``model.py``); the text is ours.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def layer_branch(dim: int, frames: int) -> nn.Sequential:
    """Map ``[B, dim, frames]`` to ``[B, 32 * pooled frames]``."""
    parts: list[nn.Module] = []
    for before, after, pooled in ((dim, 128, False), (128, 32, True), (32, 32, True)):
        frames -= 4
        parts += [nn.Conv1d(before, after, 5), nn.LayerNorm([after, frames]), nn.ReLU(), nn.Dropout(0.3)]
        if pooled:
            parts.append(nn.MaxPool1d(5))
            frames //= 5
    return nn.Sequential(*parts, nn.Flatten())


def spectrogram_branch() -> nn.Sequential:
    """Map ``[B, 1, T, 161]`` to ``[B, 64]``."""
    parts: list[nn.Module] = []
    for number, (before, after) in enumerate(((1, 32), (32, 32), (32, 64), (64, 64))):
        parts += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
        parts += [nn.MaxPool2d(3)] if number == 1 else []
        parts += [nn.Dropout(0.3)] if number < 3 else []
    return nn.Sequential(*parts, nn.AdaptiveMaxPool2d(1), nn.Flatten())


def head(dim: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(dim, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1))


class Published(nn.Module):
    """SA-SSL-MOS as published; mean and variance."""

    def __init__(self, dim: int, frames: int) -> None:
        super().__init__()
        self.fpm, self.spm = layer_branch(dim, frames), spectrogram_branch()
        width = self.fpm(torch.zeros(1, dim, frames)).shape[1] + 64
        self.mu_head, self.var_head = head(width), head(width)

    def forward(self, states: Tensor, spectrograms: Tensor) -> tuple[Tensor, Tensor]:
        vector = torch.cat([self.fpm(states), self.spm(spectrograms)], dim=1)
        return 2 * self.mu_head(vector)[:, 0], 4 * nn.functional.softplus(self.var_head(vector)[:, 0])
