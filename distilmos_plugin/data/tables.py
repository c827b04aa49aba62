"""The text files of a data directory: ``<key> <value>`` tables and ``ratings.tsv``.

Readers add what is wrong to a list of problems and go on, so that a check can name everything at once. Every problem names
file, line and key.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

from distilmos_plugin.errors import some

RATINGS_HEADER = ("key", "listener", "target", "value")
NO_LABEL = "-"
SHOWN = 3  # problems of one kind that are listed

Value = TypeVar("Value")


class Rating(NamedTuple):
    """One answer of one listener, in the target's own unit (MOS points for ``mos``)."""

    key: str
    listener: str
    target: str
    value: float


def number(text: str) -> float:
    """Convert a rating; ValueError for anything but a finite number."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


def label(text: str) -> float:
    """Convert a label, NaN for ``-``: the clip has none; ValueError for anything but that and a finite number."""
    return math.nan if text == NO_LABEL else number(text)


def whole_number(text: str) -> int:
    """Convert a count or a rate; ValueError for anything but a whole number above 0."""
    value = int(text)
    if value < 1:
        raise ValueError
    return value


EXPECTED = {number: "a finite number", label: "a finite number, or - for no label", whole_number: "a whole number above 0"}


def read_lines(file: Path, problems: list[str]) -> list[tuple[int, str]]:
    """Return the non-empty lines with their numbers, without a byte order mark and CRLF line ends, as Windows writes them."""
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        problems.append(f"{file}: {error.strerror}")
        return []
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        problems.append(f"{file}: line {line}: not UTF-8 text")
        return []
    lines = [(line_number, line.removesuffix("\r")) for line_number, line in enumerate(text.split("\n"), start=1)]
    lines = [(line_number, line) for line_number, line in lines if line.strip()]
    if not lines:
        problems.append(f"{file}: the file is empty; fill it or remove it")
    return lines


def read_table(file: Path, convert: Callable[[str], Value], problems: list[str], ordered: bool = True) -> dict[str, Value]:
    """Read ``<key> <value>`` lines: keys end at the first blank or tab, values run to the end of the line."""
    table: dict[str, Value] = {}
    found: dict[str, list[str]] = {"form": [], "twice": [], "order": [], "value": []}
    seen: dict[str, int] = {}
    last = ""
    for line_number, line in read_lines(file, problems):
        key, *rest = re.split(r"[ \t]+", line.strip(" \t"), maxsplit=1)
        where = f"{file}: line {line_number}: key '{key}'"
        if not rest:
            found["form"].append(f"{where}: no value behind the key; expected '<key> <value>'")
            continue
        if key in seen:
            found["twice"].append(f"{where}: the key is on line {seen[key]} already")
            continue
        if ordered and key < last:
            found["order"].append(f"{where}: comes after '{last}'; sort the file: LC_ALL=C sort -o {file} {file}")
        seen[key] = line_number
        last = key
        try:
            table[key] = convert(rest[0])
        except ValueError:
            found["value"].append(f"{where}: '{rest[0]}' is not {EXPECTED[convert]}")
            table[key] = convert("1")  # goes on so that the key is not reported as missing too
    add_first_few(found, problems)
    return table


def add_first_few(found: Mapping[str, list[str]], problems: list[str]) -> None:
    """Add the first few problems of each kind, and how many more there are."""
    for messages in found.values():
        problems += messages[:SHOWN]
        if len(messages) > SHOWN:
            problems[-1] += f" (and {len(messages) - SHOWN} more like this)"


def read_ratings(file: Path, wav_file: Path, wav: Mapping[str, str], problems: list[str]) -> tuple[Rating, ...] | None:
    """Read ``key listener target value`` lines, parted by tabs (or by blanks, where a line has no tab)."""
    if not file.is_file():
        return None
    ratings: list[Rating] = []
    found: dict[str, list[str]] = {"form": [], "order": [], "value": []}
    lines = read_lines(file, problems)
    if lines and tuple(_fields(lines[0][1])) == RATINGS_HEADER:
        lines = lines[1:]
        if not lines:
            problems.append(f"{file}: the file has a header and no rating; fill it or remove it")
    for line_number, line in lines:
        fields = _fields(line)
        where = f"{file}: line {line_number}: key '{fields[0]}'"
        if len(fields) != len(RATINGS_HEADER):
            found["form"].append(f"{where}: {len(fields)} fields; expected '<key> <listener> <target> <value>' parted by tabs")
            continue
        if ratings and fields[0] < ratings[-1].key:
            found["order"].append(f"{where}: comes after '{ratings[-1].key}'; sort the file: LC_ALL=C sort -o {file} {file}")
        try:
            ratings.append(Rating(*fields[:3], number(fields[3])))
        except ValueError:
            found["value"].append(f"{where}: '{fields[3]}' is not {EXPECTED[number]}")
            ratings.append(Rating(*fields[:3], 0.0))
    add_first_few(found, problems)
    compare_keys(wav_file, wav, file, dict.fromkeys(rating.key for rating in ratings), problems)
    return tuple(ratings)


def _fields(line: str) -> list[str]:
    return line.split("\t") if "\t" in line else line.split()


def compare_keys(
    first_file: Path, first: Mapping[str, object], second_file: Path, second: Mapping[str, object], problems: list[str]
) -> None:
    """Add a problem if two files disagree on their keys, with the first few keys on either side."""
    if not first or not second:  # an empty file has been reported as such
        return
    only_first, only_second = (sorted(a.keys() - b.keys()) for a, b in ((first, second), (second, first)))
    sides = [
        f"{len(keys)} only in {file.name} ({some(keys, SHOWN)})"
        for file, keys in ((first_file, only_first), (second_file, only_second))
        if keys
    ]
    if sides:
        problems.append(f"{second_file}: keys disagree with {first_file.name}: {'; '.join(sides)}")
