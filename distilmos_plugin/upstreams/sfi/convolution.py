"""The SFI convolution: takes the place of the first convolution of a front end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from distilmos_plugin.config import SFIConfig
from distilmos_plugin.upstreams.sfi.design import Instants, design, design_frequencies
from distilmos_plugin.upstreams.sfi.filters import ModulatedGaussian, NeuralAnalogFilter

LOWEST_RATE, HIGHEST_RATE = 8000, 48000  # Hz, of the clips that an SFI upstream takes as they are


class SFIConvolution(nn.Module):
    """A convolution over waveforms whose taps are designed for their sample rate.

    At every rate it gives the frames that a convolution with ``kernel`` and ``stride`` gives at ``base_rate``, at the same
    times. Taps are designed once a rate while the parameters stay as they are and no gradient is wanted.

    Args:
        channels: filters.
        kernel, stride: of the convolution that it stands for, samples at ``base_rate``; they say when the frames are.
        base_rate: Hz.
        conf: filter and design; the taps may be more than the kernel's.
        bias: add one a channel.

    Attributes:
        rate: Hz of the waveforms of the next call.
    """

    def __init__(self, channels: int, kernel: int, stride: int, base_rate: int, conf: SFIConfig, bias: bool = False) -> None:
        super().__init__()
        self.kernel, self.stride, self.base_rate, self.conf = kernel, stride, base_rate, conf
        self.rate = base_rate
        if conf.filter == "neural":
            self.filter: nn.Module = NeuralAnalogFilter(channels, conf.features, conf.hidden, conf.max_frequency, conf.coupled)
        else:
            self.filter = ModulatedGaussian(channels, conf.max_frequency)
        self.bias = nn.Parameter(torch.zeros(channels)) if bias else None
        self._kernels: dict[int, Tensor] = {}
        self._origin: Any = None  # of the kernels: the parameters that they were designed from
        self._shared: dict[int, Tensor] | None = None

    def instants(self, rate: int) -> Instants:
        """Return when the frames of a clip at ``rate`` Hz are."""
        return Instants(self.kernel, self.stride, self.base_rate, rate)

    def taps(self, rate: int) -> int:
        """Return how many taps the filters have at ``rate`` Hz: the same duration at every rate."""
        return max(1, round(self.conf.taps * rate / self.base_rate))

    def design(self, rate: int) -> Tensor:
        """Design the filters for ``rate`` Hz: ``[channels, taps]``, in the order of time."""
        frequencies = design_frequencies(rate, self.conf.points).to(next(self.filter.parameters()))
        with torch.autocast(frequencies.device.type, enabled=False):
            return design(self.filter(frequencies), rate, self.taps(rate), self.conf.ridge, self.conf.guard)

    def kernels(self, rate: int) -> Tensor:
        """Return the filters for ``rate`` Hz, ``[channels, taps]``: designed, or as they were designed before."""
        if torch.is_grad_enabled() and any(parameter.requires_grad for parameter in self.filter.parameters()):
            if self._shared is None:
                return self.design(rate)
            if rate not in self._shared:
                self._shared[rate] = self.design(rate)
            return self._shared[rate]
        origin = [
            (value.data_ptr(), None if value.is_inference() else value._version, value.device)
            for value in self.filter.parameters()
        ]
        if origin != self._origin:
            self._kernels, self._origin = {}, origin
        if rate not in self._kernels:
            with torch.inference_mode(False), torch.no_grad():  # a gradient to waveforms may pass through them later
                self._kernels[rate] = self.design(rate)
        return self._kernels[rate]

    @contextlib.contextmanager
    def one_step(self) -> Iterator[None]:
        """Within the block, in which no parameter changes, design each rate once also where gradients are wanted."""
        self._shared = {}
        try:
            yield
        finally:
            self._shared = None

    def forward(self, waveforms: Tensor) -> Tensor:
        """Filter ``[B, 1, N]`` at :attr:`rate` Hz to ``[B, channels, frames]``."""
        kernels = self.kernels(self.rate)
        with torch.autocast(waveforms.device.type, enabled=False):  # what is between samples is not a matter of 8 bits
            windows = self.instants(self.rate).windows(waveforms[:, 0], kernels.shape[-1])
        frames = kernels.flip(-1) @ windows.transpose(1, 2)
        return frames if self.bias is None else frames + self.bias[:, None]

    def extra_repr(self) -> str:
        return f"kernel={self.kernel}, stride={self.stride}, base_rate={self.base_rate}"
