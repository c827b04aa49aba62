"""The files of an answer: a zip with one table in it.

What is written depends on the scores alone: the same scores give the same bytes on every machine, at any time.
"""

from __future__ import annotations

import csv
import io
import math
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from distilmos_plugin.errors import DataError, some
from distilmos_plugin.files import atomic_write
from distilmos_plugin.integrations.challenges.formats import CHALLENGES, PAIR, Challenge, Column

DECIMALS = 6  # as score files have them
EARLIEST = (1980, 1, 1, 0, 0, 0)  # the first date that a zip archive can hold
PERMISSIONS = 0o100644  # a plain file
BOM = b"\xef\xbb\xbf"
SHOWN = 3  # names in a message


@dataclass(frozen=True)
class Answer:
    """An answer.

    Attributes:
        challenge: what it answers.
        columns: those that it has, in its order.
        rows: id -> target -> score, in the order of the file.
        pairs: id -> the columns that name a pair, for challenges that compare two recordings.
    """

    challenge: Challenge
    columns: tuple[Column, ...]
    rows: Mapping[str, Mapping[str, float]]
    pairs: Mapping[str, tuple[str, ...]]


def write_answer(path: str | os.PathLike, answer: Answer) -> None:
    """Write an answer as the zip file that is uploaded.

    Raises:
        DataError: if a score is not a finite number.
    """
    bad = [name for name, row in answer.rows.items() if not all(math.isfinite(value) for value in row.values())]
    if bad:
        raise DataError(f"{answer.challenge.name}: scores that are not finite: {len(bad)} ({some(bad, SHOWN)})")
    member = zipfile.ZipInfo(answer.challenge.file, EARLIEST)
    member.create_system, member.external_attr = 3, PERMISSIONS << 16  # Unix, whatever this is written on
    with atomic_write(path, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(member, table(answer))  # stored: compressed bytes depend on the version of zlib


def table(answer: Answer) -> bytes:
    """Return the table of an answer, UTF-8."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    if answer.challenge.header:
        writer.writerow([*answer.challenge.header, *(column.name for column in answer.columns)])
    for name, row in answer.rows.items():
        names = answer.pairs[name] if answer.challenge.header == PAIR else (f"{name}{answer.challenge.suffix}",)
        writer.writerow([*names, *(_cell(column, row) for column in answer.columns)])
    return buffer.getvalue().encode()


def _cell(column: Column, row: Mapping[str, float]) -> str:
    values = [f"{row[target]:.{DECIMALS}f}" for target in column.targets]
    if len(values) == 1:
        return values[0]
    return "|".join(f"{target}:{value}" for target, value in zip(column.targets, values, strict=True))


def read_answer(path: str | os.PathLike, challenge: Challenge | None = None, order: str | None = None) -> Answer:
    """Read an answer: a zip, or the table alone.

    Args:
        path: of the file.
        challenge: what it answers; None finds out by the ids.
        order: of the columns, where the challenge does not document it; by default that of :mod:`.formats`.

    Raises:
        DataError: with everything that is wrong with the file.
    """
    problems: list[str] = []
    name, content = _open(Path(path), problems)
    if content.startswith(BOM):
        problems.append("the table begins with a byte order mark")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: the table is not UTF-8 text (byte {error.start})") from None
    if "\r" in text:
        problems.append("lines end in CRLF; expected LF")
    lines = [fields for fields in csv.reader(text.splitlines()) if fields]
    if not lines:
        raise DataError(f"{path}: the table is empty")
    challenge = challenge or _recognise(path, lines)
    if zipfile.is_zipfile(path) and name != challenge.file:
        problems.append(f"the table is called {name}; {challenge.name} wants {challenge.file}")
    answer = _parse(challenge, lines, order, problems)
    if problems:
        raise DataError(f"{path}: not an answer to {challenge.name}: {'; '.join(problems)}")
    return answer


def _open(path: Path, problems: list[str]) -> tuple[str, bytes]:
    """Return name and content of the table."""
    try:
        if not zipfile.is_zipfile(path):
            return path.name, path.read_bytes()
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            tables = [name for name in names if not name.endswith("/")]
            if len(names) != 1 or "/" in names[0]:
                problems.append(f"the archive holds {some(names)}; expected one file, not in a folder")
            if not tables:
                raise DataError(f"{path}: no file in the archive")
            wanted = {challenge.file for challenge in CHALLENGES.values()}
            first = next((name for name in tables if name.rpartition("/")[2] in wanted), tables[0])
            return first, archive.read(first)
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise DataError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _recognise(path: str | os.PathLike, lines: Sequence[Sequence[str]]) -> Challenge:
    """Return the challenge whose header or ids these are."""
    headed = [one for one in CHALLENGES.values() if one.header and tuple(lines[0][: len(one.header)]) == one.header]
    ids = [fields[0].removesuffix(".wav") for fields in lines]
    found = headed or [one for one in CHALLENGES.values() if not one.header and any(one.is_id(name) for name in ids)]
    if len(found) != 1:
        reason = f"could be one of {some([one.name for one in found])}" if found else f"'{ids[0]}' is no id of any challenge"
        raise DataError(
            f"{path}: which challenge is this? {reason}; give it: --challenge NAME (known: {some(CHALLENGES, 50)})"
        )
    return found[0]


def _parse(challenge: Challenge, lines: Sequence[Sequence[str]], order: str | None, problems: list[str]) -> Answer:
    columns, lines = _columns(challenge, lines, order, problems)
    width = len(challenge.header) or 1
    rows: dict[str, dict[str, float]] = {}
    pairs: dict[str, tuple[str, ...]] = {}
    found: dict[str, list[str]] = {"foreign": [], "twice": [], "fields": [], "number": []}
    for number, fields in enumerate(lines, start=2 if challenge.header else 1):
        named, cells = tuple(fields[:width]), fields[width:]
        name = pair_id(*named[2:]) if challenge.header == PAIR and len(named) == width else named[0]
        if not name.endswith(challenge.suffix) or not challenge.is_id(name.removesuffix(challenge.suffix)):
            found["foreign"].append(name)
        name = name.removesuffix(challenge.suffix)
        if name in rows:
            found["twice"].append(name)
        if len(cells) != len(columns):
            found["fields"].append(f"line {number}")
            continue
        row = {target: value for column, cell in zip(columns, cells, strict=True) for target, value in _values(column, cell)}
        if not all(math.isfinite(value) for value in row.values()):
            found["number"].append(name)
        rows[name], pairs[name] = row, named
    said = {
        "foreign": "ids that are not of this challenge",
        "twice": "ids that come twice",
        "fields": f"lines without exactly {len(columns)} scores",
        "number": "ids whose score is not a finite number",
    }
    problems += [f"{said[kind]}: {len(names)} ({some(names, SHOWN)})" for kind, names in found.items() if names]
    return Answer(challenge, columns, rows, pairs)


def _columns(
    challenge: Challenge, lines: Sequence[Sequence[str]], order: str | None, problems: list[str]
) -> tuple[tuple[Column, ...], Sequence[Sequence[str]]]:
    """Return the columns that the table has, and its lines without a header."""
    if not challenge.header:
        return (challenge.ordered(order) if order or challenge.order_known else challenge.columns), lines
    width = len(challenge.header)
    head = tuple(lines[0])
    known = {column.name: column for column in challenge.columns}
    wrong = head[:width] != challenge.header or any(name not in known for name in head[width:])
    absent = [column.name for column in challenge.columns if column.required and column.name not in head]
    if wrong or absent or len(head) == width:
        wanted = ",".join((*challenge.header, *known))
        problems.append(f"the header is {','.join(head)}; expected {wanted}")
        return tuple(known.values()), lines[1:]
    return tuple(known[name] for name in head[width:]), lines[1:]


def _values(column: Column, cell: str) -> list[tuple[str, float]]:
    """Return target and score of a cell; NaN for what is not a number."""
    if len(column.targets) == 1:
        return [(column.targets[0], _number(cell))]
    shares = dict(part.split(":", 1) for part in cell.split("|") if ":" in part)
    return [(target, _number(shares.get(target, ""))) for target in column.targets]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def pair_id(wav_a_path: str, wav_b_path: str) -> str:
    """Return the id of a pair, as the importer of its corpus has it.

    >>> pair_id("wav/a.wav", "wav/b.wav")
    'a+b'
    """
    first, second = (path.rpartition("/")[2].removesuffix(".wav") for path in (wav_a_path, wav_b_path))
    return f"{first}+{second}"
