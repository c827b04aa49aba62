"""Data directories in the Kaldi and ESPnet habit: read, write, check.

``wav.scp`` (a path, or a Kaldi archive entry), ``utt2mos`` and any other ``utt2<target>``, ``utt2system``, ``ratings.tsv``,
``utt2num_samples`` and ``utt2rate`` hold one ``<key> <value>`` a line, sorted as ``LC_ALL=C sort`` does. Only ``wav.scp`` is
required. Paths are relative to the working directory, as in Kaldi. docs/data.md shows an example.
"""

from __future__ import annotations

import math
import numbers
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from distilmos_plugin import audio
from distilmos_plugin.data.tables import (
    NO_LABEL,
    SHOWN,
    Rating,
    Value,
    add_first_few,
    compare_keys,
    label,
    read_ratings,
    read_table,
    whole_number,
)
from distilmos_plugin.errors import DataError, some
from distilmos_plugin.files import atomic_write
from distilmos_plugin.progress import track

WAV, SYSTEMS, RATINGS, NUM_SAMPLES, RATES = "wav.scp", "utt2system", "ratings.tsv", "utt2num_samples", "utt2rate"
DOMAINS = "utt2domain"
NOT_TARGETS = frozenset(  # utt2* files that hold something else than a target, in ours and in other toolkits' directories
    {SYSTEMS, NUM_SAMPLES, RATES, "utt2spk", "utt2dur", "utt2lang", "utt2gender", "utt2uniq", "utt2category", "utt2text"}
    | {"utt2num_frames", "utt2num_channels", "utt2reco", "utt2warp", "utt2sid", "utt2lid"}
    | {"utt2sentence", DOMAINS}
)


@dataclass(frozen=True)
class DataDirectory:
    """The contents of a data directory. All mappings have the same keys, in ``LC_ALL=C`` order.

    Attributes:
        path: of the directory.
        wav: key -> path, Kaldi archive entry (``file.ark:123``) or, where allowed, command pipe.
        targets: target name -> key -> label; ``utt2mos`` gives ``mos``. NaN where a clip has none (``-`` in the file).
        systems: key -> system that made the clip; None if the corpus has none.
        ratings: single ratings, in file order; None without ``ratings.tsv``.
        num_samples: key -> samples of each channel, at the file's own rate; None without ``utt2num_samples``.
        rates: key -> Hz; None without ``utt2rate``.
        domains: key -> corpus that the clip is from; None but in pooled corpora (``utt2domain``).
    """

    path: Path
    wav: dict[str, str]
    targets: dict[str, dict[str, float]] = field(default_factory=dict)
    systems: dict[str, str] | None = None
    ratings: tuple[Rating, ...] | None = None
    num_samples: dict[str, int] | None = None
    rates: dict[str, int] | None = None
    domains: dict[str, str] | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys, in ``LC_ALL=C`` order."""
        return tuple(self.wav)

    @property
    def listeners(self) -> tuple[str, ...]:
        """Names of all listeners, sorted; () without ratings."""
        return tuple(sorted({rating.listener for rating in self.ratings or ()}))

    @classmethod
    def read(cls, path: str | os.PathLike, allow_pipes: bool = False) -> DataDirectory:
        """Read a data directory; the audio itself is not opened.

        Args:
            path: the directory.
            allow_pipes: accept ``command |`` entries in ``wav.scp``; they run when the audio is read.

        Raises:
            DataError: naming file, line and key of the first thing that is wrong.
        """
        problems: list[str] = []
        directory = _read(Path(path), allow_pipes, problems)
        if problems:
            rest = f" (and {len(problems) - 1} more: distilmos corpus check {path})" if len(problems) > 1 else ""
            raise DataError(problems[0] + rest)
        return directory

    def seconds(self, allow_pipes: bool = False) -> dict[str, float]:
        """Return the duration of every clip: from ``utt2num_samples`` and ``utt2rate``, else from the audio headers.

        Raises:
            AudioProblem: if a header has to be read and cannot be.
        """
        if self.num_samples is not None and self.rates is not None:
            return {key: self.num_samples[key] / self.rates[key] for key in self.wav}
        lengths = {key: audio.probe(self.wav[key], allow_pipes=allow_pipes) for key in track(self.keys, "audio headers")}
        return {key: length.num_samples / length.sample_rate for key, length in lengths.items()}


def write_data_directory(
    path: str | os.PathLike,
    wav: Mapping[str, str | os.PathLike],
    targets: Mapping[str, Mapping[str, float | None]] | None = None,
    systems: Mapping[str, str] | None = None,
    ratings: Iterable[Rating] | None = None,
    num_samples: Mapping[str, int] | None = None,
    rates: Mapping[str, int] | None = None,
    domains: Mapping[str, str] | None = None,
) -> DataDirectory:
    """Write a data directory and return it as read back.

    Every file is replaced atomically and ``wav.scp`` comes last, so that a directory that was cut off is not taken for a
    whole one. Label files of an earlier content are removed; anything else in the folder is left alone.

    Raises:
        DataError: if the keys disagree or a key or value cannot be written.
    """
    path = Path(path)
    tables: dict[str, Mapping[str, object]] = {f"utt2{name}": labels for name, labels in (targets or {}).items()}
    optional = {SYSTEMS: systems, NUM_SAMPLES: num_samples, RATES: rates, DOMAINS: domains}
    tables |= {name: table for name, table in optional.items() if table is not None}
    problems: list[str] = []
    for name, table in tables.items():
        compare_keys(path / WAV, wav, path / name, table, problems)
    rows = None if ratings is None else sorted(ratings)
    contents = {name: _lines(path / name, table, problems) for name, table in tables.items()}
    if rows is not None:
        compare_keys(path / WAV, wav, path / RATINGS, dict.fromkeys(row.key for row in rows), problems)
        contents[RATINGS] = [f"{row.key}\t{row.listener}\t{row.target}\t{_text(row.value)}" for row in rows]
    contents[WAV] = _lines(path / WAV, wav, problems)
    if problems:
        raise DataError(problems[0])
    (path / WAV).unlink(missing_ok=True)
    for name in {*_target_files(path), SYSTEMS, NUM_SAMPLES, RATES, RATINGS, DOMAINS} - contents.keys():
        (path / name).unlink(missing_ok=True)
    for name, lines in contents.items():
        with atomic_write(path / name) as file:
            file.writelines(f"{line}\n" for line in lines)
    return DataDirectory.read(path, allow_pipes=True)


def _lines(file: Path, table: Mapping[str, object], problems: list[str]) -> list[str]:
    """Return the sorted ``<key> <value>`` lines of a file."""
    lines = []
    for key in sorted(table):  # code points sort as UTF-8 bytes do
        value = _text(table[key])
        if not key or re.search(r"\s", key):
            problems.append(f"{file}: key {key!r}: keys are not empty and hold no white space")
        if not value.strip() or re.search(r"[\r\n]", value):
            problems.append(f"{file}: key '{key}': value {value!r} is empty or has a line end")
        lines.append(f"{key} {value}")
    return lines


def _text(value: object) -> str:
    if value is None:
        return NO_LABEL
    if isinstance(value, str | os.PathLike):
        return os.fspath(value)
    return str(value) if isinstance(value, numbers.Integral) else repr(float(value))  # numpy's own repr names its type


def _read(path: Path, allow_pipes: bool, problems: list[str]) -> DataDirectory:
    """Read a directory, adding to ``problems`` whatever is wrong with it."""
    if not path.is_dir():
        problems.append(f"{path}: no such data directory")
        return DataDirectory(path, {})
    if not (path / WAV).is_file():
        problems.append(f"{path}: no {WAV}; a data directory lists its audio there, '<key> <path>' a line")
        return DataDirectory(path, {})

    def table(name: str, convert: Callable[[str], Value]) -> dict[str, Value] | None:
        file = path / name
        if not file.is_file():
            return None
        result = read_table(file, convert, problems)
        if name != WAV:
            compare_keys(path / WAV, wav, file, result, problems)
        return result

    wav = table(WAV, str) or {}
    if not allow_pipes:
        _refuse_pipes(path / WAV, wav, problems)
    targets = {name.removeprefix("utt2"): table(name, label) for name in _target_files(path)}
    return DataDirectory(
        path,
        wav,
        {name: labels for name, labels in targets.items() if labels is not None},
        table(SYSTEMS, str),
        read_ratings(path / RATINGS, path / WAV, wav, problems),
        table(NUM_SAMPLES, whole_number),
        table(RATES, whole_number),
        table(DOMAINS, str),
    )


def _target_files(path: Path) -> list[str]:
    names = (file.name for file in path.glob("utt2*"))
    return sorted(name for name in names if re.fullmatch(r"utt2\w+", name) and name not in NOT_TARGETS)


def read_wav_scp(path: str | os.PathLike, allow_pipes: bool = False) -> dict[str, str]:
    """Read one ``wav.scp`` on its own, in any order: key -> path, Kaldi archive entry or, where allowed, command pipe.

    Raises:
        DataError: naming file, line and key of the first thing that is wrong.
    """
    problems: list[str] = []
    wav = read_table(Path(path), str, problems, ordered=False)
    if not allow_pipes:
        _refuse_pipes(Path(path), wav, problems)
    if problems:
        raise DataError(problems[0])
    return wav


def _refuse_pipes(file: Path, wav: Mapping[str, str], problems: list[str]) -> None:
    pipes = [key for key, value in wav.items() if _is_pipe(value)]
    if pipes:
        problems.append(
            f"{file}: command pipes ('{wav[pipes[0]]}') are not run unless they are allowed: --allow-pipes "
            f"(keys: {some(pipes, SHOWN)})"
        )


def _is_pipe(value: str) -> bool:
    return value.endswith("|") and not os.path.lexists(value)


@dataclass(frozen=True)
class Summary:
    """What a checked data directory holds.

    Attributes:
        clips, hours, systems, ratings, listeners: counts; ``systems`` is 0 for a corpus without system ids.
        rates: Hz -> clips.
        labels: target -> (lowest, mean, highest) label.
        flags: flag of the audio -> clips; empty if the audio was not read.
    """

    path: Path
    clips: int
    hours: float
    systems: int
    ratings: int
    listeners: int
    rates: dict[int, int]
    labels: dict[str, tuple[float, float, float]]
    flags: dict[str, int]

    def __str__(self) -> str:
        rates = ", ".join(f"{count} at {rate} Hz" for rate, count in sorted(self.rates.items()))
        audio = f"{self.hours:.2f} hours" if self.hours >= 0.1 else f"{3600 * self.hours:.1f} seconds"
        lines = [f"{self.path}: {self.clips} clips, {audio} ({rates}), {self.systems or 'no'} systems"]
        if self.ratings:
            lines.append(f"  {self.ratings} ratings by {self.listeners} listeners")
        lines += [f"  {name}: {low:.2f} to {high:.2f}, mean {mean:.2f}" for name, (low, mean, high) in self.labels.items()]
        if self.flags:
            lines.append("  flagged audio: " + ", ".join(f"{count} {flag}" for flag, count in self.flags.items()))
        return "\n".join(lines)


def check(path: str | os.PathLike, read_audio: bool = True, allow_pipes: bool = False) -> Summary:
    """Check a data directory, and unless told otherwise every sample of its audio.

    Raises:
        DataError: listing everything that is wrong, the first few problems of each kind, one a line.
    """
    problems: list[str] = []
    directory = _read(Path(path), allow_pipes, problems)
    summary = _check_audio(directory, read_audio, allow_pipes, problems)
    if problems:
        raise DataError("\n  ".join([f"{path}: {len(problems)} problem{'s' * (len(problems) > 1)}", *problems]))
    return summary


def _check_audio(directory: DataDirectory, read_audio: bool, allow_pipes: bool, problems: list[str]) -> Summary:
    found: dict[str, list[str]] = {"unreadable": [], "empty": [], "non_finite": [], "length": []}
    flags: Counter[str] = Counter()
    rates: Counter[int] = Counter()
    seconds = 0.0
    for key, source in track(directory.wav.items(), "audio", len(directory.wav)) if directory.wav else ():
        if _is_pipe(source) and not allow_pipes:
            continue  # reported already
        where = f"{directory.path / WAV}: key '{key}'"
        try:
            with audio.open_audio(source, allow_pipes=allow_pipes) as reader:
                flags.update(reader.flags if read_audio else ())
        except audio.AudioProblem as problem:
            found[problem.status].append(f"{where}: {problem}")
            continue
        rates[reader.native_rate] += 1
        seconds += reader.duration
        for name, table, value in (
            (NUM_SAMPLES, directory.num_samples, reader.num_samples),
            (RATES, directory.rates, reader.native_rate),
        ):
            if table is not None and table.get(key, value) != value:
                found["length"].append(f"{where}: {name} says {table[key]}, the audio has {value}")
    add_first_few(found, problems)
    labelled = {name: [v for v in table.values() if not math.isnan(v)] for name, table in directory.targets.items()}
    labels = {name: (min(v), math.fsum(v) / len(v), max(v)) for name, v in labelled.items() if v}
    return Summary(
        directory.path,
        len(directory.wav),
        seconds / 3600,
        len(set((directory.systems or {}).values())),
        len(directory.ratings or ()),
        len(directory.listeners),
        dict(rates),
        labels,
        dict(flags),
    )
