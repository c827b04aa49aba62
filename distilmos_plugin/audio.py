"""Audio: read, check, mix to mono, resample. Every sample that this package scores or trains on enters here.

The level is never changed: a quiet file stays quiet, and is flagged. Bad audio is an :class:`AudioProblem` with a status,
never a number without a word.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, TypeAlias

import numpy as np
import soxr

from distilmos_plugin.decoding import ArraySound, AudioProblem, Sound, full_scale, open_sound
from distilmos_plugin.errors import DistilmosError

if TYPE_CHECKING:
    import torch

__all__ = ["Audio", "AudioProblem", "AudioReader", "Length", "WantedRate", "as_audio", "open_audio", "probe", "read_audio"]

RESAMPLER = "VHQ"  # soxr's very high quality: 28 bits, that is about 169 dB down in the stop band
RESAMPLER_REACH = 400  # samples of the lower rate; twice what soxr VHQ looks at on either side
CLIP_LEVEL = 0.97  # of full scale; the largest code of mu-law is 0.98, of A-law 0.984, of 8 bits 0.992
CLIP_RUN = 3  # equal samples in a row at or above CLIP_LEVEL: a flat top; the peak of a whole wave is one or two
SILENT_DBFS = -80.0  # RMS without DC; dithered 16-bit silence lies near -93 dBFS, and nobody hears speech at -80
LOW_LEVEL_DBFS = -50.0  # RMS without DC; 24 dB below the -26 dBov at which speech is played to listeners (ITU-T P.56, P.800)
MAX_AMPLITUDE = 100.0  # of full scale, +40 dB: beyond it, floats are integers that nobody scaled
FLAGS = ("silent", "clipped", "stereo_downmixed", "resampled", "low_level")  # in the order in which they are given
MAX_CHANNELS = 64  # an array with more rows than this is [time, channels]


WantedRate: TypeAlias = "int | Callable[[int], int] | None"
"""Hz to resample to: a number, a function of the source's own rate, or None for the source's own."""


class Length(NamedTuple):
    """What a header says: ``num_samples`` of each channel at ``sample_rate`` Hz."""

    num_samples: int
    sample_rate: int


@dataclass(frozen=True, eq=False)
class Audio:
    """A mono signal.

    Attributes:
        samples: float32 ``[time]`` at ``sample_rate``; full scale is 1.
        sample_rate: of ``samples``, Hz.
        native_rate: of the source, Hz.
        duration: of the source, seconds.
        flags: what a listener should know, of ``silent``, ``clipped``, ``stereo_downmixed`` (mean of any number of
            channels), ``resampled``, ``low_level``; see docs/data.md for the thresholds.
    """

    samples: np.ndarray
    sample_rate: int
    native_rate: int
    duration: float
    flags: tuple[str, ...]


def read_audio(
    source: str | os.PathLike | bytes | BinaryIO, sample_rate: WantedRate = None, *, allow_pipes: bool = False
) -> Audio:
    """Read a whole sound.

    Args:
        source: a path; an entry of a Kaldi archive (``"file.ark:123"``); the bytes of a sound file; a binary file object.
        sample_rate: what to resample to (soxr, very high quality, along time).
        allow_pipes: also run ``"command |"`` entries of a Kaldi ``wav.scp``.

    Raises:
        AudioProblem: ``unreadable`` (missing, a directory, no permission, corrupted, truncated, unknown format ...),
            ``empty`` (no samples) or ``non_finite`` (NaN or infinite samples).
    """
    with open_audio(source, sample_rate, allow_pipes=allow_pipes) as reader:
        return reader.audio()


def as_audio(samples: np.ndarray | torch.Tensor, native_rate: int, sample_rate: WantedRate = None) -> Audio:
    """Take samples that are already in memory.

    Args:
        samples: numpy array or torch tensor (any device), ``[time]`` or ``[channels, time]``: channels FIRST. Floats have
            full scale 1; int8, int16, int32 and unsigned integers are scaled by their width.
        native_rate: Hz of ``samples``.
        sample_rate: what to resample to.

    Raises:
        AudioProblem: ``empty`` or ``non_finite``, as :func:`read_audio`.
        DistilmosError: if the shape or the type cannot be audio.

    >>> as_audio(np.zeros((2, 16000), dtype=np.int16), 16000).flags
    ('silent', 'stereo_downmixed')
    """
    if hasattr(samples, "detach"):  # a torch tensor, recognised without importing torch
        samples = samples.detach().cpu()
        samples = (samples.float() if samples.is_floating_point() else samples).numpy()
    samples = np.asarray(samples)
    if samples.ndim not in (1, 2):
        raise DistilmosError(f"samples of shape {samples.shape}: expected [time] or [channels, time]")
    if samples.ndim == 2 and len(samples) > MAX_CHANNELS:
        raise DistilmosError(
            f"samples of shape {samples.shape}: expected [time] or [channels, time], this looks like [time, channels]; "
            "pass samples.T"
        )
    sound = ArraySound("<samples>", full_scale(samples[None] if samples.ndim == 1 else samples).T, _rate(native_rate))
    return AudioReader(sound, sample_rate).audio()


def probe(source: str | os.PathLike | bytes | BinaryIO, *, allow_pipes: bool = False) -> Length:
    """Return ``(num_samples, sample_rate)`` of a sound from its header, without decoding it where the format allows.

    Raises:
        AudioProblem: ``unreadable`` or ``empty``.
    """
    with open_audio(source, allow_pipes=allow_pipes) as reader:
        return Length(reader.num_samples, reader.native_rate)


def open_audio(
    source: str | os.PathLike | bytes | BinaryIO, sample_rate: WantedRate = None, *, allow_pipes: bool = False
) -> AudioReader:
    """Open a sound of any length for reading piece by piece; arguments and errors as :func:`read_audio`."""
    if not callable(sample_rate) and sample_rate is not None:
        _rate(sample_rate)  # before the file is opened
    return AudioReader(open_sound(source, allow_pipes), sample_rate)


class AudioReader:
    """Pieces of a mono, resampled sound, in memory bounded by the piece; a context manager, for one thread at a time.

    Attributes:
        native_rate, channels: of the source.
        sample_rate: Hz of what :meth:`read` returns.
        num_samples: length at ``sample_rate``, as the header tells it.
        duration: seconds.
    """

    def __init__(self, sound: Sound, sample_rate: WantedRate = None) -> None:
        self._sound = sound
        self.native_rate, self.channels = sound.rate, sound.channels
        wanted = sample_rate(sound.rate) if callable(sample_rate) else sample_rate
        self.sample_rate = sound.rate if wanted is None else _rate(wanted)
        if not sound.frames or not sound.channels:
            sound.close()
            raise AudioProblem("empty", f"{sound.name}: no samples")
        self.num_samples = self._resampled_length(sound.frames)
        self.duration = sound.frames / sound.rate

    def __enter__(self) -> AudioReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; nothing can be read after that."""
        self._sound.close()

    def audio(self) -> Audio:
        """Return the whole sound with its flags."""
        levels = _Levels(self._sound.name)
        mono = [levels.add(block) for block in self._sound.blocks(0, self._sound.frames)]
        samples = self._resample(np.concatenate(mono) if mono else np.zeros(0, np.float32))
        duration = levels.count / self.native_rate
        return Audio(samples, self.sample_rate, self.native_rate, duration, self._all_flags(levels))

    @cached_property
    def flags(self) -> tuple[str, ...]:
        """Flags of the whole sound: reads it through once, block by block.

        Raises:
            AudioProblem: whatever :func:`read_audio` would raise for the whole sound.
        """
        levels = _Levels(self._sound.name)
        for block in self._sound.blocks(0, self._sound.frames):
            levels.add(block)
        return self._all_flags(levels)

    def read(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return samples ``[start, stop)`` at ``sample_rate``, float32 ``[time]``.

        They equal the same slice of the whole resampled sound: the file is read a little beyond both ends.
        """
        stop = self.num_samples if stop is None else min(stop, self.num_samples)
        if stop <= start:
            return np.zeros(0, np.float32)
        common = math.gcd(self.native_rate, self.sample_rate)
        native_step, step = self.native_rate // common, self.sample_rate // common
        margin = math.ceil(RESAMPLER_REACH * max(1.0, self.native_rate / self.sample_rate))
        # Both grids meet every native_step native samples; starting there keeps the phase of the whole.
        meeting = max(0, start * native_step // step - margin) // native_step
        end = min(self._sound.frames, math.ceil(stop * native_step / step) + margin)
        blocks = self._sound.blocks(meeting * native_step, end)
        mono = [_mean_of_channels(block) for block in blocks]
        offset = meeting * step
        return self._resample(np.concatenate(mono))[start - offset : stop - offset]

    def _resample(self, samples: np.ndarray) -> np.ndarray:
        if self.sample_rate == self.native_rate:
            return samples
        return soxr.resample(samples, self.native_rate, self.sample_rate, quality=RESAMPLER)

    def _resampled_length(self, frames: int) -> int:
        return (2 * frames * self.sample_rate + self.native_rate) // (2 * self.native_rate)  # rounded, as soxr does

    def _all_flags(self, levels: _Levels) -> tuple[str, ...]:
        flags = levels.flags()
        if self.channels > 1:
            flags.add("stereo_downmixed")
        if self.sample_rate != self.native_rate:
            flags.add("resampled")
        return tuple(flag for flag in FLAGS if flag in flags)


def _mean_of_channels(block: np.ndarray) -> np.ndarray:
    return block[:, 0] if block.shape[1] == 1 else block.mean(axis=1, dtype=np.float32)


class _Levels:
    """Level statistics of a sound, block by block."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.count, self._sum, self._energy = 0, 0.0, 0.0
        self._clipped = False
        self._tail: np.ndarray | None = None  # last samples of the block before: a flat top may span two blocks

    def add(self, block: np.ndarray) -> np.ndarray:
        """Take a block ``[time, channels]``; return its mean over channels ``[time]``, float32."""
        peak = max(float(block.max(initial=0.0)), -float(block.min(initial=0.0)))  # NaN if there is one in either
        if not math.isfinite(peak):
            position = self.count + int(np.flatnonzero(~np.isfinite(block).all(axis=1))[0])
            raise AudioProblem("non_finite", f"{self.name}: NaN or infinite samples, the first at sample {position}")
        if peak > MAX_AMPLITUDE:
            raise AudioProblem(
                "unreadable",
                f"{self.name}: samples reach {peak:.0f} where full scale is 1; integers stored as floats? "
                "Divide them by their full scale (32768 for 16 bits)",
            )
        self._clipped = self._clipped or self._has_flat_top(block, peak)
        self._tail = block[-(CLIP_RUN - 1) :]
        mono = _mean_of_channels(block)
        exact = mono.astype(np.float64)
        self.count += len(mono)
        self._sum += float(exact.sum())
        self._energy += float(exact @ exact)
        return mono

    def _has_flat_top(self, block: np.ndarray, peak: float) -> bool:
        if peak < CLIP_LEVEL:
            return False
        joined = block if self._tail is None else np.concatenate([self._tail, block])
        limited = np.clip(joined, -1.0, 1.0)  # whatever lies beyond full scale is clipped when it is played
        flat = (limited[1:] == limited[:-1]) & (np.abs(limited[1:]) >= CLIP_LEVEL)
        if len(flat) < CLIP_RUN - 1:
            return False
        return bool(np.lib.stride_tricks.sliding_window_view(flat, CLIP_RUN - 1, axis=0).all(axis=-1).any())

    def flags(self) -> set[str]:
        """Return ``silent``, ``clipped``, ``low_level`` as they apply."""
        if not self.count:
            raise AudioProblem("empty", f"{self.name}: no samples")
        mean = self._sum / self.count
        power = max(0.0, self._energy / self.count - mean * mean)
        level = 10 * math.log10(power) if power > 0 else -math.inf
        flags = {"silent"} if level < SILENT_DBFS else {"low_level"} if level < LOW_LEVEL_DBFS else set()
        return flags | {"clipped"} if self._clipped else flags


def _rate(value: Any) -> int:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float | np.integer | np.floating)
        or value != int(value)
        or value < 1
    ):
        raise DistilmosError(f"a sample rate is a whole number of Hz, such as 16000; found {value!r}")
    return int(value)
