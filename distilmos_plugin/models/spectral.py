"""What MOSA-Net hears besides the upstream: magnitude spectrogram, learnable filter bank, convolutions over both.

Zezario, Fu, Chen, Fuh, Wang, Tsao, IEEE/ACM TASLP 31:54-70, 2023, arXiv 2111.02363; the filter bank is SincNet's (Ravanelli
and Bengio, SLT 2018, arXiv 1808.00158). Every clip is normalised and framed on its own, and what lies beyond its end is 0.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from distilmos_plugin.models.layers import frame_mask
from distilmos_plugin.models.prediction import Waveforms
from distilmos_plugin.upstreams.frames import lengthened

LOWEST_MEL = 80.0  # of the initial filters; the reference code
TOP_EDGE = 7700.0  # Hz, of the initial filters: what the reference code's integer division under Python 2 gives
FIRST_EDGE = 30.0  # Hz, lower edge of the first initial filter
LAST_MARGIN = 100.0  # Hz from the last initial filter's upper edge to the Nyquist frequency
LEAST_EDGE = LEAST_BAND = 50.0  # Hz added to every edge and every width
QUIET = 1e-8  # full scale; nothing is divided by less


class SincBank(nn.Module):
    """Band-pass filters whose edges are learnt.

    Args:
        num_filters: of the bank.
        taps: of each filter, odd.
        sample_rate: Hz.

    Attributes:
        edge, band: lower edge and width of each filter, kHz ``[num_filters]``, without the 50 Hz that are added to either. In
            kHz, an optimiser's step of 1e-3 moves an edge by 1 Hz.
    """

    def __init__(self, num_filters: int, taps: int, sample_rate: int) -> None:
        super().__init__()
        self.taps, self.sample_rate = taps, sample_rate
        mel = torch.linspace(LOWEST_MEL, 2595 * math.log10(1 + TOP_EDGE / 700), num_filters, dtype=torch.float64)
        centre = 700 * (10 ** (mel / 2595) - 1)
        lower, upper = centre.roll(1), centre.roll(-1)
        lower[0], upper[-1] = FIRST_EDGE, sample_rate / 2 - LAST_MARGIN
        self.edge = nn.Parameter((lower / 1000).float())
        self.band = nn.Parameter(((upper - lower) / 1000).float())

    def edges(self) -> tuple[Tensor, Tensor]:
        """Return lower and upper edge of each filter, Hz; none above the Nyquist frequency."""
        lower = 1000 * self.edge.abs() + LEAST_EDGE
        upper = lower + 1000 * self.band.abs() + LEAST_BAND
        nyquist = self.sample_rate / 2
        return lower.clamp(max=nyquist - LEAST_BAND), upper.clamp(max=nyquist)

    def filters(self) -> Tensor:
        """Return the impulse responses ``[num_filters, taps]``: windowed band-passes, of largest value 1 before the window."""
        reach = self.taps // 2
        seconds = torch.arange(1, reach + 1, device=self.edge.device) / self.sample_rate
        passes = []
        for frequency in self.edges():
            angle = 2 * math.pi * frequency[:, None] * seconds
            right = angle.sin() / angle
            whole = torch.cat([right.flip(1), torch.ones_like(right[:, :1]), right], dim=1)
            passes.append(2 * frequency[:, None] / self.sample_rate * whole)
        band_pass = passes[1] - passes[0]
        window = torch.hamming_window(self.taps, periodic=False, device=self.edge.device)
        return band_pass / band_pass.amax(dim=1, keepdim=True) * window

    def samples(self, waveform: Tensor, hop: int) -> Tensor:
        """Return the filters' signed output at every ``hop``-th sample, ``[frames, num_filters]``.

        ``ceil(samples / hop)`` frames, placed as TensorFlow's padding "same" places them.
        """
        frames = -(-len(waveform) // hop)
        missing = max((frames - 1) * hop + self.taps - len(waveform), 0)
        padded = functional.pad(waveform, (missing // 2, missing - missing // 2))
        return functional.conv1d(padded[None, None], self.filters()[:, None], stride=hop)[0].T

    def magnitudes(self, spectrum: Tensor, size: int) -> Tensor:
        """Return the root mean square of the filters' outputs over each frame, from the frames' spectra.

        Args:
            spectrum: magnitudes ``[..., size // 2 + 1]`` of frames of ``size`` samples, not less than ``taps``.
            size: of the Fourier transform.
        """
        response = torch.fft.rfft(self.filters(), n=size).abs().square()
        twice = torch.full((size // 2 + 1,), 2.0, device=response.device)  # every bin but the ends stands for two
        twice[0] = twice[-1] = 1.0
        energy = spectrum.square() @ (response * twice).T / size**2  # Parseval
        return (energy + QUIET**2).sqrt()


class Spectrogram(nn.Module):
    """Magnitude spectrogram with a symmetric Hamming window: linear, without normalisation (the reference code).

    Args:
        size: of window and Fourier transform, samples.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("window", torch.hamming_window(size, periodic=False), persistent=False)

    def centred(self, waveform: Tensor, hop: int) -> Tensor:
        """Return frames centred on every ``hop``-th sample, mirrored at the ends: ``[samples // hop + 1, size // 2 + 1]``."""
        half = self.size // 2
        return self._magnitude(functional.pad(waveform[None], (half, half), mode="reflect")[0].unfold(0, self.size, hop))

    def along(self, waveform: Tensor, hop: int, first: int, frames: int) -> Tensor:
        """Return ``frames`` frames, the first centred on sample ``first`` and each next ``hop`` later; 0 beyond the clip."""
        left = self.size // 2 - first
        right = (frames - 1) * hop + self.size - left - len(waveform)
        return self._magnitude(functional.pad(waveform, (left, right)).unfold(0, self.size, hop))

    def _magnitude(self, frames: Tensor) -> Tensor:
        # Not abs(): its gradient at 0 is undefined for complex numbers times what follows.
        spectrum = torch.fft.rfft(frames * self.window)
        return (spectrum.real.square() + spectrum.imag.square() + QUIET**2).sqrt()


class SpectralConvolutions(nn.Module):
    """Blocks of three 3x3 convolutions with ReLU, the last of which divides the frequencies by three (MOSA-Net, CNN).

    The frequencies are padded as TensorFlow's "same" does, time by one frame of 0 on either side.

    Args:
        bins: of the input.
        channels: of the input's planes, then of each block.
    """

    def __init__(self, bins: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList()
        self.strides: list[int] = []
        for before, after in itertools.pairwise(channels):
            for source, stride in ((before, 1), (after, 1), (after, 3)):
                self.convolutions.append(nn.Conv2d(source, after, 3, stride=(1, stride), padding=(1, 0)))
                self.strides.append(stride)
            bins = -(-bins // 3)
        self.dim = bins * channels[-1]

    def forward(self, planes: Tensor, lengths: Tensor) -> Tensor:
        """Map ``[B, planes, T, bins]``, zero past each length, to frames ``[B, T, dim]``, zero past each length."""
        frames = planes.shape[2]
        if planes.device.type == "cpu":
            planes = functional.pad(planes, (0, 0, 0, lengthened(frames) - frames))
        mask = frame_mask(lengths, planes.shape[2])[:, None, :, None].to(planes.dtype)
        planes = planes.contiguous(memory_format=torch.channels_last)  # which CPUs and GPUs convolve faster
        for convolution, stride in zip(self.convolutions, self.strides, strict=True):
            bins = planes.shape[-1]
            missing = (-(-bins // stride) - 1) * stride + 3 - bins
            if missing % 2:  # the odd one on the right
                planes = functional.pad(planes, (0, 1))
            padding, weight = (1, missing // 2), convolution.weight
            planes = functional.conv2d(planes, weight, convolution.bias, convolution.stride, padding).mul_(mask).relu_()
        return planes[:, :, :frames].permute(0, 2, 3, 1).flatten(2)  # frequency by frequency, as in the reference code


def normalised(waveforms: Waveforms) -> list[Tensor]:
    """Return each waveform with its largest absolute value at full scale (silence stays)."""
    return [waveform / waveform.abs().amax().clamp(min=QUIET) for waveform in waveforms]


def join_in_time(parts: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Put streams ``([B, T, dim], lengths)`` one behind the other, clip by clip without gaps; zero past the new lengths."""
    lengths = sum(length for _, length in parts)
    clips = range(len(lengths))
    whole = [torch.cat([frames[clip, : length[clip]] for frames, length in parts]) for clip in clips]
    return pad_sequence(whole, batch_first=True), lengths


def stack(clips: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return clips ``[T, dim]`` as ``[B, T, dim]``, zero past each length, and the lengths."""
    lengths = torch.tensor([len(clip) for clip in clips], device=clips[0].device)
    return pad_sequence(list(clips), batch_first=True), lengths
