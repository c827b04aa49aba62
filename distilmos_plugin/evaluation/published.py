"""Published figures of other systems, to stand beside ours where the test set is the same.

The figures are in ``published.yaml``, each with the source that it was read from and what speaks against comparing it.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from distilmos_plugin.corpora import CORPORA, corpus_of, importer
from distilmos_plugin.corpora.pooling import OUT_OF_DOMAIN, TEST
from distilmos_plugin.evaluation.correlations import METRICS
from distilmos_plugin.evaluation.tables import figure

FILE = "published.yaml"
TARGET = "mos"  # published figures are of overall quality
LEVELS = ("utterance", "system")
FEWEST_DIGITS = 2  # behind the point: 0.90 reads as 0.9 from the file


@dataclass(frozen=True)
class Published:
    """Figures of one model on one test set.

    Attributes:
        model: who.
        levels: ``utterance`` and ``system``, as far as published: figure -> value.
        source: where the figures were read.
        caveats: what a reader must know before comparing them.
    """

    model: str
    levels: Mapping[str, Mapping[str, float]]
    source: str
    caveats: tuple[str, ...]


def published(corpus: str, test_set: str) -> tuple[Published, ...]:
    """Return what others published on a test set of a corpus; empty where nothing is known.

    >>> published("bvcc", "test")[0].levels["utterance"]["srcc"]
    0.87
    """
    table = _table()
    rows = table["figures"].get(f"{corpus}/{test_set}", ())
    return tuple(_row(row, table["sources"]) for row in rows)


def known_sets(corpus: str) -> list[str]:
    """Return the test sets of a corpus that figures are known of."""
    places = (place.split("/") for place in _table()["figures"])
    return [name for known, name in places if known == corpus]


def place_of(directory: str | os.PathLike) -> tuple[str, str] | None:
    """Return corpus and set of a data directory that an importer made, also in a pool; None for any other.

    Sets of a pool are called ``test_<corpus>[_<rest>]`` and ``test_ood_<corpus>[_<rest>]`` (:mod:`~.corpora.pooling`).
    """
    name, part = corpus_of(directory), Path(directory).name
    if name in CORPORA:
        return name, part
    if name is None or "+" not in name:
        return None
    member = part.removeprefix(f"{TEST}_").removeprefix(f"{OUT_OF_DOMAIN}_")
    corpora = [corpus for corpus in CORPORA if f"{member}_".startswith(f"{corpus}_")]
    corpus = max(corpora, key=len, default=None)
    return (corpus, f"{TEST}{member.removeprefix(corpus)}") if corpus else None


def published_tables(ours: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Iterator[str]:
    """Yield Markdown: for each test set and level a table of our figures and the published ones, then the sources.

    Args:
        ours: corpus -> test set -> content of its ``metrics.json``. Of a corpus without any, all test sets that others
            published on are shown.
    """
    cited: dict[str, int] = {}
    for corpus, sets in ours.items():
        for test_set in sets or known_sets(corpus):
            clips = importer(corpus).CARD.clips.get(test_set)
            for level in LEVELS:
                known = [row for row in published(corpus, test_set) if row.levels.get(level)]
                if known:
                    yield f"### {corpus}, {test_set}, {level} level"
                    yield ""
                    yield from _table_of(known, level, sets.get(test_set, {}), clips, cited)
                    yield ""
    for source, number in cited.items():
        yield f"{number}. {source}"
    if cited:
        yield ""


def _table_of(
    known: Sequence[Published], level: str, ours: Mapping[str, Any], clips: int | None, cited: dict[str, int]
) -> Iterator[str]:
    """Yield one table; sources are numbered in the order in which they are cited.

    Where ours is not of all ``clips`` of the set it says so: the others' figures are of another set then.
    """
    yield _line(["", *(name.upper() for name in METRICS), ""])
    yield _line(["---", *["--:"] * len(METRICS), "---"])
    block = ours.get(level) if ours.get("target") == TARGET else None
    if block is not None:
        count = ours["n_utterances"]
        caveat = f"{count} of the {clips} clips that the others are on" if clips not in (None, count) else ""
        yield _line(["**ours**", *(figure(block[name], block[f"{name}_ci"]) for name in METRICS), caveat])
    for row in known:
        number = cited.setdefault(row.source, len(cited) + 1)
        yield _line([row.model, *_cells(row.levels[level]), "; ".join([f"[{number}]", *row.caveats])])


def _cells(figures: Mapping[str, float]) -> list[str]:
    """Write figures with as many digits as the row was published with; a missing one is an empty cell."""
    digits = max(len(repr(value).split(".")[1]) for value in figures.values())
    return [f"{figures[name]:.{max(digits, FEWEST_DIGITS)}f}" if name in figures else "" for name in METRICS]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _row(row: Mapping[str, Any], sources: Mapping[str, Mapping[str, str]]) -> Published:
    source = sources[row["source"]]
    levels = {level: row[level] for level in LEVELS if level in row}
    text = f"{source['title']}: {source['note']}." if source.get("note") else f"{source['title']}."
    return Published(row["model"], levels, text, tuple([row["note"]] if row.get("note") else []))


@functools.cache
def _table() -> dict[str, Any]:
    text = resources.files("distilmos_plugin.evaluation").joinpath(FILE).read_text(encoding="utf-8")
    return yaml.safe_load(text)
