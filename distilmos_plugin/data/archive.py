"""A data directory whose audio lies in one Kaldi archive: one file instead of a hundred thousand."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Literal, get_args

import kaldiio
import numpy as np
import soundfile

from distilmos_plugin.data.directory import WAV, DataDirectory, write_data_directory
from distilmos_plugin.decoding import AudioProblem, open_sound
from distilmos_plugin.errors import DataError, some, suggest
from distilmos_plugin.files import atomic_write
from distilmos_plugin.progress import Progress, say

ARCHIVE = "wav.ark"
Encoding = Literal["flac", "wav"]
"""Entries of the archive: ``flac``, 16 or 24 bits without loss, as ESPnet's ``flac.ark``; or ``wav``, 16 bits, the one form
that Kaldi itself reads."""

FULL_SCALE = {16: 1 << 15, 24: 1 << 23}


def write_archive(
    directory: DataDirectory, output: str | os.PathLike, encoding: Encoding = "flac", *, allow_pipes: bool = False
) -> DataDirectory:
    """Write the audio of a data directory to ``<output>/wav.ark``, and beside it ``wav.scp``, all labels, lengths and rates.

    Rate, channels and samples stay as they are: 16-bit audio exactly, wider audio (24 bits, floats) in 24 bits, or in ``wav``
    entries rounded to 16. Full scale is 1 = 2^15 of 16 bits, as everywhere in this package.

    Args:
        directory: what to pack.
        output: another folder.
        encoding: of the entries.
        allow_pipes: run ``command |`` entries.

    Raises:
        DataError: for a clip that cannot be read or written in this encoding; nothing is left then.
    """
    output = Path(output)
    if encoding not in get_args(Encoding):
        known = get_args(Encoding)
        raise DataError(f"encoding '{encoding}' is not one of {', '.join(known)}{suggest(encoding, known)}")
    if output.exists() and output.samefile(directory.path):
        raise DataError(f"{output}: the archive needs another folder than the clips that it is made of")
    (output / WAV).unlink(missing_ok=True)  # a list must never point into another archive
    places, num_samples, rates, rounded, clipped = {}, {}, {}, [], []
    with (
        atomic_write(output / ARCHIVE, "wb") as archive,
        Progress(f"{directory.path.name}: packing", len(directory.wav), "clips") as progress,
    ):
        for key, source in directory.wav.items():
            where = f"{directory.path / WAV}: key '{key}'"
            samples, rate = _read(where, source, allow_pipes)
            values, exact = to_integers(samples, widest=16 if encoding == "wav" else 24)
            rounded += [] if exact else [key]
            clipped += [key] if np.abs(samples).max() > 1 else []
            places[key] = _append(archive, where, key, values, rate, encoding)
            num_samples[key], rates[key] = len(samples), rate
            progress.advance()
    for keys, what in ((rounded, "rounded"), (clipped, "limited to full scale")):
        if keys:
            say(f"{output / ARCHIVE}: samples of {len(keys)} clips were {what}: {some(keys, 3)}")
    return write_data_directory(
        output,
        {key: f"{output / ARCHIVE}:{place}" for key, place in places.items()},
        directory.targets,
        directory.systems,
        directory.ratings,
        num_samples,
        rates,
    )


def _read(where: str, source: str, allow_pipes: bool) -> tuple[np.ndarray, int]:
    """Return the samples ``[time, channels]`` and their rate."""
    try:
        sound = open_sound(source, allow_pipes)
        try:
            blocks: Sequence[np.ndarray] = list(sound.blocks(0, sound.frames))
        finally:
            sound.close()
    except AudioProblem as problem:
        raise DataError(f"{where}: {problem}") from None
    if not blocks:
        raise DataError(f"{where}: {source}: no samples")
    samples = np.concatenate(blocks)
    if not np.isfinite(samples).all():
        raise DataError(f"{where}: {source}: NaN or infinite samples")
    return samples, sound.rate


def to_integers(samples: np.ndarray, widest: int) -> tuple[np.ndarray, bool]:
    """Return samples as integers, and whether that is without loss.

    Args:
        samples: float32, full scale 1.
        widest: 16 or 24 bits; 16 are used where they are enough.

    Returns:
        int16, or int32 whose upper 24 bits are used.

    >>> to_integers(np.array([-1.0, 0.5], dtype=np.float32), widest=24)
    (array([-32768,  16384], dtype=int16), True)
    """
    for bits in (16, 24):
        scale = FULL_SCALE[bits]
        values = np.clip(np.round(samples.astype(np.float64) * scale), -scale, scale - 1).astype(np.int32)
        exact = np.array_equal(values / scale, samples)
        if exact or bits == widest:
            return (values.astype(np.int16) if bits == 16 else values << 8), exact
    raise ValueError(f"16 or 24 bits, not {widest}")


def _append(archive: IO[bytes], where: str, key: str, values: np.ndarray, rate: int, encoding: Encoding) -> int:
    """Append an entry; return where its audio begins, in bytes."""
    start = archive.tell() + len(f"{key} ".encode())
    channels = values.shape[1]
    values = values[:, 0] if channels == 1 else values
    if encoding == "wav":
        kaldiio.save_ark(archive, {key: (rate, values)})
        return start
    options = {"format": "FLAC", "subtype": "PCM_16" if values.dtype == np.int16 else "PCM_24"}
    try:
        kaldiio.save_ark(archive, {key: (rate, values)}, write_function="soundfile", write_kwargs=options)
    except soundfile.LibsndfileError as error:
        raise DataError(
            f"{where}: flac does not take {channels} channels at {rate} Hz ({error.error_string}); use --encoding wav"
        ) from None
    return start
