"""Where clean speech comes from: espeak-ng voices reading our sentences, or a folder of recordings.

A source says which speakers belong to a set, what each of them can say there, and gives the speech. No two sets share a
sentence (of a language). Synthetic voices are shared by train, dev and test and new in test_ood; speakers of a folder of
recordings belong to one set each, as far as the folder allows.
"""

from __future__ import annotations

import functools
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from distilmos_plugin.audio import AudioProblem, probe, read_audio
from distilmos_plugin.corpora.simulation import generator
from distilmos_plugin.corpora.simulation.espeak import FASTEST, SAMPLE_RATE, SLOWEST, synthesize
from distilmos_plugin.corpora.simulation.sentences import OTHER_SENTENCES, SENTENCES
from distilmos_plugin.errors import DataError, some
from distilmos_plugin.files import fingerprint
from distilmos_plugin.progress import track

SHORTEST, LONGEST = 2.0, 4.0  # s, of a clip
PAUSE = 0.1  # s of silence before and after synthetic speech
FADE = 0.01  # s, where a recording is cut
SHARES = {"train": 0.55, "dev": 0.15, "test": 0.15, "test_ood": 0.15}  # of the speakers of a folder of recordings
FEWEST_RECORDINGS = 8
FEWEST_SPEAKERS = 8  # with fewer, recordings are shared out to the sets instead of speakers
SUFFIXES = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif", ".au", ".sph"}


class Source(Protocol):
    """Clean speech of many speakers."""

    def identity(self) -> object:
        """Return something that JSON can hold and that changes when the speech changes."""

    def speakers(self, part: str) -> tuple[str, ...]:
        """Return the speakers of ``train``, ``dev``, ``test`` or ``test_ood``; names hold neither ``_`` nor white space."""

    def items(self, part: str, speaker: str) -> tuple[str, ...]:
        """Return what the speaker can say in that part."""

    def speech(self, speaker: str, item: str) -> tuple[np.ndarray, int]:
        """Return float64 [time] of 2 to 4 seconds, and its rate in Hz."""


# Language of espeak-ng, "+", variant. train, dev and test share their voices, as the sets of a listening test usually do.
_SEEN = (
    "en-us+f1",
    "en-gb-x-rp+m1",
    "de+f2",
    "de+m2",
    "fr+f3",
    "fr+m3",
    "es+f4",
    "es-419+m4",
    "it+Annie",
    "it+m5",
    "pt-br+linda",
    "pt-br+m7",
    "nl+belinda",
    "nl+Andy",
    "pl+steph",
    "pl+Lee",
    "sv+pablo",
    "sv+sandro",
    "ru+john",
    "ru+miguel",
)
_UNSEEN = (
    "cs+Andrea",
    "cs+grandpa",
    "cs+edward",
    "fi+anika",
    "fi+robert",
    "fi+klatt4",
    "tr+shelby",
    "tr+Diogo",
    "tr+adam",
    "id+steph3",
    "id+ian",
    "id+Gene2",
)
VOICES = {"train": _SEEN, "dev": _SEEN, "test": _SEEN, "test_ood": _UNSEEN}
SENTENCES_OF_PART = {"train": slice(0, 16), "dev": slice(16, 20), "test": slice(20, 24), "test_ood": slice(None)}


@dataclass(frozen=True)
class SyntheticVoices:
    """espeak-ng voices, each with a pace and a pitch of its own, reading our own sentences."""

    def identity(self) -> object:
        return fingerprint([VOICES, SENTENCES, OTHER_SENTENCES])

    def speakers(self, part: str) -> tuple[str, ...]:
        return tuple(voice.replace("+", "-") for voice in VOICES[part])

    def items(self, part: str, speaker: str) -> tuple[str, ...]:
        sentences = OTHER_SENTENCES if part == "test_ood" else SENTENCES
        return sentences[speaker[:2]][SENTENCES_OF_PART[part]]

    def speech(self, speaker: str, item: str) -> tuple[np.ndarray, int]:
        rng = generator(0, "voice", speaker)  # a speaker's habits are the same in every corpus
        pace, pitch = int(rng.integers(150, 181)), int(rng.integers(35, 66))
        language, _, variant = speaker.rpartition("-")
        voice = f"{language}+{variant}"
        spoken = synthesize(item, voice, pace, pitch)
        seconds = spoken.duration + 2 * PAUSE
        if not SHORTEST <= seconds <= LONGEST:
            wanted = SHORTEST + 0.2 if seconds < SHORTEST else LONGEST - 0.2
            pace = int(np.clip(pace * seconds / wanted, SLOWEST, FASTEST))
            spoken = synthesize(item, voice, pace, pitch)
        samples = spoken.samples.astype(np.float64)
        return np.pad(samples - samples.mean(), round(PAUSE * SAMPLE_RATE)), SAMPLE_RATE


@dataclass(frozen=True)
class Recordings:
    """A folder of clean recordings.

    The speaker is the name of the first folder below ``folder``, or, for a file right in it, the file name up to the first
    ``_``. Files that cannot be read or are shorter than 2 s are left out; of longer ones the loudest 4 s are taken.

    Attributes:
        folder: where the recordings are.
        files: speaker, path below ``folder``, number of samples; sorted.
        seed: shares out the speakers to the sets (the recordings, where there are fewer than 8 speakers).
    """

    folder: str
    files: tuple[tuple[str, str, int], ...]
    seed: int

    @classmethod
    def find(cls, folder: str | os.PathLike, seed: int) -> Recordings:
        """Look for recordings.

        Raises:
            DataError: if there is no such folder, or fewer than 8 usable recordings in it.
        """
        root = Path(folder)
        if not root.is_dir():
            raise DataError(f"{root}: no such folder of clean recordings")
        paths = sorted(path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        files, unusable = [], []
        for path in track(paths, "clean recordings"):
            try:
                num_samples, rate = probe(path)
            except AudioProblem as problem:
                unusable.append(str(problem))
                continue
            if num_samples < SHORTEST * rate:
                unusable.append(f"{path} is shorter than {SHORTEST:g} s")
                continue
            below = path.relative_to(root)
            name = below.parts[0] if len(below.parts) > 1 else below.stem.partition("_")[0]
            files.append((re.sub(r"[_\s]+", "-", name), str(below), num_samples))
        if len(files) < FEWEST_RECORDINGS:
            why = f" ({some(unusable, 2)})" if unusable else ""
            raise DataError(f"{root}: {len(files)} usable recordings, at least {FEWEST_RECORDINGS} are needed{why}")
        return cls(str(root), tuple(sorted(files)), seed)

    def identity(self) -> object:
        return fingerprint(self.files)

    def speakers(self, part: str) -> tuple[str, ...]:
        return tuple(sorted(self._parts[part]))

    def items(self, part: str, speaker: str) -> tuple[str, ...]:
        return tuple(self._parts[part][speaker])

    @functools.cached_property
    def _parts(self) -> dict[str, dict[str, list[str]]]:
        """Set -> speaker -> recordings."""
        everybody = sorted({speaker for speaker, _, _ in self.files})
        by_speaker = len(everybody) >= FEWEST_SPEAKERS
        units = everybody if by_speaker else [path for _, path, _ in self.files]
        order = generator(self.seed, "speakers of the sets").permutation(len(units))
        bounds = np.round(np.cumsum(list(SHARES.values())) * len(units))
        part_of = {units[unit]: list(SHARES)[np.searchsorted(bounds, place, "right")] for place, unit in enumerate(order)}
        parts: dict[str, dict[str, list[str]]] = {part: {} for part in SHARES}
        for speaker, path, _ in self.files:
            parts[part_of[speaker if by_speaker else path]].setdefault(speaker, []).append(path)
        return parts

    def speech(self, speaker: str, item: str) -> tuple[np.ndarray, int]:
        audio = read_audio(Path(self.folder) / item)
        return _loudest(audio.samples.astype(np.float64), audio.sample_rate), audio.sample_rate


def _loudest(samples: np.ndarray, rate: int) -> np.ndarray:
    """Return the window of 4 s that holds most energy, without clicks at its ends."""
    length = round(LONGEST * rate)
    if len(samples) > length:
        energy = np.concatenate([[0.0], np.cumsum(samples**2)])
        start = int(np.argmax(energy[length:] - energy[:-length]))
        samples = samples[start : start + length].copy()
        ramp = np.linspace(0, 1, round(FADE * rate))
        samples[: len(ramp)] *= ramp
        samples[-len(ramp) :] *= ramp[::-1]
    return samples
