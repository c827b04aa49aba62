"""Clips opened for scoring: whole if they are short, window by window if they are long."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any

import numpy as np

from distilmos_plugin.audio import WantedRate, as_audio, open_audio
from distilmos_plugin.errors import DataError
from distilmos_plugin.scoring.collect import Clip


@dataclass(frozen=True)
class Recording:
    """Audio of one clip at the rate that the model wants it at.

    Attributes:
        num_samples: its length.
        rate: Hz, of the samples.
        duration: seconds.
        native_rate: of the source, Hz.
        flags: of the whole clip.
        read: ``(start, stop) -> float32 [time]``; of a long file it reads only that part.
        close: releases the file.
    """

    num_samples: int
    rate: int
    duration: float
    native_rate: int
    flags: tuple[str, ...]
    read: Callable[[int, int], np.ndarray]
    close: Callable[[], None] = lambda: None


def open_recording(clip: Clip, sample_rate: WantedRate, window: Callable[[int], int], allow_pipes: bool = False) -> Recording:
    """Open a clip: decode it to memory if it fits one window, else check it through and keep the file open.

    Args:
        clip: what to open.
        sample_rate: to bring it to.
        window: rate in Hz -> samples in a window.
        allow_pipes: run command pipes.

    Raises:
        AudioProblem: if it cannot be scored.
        DataError: if an array comes without its sample rate, or a file with one.
    """
    if _is_array(clip.source):
        if clip.sample_rate is None:
            raise DataError(f"{clip.key}: an array needs its sample rate: score(samples, sample_rate=16000)")
        return _in_memory(as_audio(clip.source, clip.sample_rate, sample_rate))
    if clip.sample_rate is not None:
        raise DataError(f"{clip.key}: sample_rate is for arrays and tensors; a sound file brings its own")
    reader = open_audio(clip.source, sample_rate, allow_pipes=allow_pipes)
    try:
        if reader.num_samples > window(reader.sample_rate):
            flags = reader.flags
            return Recording(
                reader.num_samples, reader.sample_rate, reader.duration, reader.native_rate, flags, reader.read, reader.close
            )
        audio = reader.audio()
    except BaseException:
        reader.__exit__()
        raise
    reader.__exit__()
    return _in_memory(audio)


def _in_memory(audio: Any) -> Recording:
    samples = audio.samples
    length, rate = len(samples), audio.sample_rate
    return Recording(length, rate, audio.duration, audio.native_rate, audio.flags, lambda start, stop: samples[start:stop])


def _is_array(source: Any) -> bool:
    return not isinstance(source, bytes | bytearray | memoryview) and hasattr(source, "shape")


def as_clips(sources: Iterable[Any] | Mapping[str, Any], sample_rate: int | None = None) -> Iterator[Clip]:
    """Give every source a key.

    Args:
        sources: clips; paths; arrays and tensors at ``sample_rate``, or ``(samples, sample_rate)`` pairs; bytes and file
            objects; or a mapping of keys to any of these, such as :attr:`DataDirectory.wav`. Without a mapping the key is
            the path as given, else the position, from 0.
        sample_rate: of the arrays and tensors, Hz.
    """
    keyed = sources.items() if isinstance(sources, Mapping) else ((None, source) for source in sources)
    for position, (key, source) in enumerate(keyed):
        if isinstance(source, Clip):
            yield source
            continue
        rate = None
        if isinstance(source, tuple):
            source, rate = source
        elif _is_array(source):
            rate = sample_rate
        path = os.fspath(source) if isinstance(source, str | os.PathLike) else None
        yield Clip(key if key is not None else path if path is not None else str(position), source, path, rate)


def windows(num_samples: int, length: int, hop: int) -> list[tuple[int, int]]:
    """Return ``(start, stop)`` of the windows over a clip, in samples.

    Every window but the last has ``length`` samples; the last one starts a hop after the one before and ends with the clip, so
    it is longer than ``length - hop``: no window is a sliver. A clip that fits one window has one.

    Args:
        num_samples: of the clip.
        length: of a window, samples.
        hop: from one window's start to the next, samples; at most ``length``.

    >>> windows(7, length=4, hop=2)
    [(0, 4), (2, 6), (4, 7)]
    """
    last = max(0, -(-(num_samples - length) // hop))
    return [(index * hop, min(index * hop + length, num_samples)) for index in range(last + 1)]


def read_ahead(
    pool: Executor, read: Callable[[int, int], np.ndarray], spans: Iterable[tuple[int, int]]
) -> Iterator[np.ndarray]:
    """Yield the samples of each span; the next one is read in ``pool`` while the caller works on this one."""
    pending: Future | None = None
    for start, stop in spans:
        samples = pending.result() if pending is not None else None  # first, as a file has one reading position
        pending = pool.submit(read, start, stop)
        if samples is not None:
            yield samples
    if pending is not None:
        yield pending.result()
