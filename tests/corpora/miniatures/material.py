"""What miniatures are made of."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

SECONDS = 0.1
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Miniature:
    """A corpus of a few clips.

    Attributes:
        build: writes it into a new folder; the folder is what the user gives as --data-root.
        clips: number of clips of each set that the importer is to find.
        systems: number of systems of each set; 0 where the corpus does not say.
        labels: the label files without which nothing can be imported, paths in the folder.
        wav: one sound file, path in the folder.
        options: of the importer.
        layouts_of: other corpora with this very layout and these ids, whose importers may read it.
    """

    build: Callable[[Path], None]
    clips: Mapping[str, int]
    systems: Mapping[str, int]
    labels: tuple[str, ...]
    wav: str
    options: Mapping[str, object] = field(default_factory=dict)
    layouts_of: tuple[str, ...] = ()


@functools.lru_cache(maxsize=64)
def _voice(rate: int, channels: int) -> np.ndarray:
    """A harmonic tone with a falling pitch, [time, channels]; the second channel is softer."""
    time = np.arange(round(SECONDS * rate)) / rate
    phase = 2 * np.pi * (180 * time - 200 * time**2)
    wave = sum(np.sin(number * phase) / number for number in range(1, 8))
    return (0.1 * wave)[:, None] * (0.5 ** np.arange(channels))


def write_wav(path: Path, rate: int = 16000, channels: int = 1, subtype: str = "PCM_16", silent: bool = False) -> None:
    """Write a tenth of a second of sound, or of silence."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, _voice(rate, channels) * (not silent), rate, subtype=subtype, format="WAV")


def write_lines(path: Path, lines: Iterable[str], *, bom: bool = False, crlf: bool = False) -> None:
    """Write a text file, with a byte order mark and with the line ends of Windows where the corpus has them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    end = "\r\n" if crlf else "\n"
    path.write_bytes((BOM if bom else b"") + "".join(f"{line}{end}" for line in lines).encode())
