"""Corpora: one importer a corpus, each a module that makes data directories.

An importer is a module with a docstring (source, licence, size, layout), a ``CARD`` (:class:`.card.Card`) and one function
``prepare(output, *, ...)`` whose keywords are its options. To add a corpus, copy one and add its name here.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
from pathlib import Path
from types import ModuleType

from distilmos_plugin.corpora.card import Card
from distilmos_plugin.errors import DataError, some, suggest
from distilmos_plugin.files import STAMP

CORPORA: dict[str, str] = {"mini": "distilmos_plugin.corpora.mini"}  # name: module of the importer


def importer(name: str) -> ModuleType:
    """Return the importer of a corpus.

    Raises:
        DataError: if the corpus is unknown; the message suggests the nearest.
    """
    if name not in CORPORA:
        raise DataError(f"unknown corpus '{name}'{suggest(name, CORPORA)}; known: {some(sorted(CORPORA), limit=50)}")
    return importlib.import_module(CORPORA[name])


def options(name: str) -> tuple[str, ...]:
    """Return the options that :func:`prepare` takes for a corpus.

    >>> options("mini")
    ('seed', 'nj', 'clean_dir', 'scale')
    """
    parameters = inspect.signature(importer(name).prepare).parameters.values()
    return tuple(parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY)


def prepare(name: str, output: str | os.PathLike, **chosen: object) -> None:
    """Make the data directories of a corpus under ``output``; a corpus that is complete and current is left alone.

    Args:
        name: a key of :data:`CORPORA`.
        output: folder for the data directories (``<output>/train`` and so on).
        chosen: options of the importer; those that are None keep their default.

    Raises:
        DataError: if the corpus or an option is unknown, or the corpus is not as expected.
    """
    module = importer(name)
    given = {option: value for option, value in chosen.items() if value is not None}
    for option in given:
        if option not in options(name):
            hint = suggest(option, options(name))
            raise DataError(f"the corpus '{name}' has no option '{option}'{hint}; it has {some(options(name), limit=50)}")
    module.prepare(output, **given)


def cards() -> list[Card]:
    """Return the cards of all corpora, sorted by name."""
    return [importer(name).CARD for name in sorted(CORPORA)]


def card_of(directory: str | os.PathLike) -> Card | None:
    """Return the card of the corpus that an importer made a data directory of; None for any other directory."""
    try:
        stamp = json.loads((Path(directory).resolve().parent / STAMP).read_text(encoding="utf-8"))
        name = stamp["inputs"]["corpus"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return importer(name).CARD if name in CORPORA else None


def describe() -> str:
    """Return a table of all corpora: name, number of clips, targets, what it is, licence."""
    rows = [("corpus", "clips", "targets", "what", "licence")]
    for card in cards():
        clips = " ".join(f"{part} {count}" for part, count in card.clips.items())
        rows.append((card.name, clips, " ".join(card.targets), card.title, card.licence))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
