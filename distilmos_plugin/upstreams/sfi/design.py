"""From an analog response to FIR taps at a sample rate, and from samples to windows at instants between them.

Taps are the regularised least-squares fit to the response over 0 to half the sample rate: what the analog filter does above
that is never asked for. Saito et al. (see the package's text), frequency-domain design.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from distilmos_plugin.upstreams.frames import Framing

SINC_REACH = 16  # samples on either side; more changes nothing (arXiv 2306.10718, L)
KAISER_BETA = 6.0


def design_frequencies(rate: int, points: int) -> Tensor:
    """Return where the response is sampled: float64 ``[points]`` from 0 to ``rate / 2`` Hz."""
    return torch.linspace(0, rate / 2, points, dtype=torch.float64)


def tap_numbers(taps: int) -> Tensor:
    """Return the times of K taps in samples: ``-(K/2 - 1) .. K/2`` for an even K, ``-(K-1)/2 .. (K-1)/2`` for an odd one.

    >>> tap_numbers(4).tolist(), tap_numbers(3).tolist()
    ([-1, 0, 1, 2], [-1, 0, 1])
    """
    return torch.arange(taps) - (taps - 1) // 2


@functools.lru_cache(maxsize=32)
@torch.inference_mode(False)  # what is kept may be trained through later
def least_squares(rate: int, taps: int, points: int, ridge: float, guard: float = 0.0) -> Tensor:
    """Return the matrix from a response to its taps, float64 ``[taps, 2 points]``.

    Args:
        rate: Hz.
        taps: of the FIR filter.
        points: at which the response is sampled (:func:`design_frequencies`); its real parts come before its imaginary ones.
        ridge: weight of the taps' squares relative to that of the squared error.
        guard: share of the band, at its upper end, over which the weight of the error falls to 0: taps are real, so a response
            that is complex at half the rate cannot be met there. With 0, and no ridge, this is the pseudo-inverse.
    """
    angles = 2 * math.pi / rate * design_frequencies(rate, points)[:, None] * tap_numbers(taps)
    response = torch.cat([angles.cos(), -angles.sin()])  # [2 points, taps]: what the taps do at each frequency
    weights = torch.ones(points, dtype=torch.float64)
    if guard > 0:
        weights = 0.5 + 0.5 * torch.cos(
            math.pi * ((torch.linspace(0, 1, points, dtype=torch.float64) - 1) / guard + 1).clamp(min=0)
        )
    weighted = torch.cat([weights, weights])[:, None] * response
    normal = response.T @ weighted + ridge * points * torch.eye(taps, dtype=torch.float64)
    return torch.linalg.solve(normal, weighted.T)


def design(response: Tensor, rate: int, taps: int, ridge: float, guard: float = 0.0) -> Tensor:
    """Return FIR taps ``[channels, taps]`` for a complex response ``[channels, points]`` on :func:`design_frequencies`."""
    matrix = least_squares(rate, taps, response.shape[-1], ridge, guard).to(response.real)
    return torch.cat([response.real, response.imag], dim=-1) @ matrix.T


def response_of(taps: Tensor, frequencies: Tensor, rate: int) -> Tensor:
    """Return what FIR taps ``[channels, taps]`` do at ``frequencies`` ``[M]`` in Hz: complex ``[channels, M]``."""
    angles = -2 * math.pi / rate * frequencies[:, None] * tap_numbers(taps.shape[-1]).to(frequencies)
    turns = torch.complex(angles.cos(), angles.sin())
    return taps.to(turns.dtype) @ turns.T


@dataclass(frozen=True)
class Instants:
    """When the outputs of a convolution at ``base_rate`` fall, in samples of another rate.

    Output i of a convolution with kernel K and stride s lies at ``(s i + floor(K / 2)) / base_rate`` seconds; the number of
    outputs is that of the clip resampled to ``base_rate``. So every rate has the same outputs at the same times.

    Attributes:
        kernel, stride: samples at ``base_rate``.
        base_rate: Hz.
        rate: Hz, of the clip.
    """

    kernel: int
    stride: int
    base_rate: int
    rate: int

    @property
    def phases(self) -> int:
        """Number of different distances from an output to the sample before it: 1 where the stride is whole."""
        return self.base_rate // math.gcd(self.stride * self.rate, self.base_rate)

    def count(self, num_samples: int) -> int:
        """Return the outputs of a clip of ``num_samples``."""
        return Framing(self.kernel, self.stride).count(resampled_length(num_samples, self.rate, self.base_rate))

    def places(self, count: int) -> tuple[Tensor, Tensor]:
        """Return the last sample at or before each of ``count`` outputs, int64, and the way from it to them, 0 to 1 sample."""
        ticks = (torch.arange(count) * self.stride + self.kernel // 2) * self.rate  # of 1 / (base_rate * rate) seconds
        return ticks.div(self.base_rate, rounding_mode="floor"), (ticks % self.base_rate).double() / self.base_rate

    def windows(self, waveforms: Tensor, taps: int) -> Tensor:
        """Cut the samples that each output sees, at the output's own instant, from ``[B, N]``: ``[B, outputs, taps]``.

        Between samples, the waveform is interpolated by a windowed sinc. Filtering what is interpolated and interpolating what
        is filtered at every sample (Imamura et al., arXiv 2306.10718) are the same; this way only the instants that are
        wanted are computed, and on one channel. Beyond its ends a clip is 0.
        """
        count, whole = self.count(waveforms.shape[-1]), self.phases == 1
        first, _ = self.places(count)
        reach = 0 if whole else SINC_REACH
        length = taps + max(2 * reach - 1, 0)
        first = first - taps // 2 - max(reach - 1, 0)
        left = max(0, -int(first[0])) if count else 0
        right = max(0, int(first[-1]) + length - waveforms.shape[-1]) if count else 0
        padded = functional.pad(waveforms, (left, right))
        cut = padded.unfold(-1, length, 1)[:, (first + left).to(waveforms.device)]  # [B, outputs, length]
        return cut if whole else self._interpolate(cut, taps)

    def _interpolate(self, cut: Tensor, taps: int) -> Tensor:
        """Move windows ``[B, outputs, length]`` from whole samples to the instants of the outputs."""
        batch, count, length = cut.shape
        phases = min(self.phases, count)
        rounds = -(-count // phases)
        cut = functional.pad(cut, (0, 0, 0, rounds * phases - count))
        by_phase = cut.view(batch, rounds, phases, length).permute(2, 0, 1, 3).reshape(phases, batch * rounds, length)
        matrix = _interpolation(self, taps)[:phases].to(cut)
        moved = torch.bmm(by_phase, matrix).view(phases, batch, rounds, taps)
        return moved.permute(1, 2, 0, 3).reshape(batch, rounds * phases, taps)[:, :count]


@functools.lru_cache(maxsize=32)
@torch.inference_mode(False)
def _interpolation(instants: Instants, taps: int) -> Tensor:
    """Return what interpolates ``taps`` neighbouring values, for every phase: ``[phases, taps + 2 SINC_REACH - 1, taps]``."""
    _, shift = instants.places(instants.phases)
    weights = sinc_weights(shift).float()
    matrix = weights.new_zeros(instants.phases, taps + 2 * SINC_REACH - 1, taps)
    for tap in range(taps):
        matrix[:, tap : tap + 2 * SINC_REACH, tap] = weights
    return matrix


def sinc_weights(shift: Tensor) -> Tensor:
    """Return weights ``[..., 2 SINC_REACH]`` of samples ``-SINC_REACH + 1 .. SINC_REACH`` for the value ``shift`` after 0."""
    distance = shift.double()[..., None] - torch.arange(1 - SINC_REACH, SINC_REACH + 1)
    inside = (1 - (distance / SINC_REACH).square()).clamp(min=0).sqrt()
    window = torch.special.i0(KAISER_BETA * inside) / torch.special.i0(torch.tensor(KAISER_BETA, dtype=torch.float64))
    weights = torch.sinc(distance) * window
    return weights / weights.sum(-1, keepdim=True)  # a constant stays what it is


def resampled_length(num_samples: int, rate: int, to: int) -> int:
    """Return the samples of a clip after resampling, rounded as :mod:`distilmos_plugin.audio` does."""
    return (2 * num_samples * to + rate) // (2 * rate)
