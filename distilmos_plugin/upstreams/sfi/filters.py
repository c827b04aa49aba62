"""Analog filters: frequency responses that are functions of the frequency in Hz, and so belong to no sample rate.

An SFI convolution learns these; the taps for a sample rate are designed from them (:mod:`.design`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

TWO_PI = 2 * math.pi


class NeuralAnalogFilter(nn.Module):
    """A small network from frequency to the complex responses of all channels.

    Random Fourier features of the frequency, then 1x1 convolutions with normalisation and ReLU between them. Imamura,
    Nakamura, Yatabe, Saruwatari, "Neural Analog Filter for Sampling-Frequency-Independent Convolutional Layer", APSIPA TSIP
    13(1), e28, 2024; their sizes are the defaults, the maximum frequency apart.

    Args:
        channels: filters.
        features: random Fourier features: so many cosines and so many sines.
        hidden: widths of the layers between features and response.
        max_frequency: Hz; the response is 0 above it.
        coupled: normalise over all frequencies at once, as the authors do. A response then depends on which other frequencies
            are asked for, and so on the sample rate; for reading their checkpoints. Otherwise each frequency is by itself.
    """

    SPREAD = TWO_PI * 10  # standard deviation of the features' frequencies, radians over the range to max_frequency

    def __init__(
        self,
        channels: int,
        features: int = 128,
        hidden: Sequence[int] = (224, 224),
        max_frequency: float = 24000.0,
        coupled: bool = False,
    ) -> None:
        super().__init__()
        self.max_frequency = float(max_frequency)
        self.rff = nn.Parameter(torch.randn(features) * self.SPREAD)
        layers: list[nn.Module] = []
        width = 2 * features
        for size in hidden:
            norm = nn.GroupNorm(1, size) if coupled else FrequencyNorm(1, size)
            layers += [nn.Conv1d(width, size, 1), norm, nn.ReLU()]
            width = size
        self.network = nn.Sequential(*layers, nn.Conv1d(width, 2 * channels, 1))
        for layer in self.network:
            if isinstance(layer, nn.Conv1d):
                nn.init.zeros_(layer.bias)

    def forward(self, frequencies: Tensor) -> Tensor:
        """Return the responses at ``frequencies`` ``[M]`` in Hz: complex ``[channels, M]``."""
        real, imaginary = self.network(self._encoded(frequencies))[0].chunk(2)
        within = frequencies <= self.max_frequency
        return torch.complex(real * within, imaginary * within)

    def last_hidden(self, frequencies: Tensor) -> Tensor:
        """Return what the last layer reads, ``[width, M]``: the response is linear in it."""
        return self.network[:-1](self._encoded(frequencies))[0]

    def _encoded(self, frequencies: Tensor) -> Tensor:
        """Return the Fourier features ``[1, 2 features, M]``."""
        angles = self.rff[:, None] * (frequencies / self.max_frequency)
        return torch.cat([angles.cos(), angles.sin()])[None]


class FrequencyNorm(nn.GroupNorm):
    """GroupNorm with one group, at each frequency by itself: same parameters, other statistics."""

    def forward(self, values: Tensor) -> Tensor:
        """Normalise ``[1, channels, M]`` over the channels."""
        normal = functional.layer_norm(values.transpose(1, 2), (self.num_channels,), self.weight, self.bias, self.eps)
        return normal.transpose(1, 2)


class ModulatedGaussian(nn.Module):
    """Two Gaussians, at a centre frequency and at its negative, with a phase and a gain.

    ``H(w) = g (exp(-(w - mu)^2 / 2 s^2 + j phi) + exp(-(w + mu)^2 / 2 s^2 - j phi))``: Saito et al. (see the package's text);
    the gain is ours, and 1 at first.

    Args:
        channels: filters.
        max_frequency: Hz of the highest centre at first; the lowest is 50 Hz, between them steps are equal on the ERB scale.
    """

    LOWEST = 50.0  # Hz, of the first centre
    WIDTH = 100.0  # Hz, standard deviation at first
    NARROWEST = 1.0  # Hz

    def __init__(self, channels: int, max_frequency: float = 24000.0) -> None:
        super().__init__()
        ends = hz_to_erb(torch.tensor([self.LOWEST, max_frequency], dtype=torch.float64))
        steps = torch.linspace(0, 1, channels, dtype=torch.float64)
        self.mu = nn.Parameter((TWO_PI * erb_to_hz(ends[0] + steps * (ends[1] - ends[0]))).float())  # rad/s
        self.log_variance = nn.Parameter(torch.full((channels,), 2 * math.log(TWO_PI * self.WIDTH)))  # of s^2
        self.phase = nn.Parameter(torch.rand(channels) * math.pi)
        self.gain = nn.Parameter(torch.ones(channels))

    def forward(self, frequencies: Tensor) -> Tensor:
        """Return the responses at ``frequencies`` ``[M]`` in Hz: complex ``[channels, M]``."""
        omega, mu = TWO_PI * frequencies, self.mu[:, None]
        variance = self.log_variance.clamp(min=2 * math.log(TWO_PI * self.NARROWEST)).exp()[:, None]
        above = torch.exp(-(omega - mu).square() / (2 * variance))
        below = torch.exp(-(omega + mu).square() / (2 * variance))
        phase, gain = self.phase[:, None], self.gain[:, None]
        return torch.complex(gain * phase.cos() * (above + below), gain * phase.sin() * (above - below))


def hz_to_erb(frequency: Tensor) -> Tensor:
    """Return places on the ERB-rate scale (Glasberg and Moore) of frequencies in Hz."""
    return 9.265 * torch.log1p(frequency / (24.7 * 9.265))


def erb_to_hz(erb: Tensor) -> Tensor:
    """Return the frequencies in Hz of places on the ERB-rate scale."""
    return (torch.exp(erb / 9.265) - 1) * 24.7 * 9.265
