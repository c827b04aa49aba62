"""Scores, and the files that hold them.

A score file is JSON lines (``.jsonl``), comma- or tab-separated (``.csv``, ``.tsv``). While a run is under way its scores
are in ``<file>.part``, always as JSON lines in the order of the input, and flushed as they come; the file itself appears
at the end, whole. So a score file is complete if it exists, and a killed run goes on from its ``.part``.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

from distilmos_plugin.errors import DataError, some
from distilmos_plugin.files import atomic_write

STATUSES = ("ok", "unreadable", "empty", "too_short", "non_finite")
DECIMALS = 6  # of numbers in score files: finer than the 1e-5 to which scores are reproducible
FORMATS = {".jsonl": "jsonl", ".csv": "csv", ".tsv": "tsv"}
DELIMITERS = {"csv": ",", "tsv": "\t"}
FIELDS = ("key", "path", "status", "flags", "duration", "sample_rate", "signature", "reason", "frames")


def deviation_column(target: str) -> str:
    """Return the column of the predicted standard deviation of a target's score.

    >>> deviation_column("mos")
    'mos_std'
    """
    return f"{target}_std"


@dataclass(frozen=True)
class Curve:
    """Scores over time: of frames, or of the windows of long audio.

    Attributes:
        unit: ``frame`` or ``window``.
        hop: seconds from the start of one entry to the start of the next; entry ``i`` starts at ``i * hop``.
        length: seconds of audio under an entry (less for the last window).
        targets: target name -> one score an entry, in the target's unit.
    """

    unit: Literal["frame", "window"]
    hop: float
    length: float
    targets: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class Score:
    """What became of one clip.

    Attributes:
        key: name of the clip, unique in a score file.
        path: where the audio is; None for audio given in memory.
        targets: target name -> score, in the target's unit (MOS points for ``mos``), and where the model predicts it
            ``<target>_std`` -> standard deviation of the target's score; empty without a score.
        status: ``ok``, or why there is no score: ``unreadable``, ``empty``, ``too_short``, ``non_finite``.
        flags: what a listener would want to know about a score that exists: ``silent``, ``clipped``, ``low_level``,
            ``stereo_downmixed``, ``resampled``, ``windowed``.
        duration: seconds; None where the audio could not be read.
        sample_rate: of the audio as it came, Hz.
        signature: what made the score; equal signatures make scores comparable.
        reason: one sentence where there is no score.
        frames: scores over time, where they were asked for.
        wanted: what there would be scores of; null in score files where there are none.
    """

    key: str
    path: str | None
    targets: Mapping[str, float]
    status: str
    flags: tuple[str, ...]
    duration: float | None
    sample_rate: int | None
    signature: str
    reason: str | None = None
    frames: Curve | None = field(default=None, repr=False)
    wanted: tuple[str, ...] = field(default=("mos",), repr=False, compare=False)

    @property
    def mos(self) -> float | None:
        """The mean opinion score; None without a score, or if the model does not predict ``mos`` (see ``targets``)."""
        return self.targets.get("mos")

    @property
    def ok(self) -> bool:
        """Whether there is a score."""
        return self.status == "ok"


def to_row(score: Score) -> dict[str, Any]:
    """Return a score as the object of one JSON line: targets by name, null without a score.

    >>> to_row(Score("a", "a.wav", {"mos": 3.25}, "ok", (), 2.0, 16000, "s"))["mos"]
    3.25
    """
    targets = {name: round(value, DECIMALS) for name, value in score.targets.items()}
    targets = targets or dict.fromkeys(score.wanted)
    row = {"key": score.key, "path": score.path, **targets, "status": score.status, "flags": list(score.flags)}
    row["duration"] = None if score.duration is None else round(score.duration, DECIMALS)
    row |= {"sample_rate": score.sample_rate, "signature": score.signature}
    if score.reason is not None:
        row["reason"] = score.reason
    if score.frames is not None:
        curve = {name: [round(value, DECIMALS) for value in values] for name, values in score.frames.targets.items()}
        row["frames"] = {"unit": score.frames.unit, "hop": score.frames.hop, "length": score.frames.length, **curve}
    return row


def from_row(row: Mapping[str, Any]) -> Score:
    """Return the score of a row that :func:`to_row` made; KeyError, TypeError or ValueError if it is none."""
    targets = {name: float(value) for name, value in row.items() if name not in FIELDS and value is not None}
    status = row["status"]
    if status not in STATUSES:
        raise ValueError(f"unknown status {status!r}")
    if (status == "ok") != bool(targets):
        raise ValueError(f"status {status!r} with {len(targets)} scores")
    frames = row.get("frames")
    if frames is not None:
        curve = {name: tuple(values) for name, values in frames.items() if name not in ("unit", "hop", "length")}
        frames = Curve(frames["unit"], frames["hop"], frames["length"], curve)
    common = (row["key"], row["path"], targets, status, tuple(row["flags"]), row["duration"], row["sample_rate"])
    if not isinstance(common[0], str):
        raise TypeError("the key is not text")
    wanted = tuple(name for name in row if name not in FIELDS)
    return Score(*common, row["signature"], row.get("reason"), frames, wanted)


def to_line(score: Score) -> bytes:
    """Return a score as one line of JSON, UTF-8; file names that are not valid Unicode are kept as ``\\udcxx``."""
    row = to_row(score)
    try:
        text = json.dumps(row, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        text = json.dumps(row, allow_nan=False).encode()
    return text + b"\n"


def file_format(path: str | os.PathLike, format: str | None = None) -> str:
    """Return ``jsonl``, ``csv`` or ``tsv``: ``format`` if given, else what the file's ending says.

    >>> file_format("scores.tsv")
    'tsv'
    """
    if format is None:
        format = FORMATS.get(Path(path).suffix.lower())
    if format not in FORMATS.values():
        raise DataError(
            f"{path}: cannot tell the format of the score file; expected the ending {', '.join(FORMATS)}, or a format"
        )
    return format


def read_scores(path: str | os.PathLike, format: str | None = None) -> list[Score]:
    """Read a score file, or the ``.part`` of a run that has not ended (its torn last line, if any, is left out).

    Raises:
        DataError: naming the file and line, if it is missing, a line is no score, or a key comes twice.
    """
    path = Path(path)
    if format is None and path.suffix == ".part":
        format = "jsonl"
    format = file_format(path, format)
    try:
        scores = list(_read_lines(path)) if format == "jsonl" else list(_read_table(path, DELIMITERS[format]))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not readable as scores: {error}") from None
    _refuse_duplicates(path, scores)
    return scores


def _refuse_duplicates(path: Path, scores: list[Score]) -> None:
    seen: set[str] = set()
    twice = {score.key for score in scores if score.key in seen or seen.add(score.key)}  # type: ignore[func-returns-value]
    if twice:
        raise DataError(f"{path}: more than one score for {some(sorted(twice))}")


def _read_lines(path: Path) -> Iterator[Score]:
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield from_row(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                if not line.endswith(b"\n"):  # only a last line can lack its end: the run was killed while it wrote
                    return
                raise DataError(f"{path}, line {number}: not a score ({_why(error)})") from None


def _why(error: Exception) -> str:
    return f"no {error}" if isinstance(error, KeyError) else str(error)


def _read_table(path: Path, delimiter: str) -> Iterator[Score]:
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = csv.DictReader(file, delimiter=delimiter, strict=True)
        for row in rows:
            try:
                values: dict[str, Any] = {name: value if value != "" else None for name, value in row.items()}
                values["key"] = row["key"]
                values["flags"] = row["flags"].split()
                values["duration"] = float(row["duration"]) if row["duration"] else None
                values["sample_rate"] = int(row["sample_rate"]) if row["sample_rate"] else None
                yield from_row(values)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise DataError(f"{path}, line {rows.line_num}: not a score ({_why(error)})") from None


def write_table(file: IO[str], scores: Iterable[Score], delimiter: str) -> None:
    """Write scores as a table with a header; ``file`` is opened with ``newline=""`` or ``"\\n"``."""
    rows = [to_row(score) for score in scores]
    targets = dict.fromkeys(name for row in rows for name in row if name not in FIELDS)
    names = ["key", "path", *targets, *(name for name in FIELDS[2:] if name != "frames")]
    # Before Python 3.13 the csv module leaves a carriage return bare, and then reads it as the end of a line.
    quoting = csv.QUOTE_NONNUMERIC if any("\r" in f"{row['key']}{row['path']}" for row in rows) else csv.QUOTE_MINIMAL
    writer = csv.DictWriter(file, names, delimiter=delimiter, lineterminator="\n", extrasaction="ignore", quoting=quoting)
    writer.writeheader()
    writer.writerows({**row, "flags": " ".join(row["flags"])} for row in rows)


class ScoreWriter:
    """Writes a score file as its scores come; use as a context manager.

    The scores go to ``<path>.part``. If the block ends without an error the file takes its final name and form, else the
    ``.part`` stays, for a later run with ``resume``.

    Args:
        path: the score file.
        resume: keep the scores of ``<path>.part`` or, where there is none, of ``path``, as far as they still hold: made
            with ``signature``, of audio files that have not been written to since. Else start anew.
        signature: what makes the scores of this run; None keeps earlier scores whatever made them.
        format: ``jsonl``, ``csv``, ``tsv``; None goes by the ending of ``path``.

    Attributes:
        earlier: the scores that are kept.
        outdated: how many are not.
        done: keys that have a score.
        part: where the scores are until the file is whole.

    Raises:
        DataError: on resume, if the old file is damaged before its last line.
    """

    def __init__(
        self, path: str | os.PathLike, resume: bool = False, signature: str | None = None, format: str | None = None
    ) -> None:
        self.path = Path(path)
        self.part = self.path.with_name(self.path.name + ".part")
        self.format = file_format(path, format)
        self.earlier: list[Score] = []
        self.outdated = 0
        self._file: IO[bytes] | None = None
        self._appends = resume and self.part.exists()
        if self._appends:
            _cut_torn_line(self.part)
        if resume and (self._appends or self.path.exists()):
            old = self.part if self._appends else self.path
            found = read_scores(old, "jsonl" if self._appends else self.format)
            written = old.stat().st_mtime
            self.earlier = [score for score in found if _still_holds(score, signature, written)]
            self.outdated = len(found) - len(self.earlier)
            self._appends = self._appends and not self.outdated
        self.done = {score.key for score in self.earlier}

    def __enter__(self) -> ScoreWriter:
        return self

    def write(self, scores: Iterable[Score]) -> None:
        """Append scores and flush, so that they outlive this process."""
        file = self._open()
        scores = list(scores)
        file.write(b"".join(map(to_line, scores)))
        file.flush()
        self.done.update(score.key for score in scores)

    def _open(self) -> IO[bytes]:
        if self._file is None:
            if not self._appends:
                with atomic_write(self.part, "wb") as file:
                    file.writelines(map(to_line, self.earlier))
            self._file = open(self.part, "ab")  # noqa: SIM115  closed in __exit__
        return self._file

    def __exit__(self, kind: type | None, *_: object) -> None:
        if kind is not None:
            if self._file is not None:
                self._file.close()
            return
        if self._file is None and not self._appends and self.earlier and not self.outdated:
            return  # resumed from a complete file that lacked nothing
        file = self._open()
        os.fsync(file.fileno())
        file.close()
        if self.format == "jsonl":
            os.replace(self.part, self.path)
        else:
            with atomic_write(self.path) as table:
                table.reconfigure(errors="surrogateescape")  # type: ignore[attr-defined]
                write_table(table, read_scores(self.part), DELIMITERS[self.format])
            self.part.unlink()


def _still_holds(score: Score, signature: str | None, written: float) -> bool:
    """Tell whether a score is what this run would give; ``written`` is when it was written, or later."""
    if signature is not None and score.signature != signature:
        return False
    try:
        return score.path is None or os.stat(score.path).st_mtime <= written
    except (OSError, ValueError):  # gone, or no file's name: an archive entry, a pipe
        return True


def _cut_torn_line(path: Path) -> None:
    """Cut off what follows the last line end: a run was killed while it wrote."""
    with open(path, "r+b") as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:  # lines are short (longer with frame scores), so look back block by block
            start = max(0, end - 65536)
            file.seek(start)
            found = file.read(end - start).rfind(b"\n")
            if found >= 0:
                file.truncate(start + found + 1)
                return
            end = start
        file.truncate(0)
