"""What to score: files, folders, globs, ``wav.scp``, data directories, a list on standard input."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from distilmos_plugin.data.directory import read_wav_scp
from distilmos_plugin.errors import DataError, some

# What libsndfile or ffmpeg may read. It decides only what is taken from a folder: a file that is named is always tried.
LIBSNDFILE = (
    "aif",
    "aifc",
    "aiff",
    "au",
    "caf",
    "flac",
    "gsm",
    "mp2",
    "mp3",
    "oga",
    "ogg",
    "opus",
    "rf64",
    "snd",
    "sph",
    "voc",
)
LIBSNDFILE += ("w64", "wav", "wave")
FFMPEG = ("aac", "amr", "m4a", "mka", "mp4", "webm", "wma", "wv")
AUDIO_ENDINGS = frozenset(LIBSNDFILE + FFMPEG)


@dataclass(frozen=True)
class Clip:
    """One clip to score.

    Attributes:
        key: its name in the results.
        source: what :func:`distilmos_plugin.audio.read_audio` takes, or an array or tensor ``[time]`` or ``[channels, time]``.
        path: where it is, for the results; None for audio in memory.
        sample_rate: of an array or tensor, Hz.
    """

    key: str
    source: Any
    path: str | None = None
    sample_rate: int | None = None


def collect(inputs: Iterable[str | os.PathLike], allow_pipes: bool = False, stdin: BinaryIO | None = None) -> list[Clip]:
    """Expand what a user names into clips, in the order given; folders and globs are sorted by name.

    Args:
        inputs: each one a file; a folder, searched through all its levels for audio by file ending (symbolic links are
            followed once, names with a leading dot are left out, a level that cannot be searched is kept as a clip whose
            result will say so); a data directory (a folder with ``wav.scp``); a
            ``*.scp`` file; a glob pattern; or ``-``, a list of files on standard input, separated by NUL if there is one
            in it (``find -print0``), else one a line. A file that does not exist is kept: its result will say so.
        allow_pipes: run the command pipes of a ``wav.scp``.
        stdin: instead of standard input.

    Returns:
        Clips with unique keys: the key of ``wav.scp``, else the path as given. A file that comes twice is taken once.

    Raises:
        DataError: if a folder or pattern gives nothing, a ``wav.scp`` is damaged, or two files have one key.
    """
    clips: dict[str, Clip] = {}
    for item in inputs:
        for clip in _expand(os.fspath(item), allow_pipes, stdin):
            known = clips.setdefault(clip.key, clip)
            if known.path != clip.path:
                raise DataError(f"key '{clip.key}' names both {known.path} and {clip.path}; score them into two outputs")
    if not clips:
        raise DataError("nothing to score: name files, folders, a data directory, or - for a list on standard input")
    return list(clips.values())


def _expand(item: str, allow_pipes: bool, stdin: BinaryIO | None) -> Iterator[Clip]:
    if item == "-":
        for path in _listed((stdin or sys.stdin.buffer).read()):
            yield Clip(path, path, path)
    elif os.path.isdir(item):
        yield from _folder(item, allow_pipes)
    elif item.endswith(".scp"):
        yield from _scp(read_wav_scp(item, allow_pipes))
    elif not os.path.lexists(item) and glob.has_magic(item):
        found = sorted(glob.glob(item, recursive=True))
        if not found:
            raise DataError(f"no file matches '{item}'")
        for path in found:
            yield from _expand(path, allow_pipes, stdin)
    else:
        yield Clip(item, item, item)


def _listed(text: bytes) -> list[str]:
    lines = text.split(b"\0") if b"\0" in text else [line.removesuffix(b"\r") for line in text.split(b"\n")]
    return [os.fsdecode(line) for line in lines if line]


def _scp(wav: Mapping[str, str]) -> Iterator[Clip]:
    for key, source in wav.items():
        yield Clip(key, source, source)


def _folder(folder: str, allow_pipes: bool) -> Iterator[Clip]:
    scp = os.path.join(folder, "wav.scp")
    if os.path.isfile(scp):
        yield from _scp(read_wav_scp(scp, allow_pipes))
        return
    paths = sorted(_audio_files(folder))
    if not paths:
        raise DataError(f"{folder}: no audio files in this folder (known endings: {some(sorted(AUDIO_ENDINGS), 40)})")
    for path in paths:
        yield Clip(path, path, path)


def _audio_files(folder: str) -> Iterator[str]:
    entered = {_identity(folder)}
    closed: list[str] = []
    for parent, folders, files in os.walk(folder, followlinks=True, onerror=lambda error: closed.append(error.filename)):
        inner = {}
        for name in sorted(folders):
            identity = _identity(os.path.join(parent, name))
            if not name.startswith(".") and identity not in entered:  # a link can lead back up, or to a sibling
                entered.add(identity)
                inner[name] = identity
        folders[:] = inner
        for name in files:
            if not name.startswith(".") and Path(name).suffix[1:].lower() in AUDIO_ENDINGS:
                yield os.path.join(parent, name)
    yield from closed


def _identity(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino
