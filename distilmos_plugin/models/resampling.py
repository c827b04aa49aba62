"""Resampling through which a gradient passes."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

ZEROS = 64  # zero crossings of the sinc on either side of its centre
ROLLOFF = 0.96  # cut-off, as a fraction of the lower Nyquist frequency
KAISER_BETA = 14.77  # about 150 dB of stop-band attenuation


def resample(waveform: Tensor, sample_rate: int, target_rate: int) -> Tensor:
    """Resample with a Kaiser-windowed sinc (Smith, "Digital Audio Resampling", CCRMA), differentiable in ``waveform``.

    Args:
        waveform: ``[..., samples]`` float32.
        sample_rate: its rate, Hz.
        target_rate: Hz.

    Returns:
        ``[..., ceil(samples * target_rate / sample_rate)]``.

    >>> resample(torch.zeros(2, 441), 44100, 16000).shape
    torch.Size([2, 160])
    """
    if sample_rate == target_rate:
        return waveform
    divisor = math.gcd(sample_rate, target_rate)
    step, phases = sample_rate // divisor, target_rate // divisor
    kernel, half = _kernel(step, phases, waveform)
    length = -(-waveform.shape[-1] * phases // step)
    flat = functional.pad(waveform.reshape(-1, 1, waveform.shape[-1]), (half, half + step))
    # Each position of the strided convolution gives one output sample of every phase.
    samples = functional.conv1d(flat, kernel, stride=step).transpose(1, 2).flatten(1)[:, :length]
    return samples.reshape(*waveform.shape[:-1], length)


def _kernel(step: int, phases: int, like: Tensor) -> tuple[Tensor, int]:
    """Return the filters ``[phases, 1, taps]`` and the number of taps before the centre."""
    cutoff = ROLLOFF * min(1.0, phases / step)  # relative to the input's Nyquist frequency
    half = math.ceil(ZEROS / cutoff)
    taps = torch.arange(-half, half + step + 1, dtype=torch.float64)
    time = taps - torch.arange(phases, dtype=torch.float64)[:, None] * step / phases  # input samples from each output
    window = torch.special.i0(KAISER_BETA * (1 - (time * cutoff / ZEROS).clamp(-1, 1).square()).sqrt())
    kernel = cutoff * torch.sinc(cutoff * time) * window / torch.special.i0(torch.tensor(KAISER_BETA, dtype=torch.float64))
    return (kernel * (time.abs() * cutoff < ZEROS)).to(like)[:, None], half
