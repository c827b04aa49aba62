"""Corpora: one importer a corpus, each a module that makes data directories.

An importer is a module with a docstring (source, licence, size, rate, layout, citation), a ``CARD`` (:class:`.card.Card`) and
one function ``read(root, *, ...)`` that returns the clips of each set; its keywords are its options, and :mod:`.importing`
does the rest. A corpus that is made rather than read has ``prepare(output, *, ...)`` instead. To add a corpus, copy one and
add its name here.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

from distilmos_plugin.corpora.card import Card
from distilmos_plugin.corpora.importing import import_corpus
from distilmos_plugin.errors import DataError, some, suggest
from distilmos_plugin.files import STAMP

LABELS = "labels.json"  # in a data directory: target -> model that gave its labels

CORPORA: dict[str, str] = {  # name: module of the importer
    name: f"distilmos_plugin.corpora.{name}"
    for name in (
        "mini",
        "bvcc",
        "bc19",
        "vmc2023_track1",
        "vmc2023_track2",
        "vmc2023_track3",
        "vmc2024_track1",
        "vmc2024_track2",
        "vmc2024_track3",
        "audiomos2025_track1",
        "audiomos2025_track2",
        "audiomos2025_track3",
        "vmc2026_track1",
        "vmc2026_track2",
        "vmc2026_track3",
        "tmhint_qi",
        "urgent2024",
        "vcc2018",
        "vcc2020",
        "blizzard",
        "somos",
        "nisqa",
        "tencent",
        "pstn",
        "chime7_udase",
        "ttsds2",
        "tcd_voip",
        "singmos",
        "qualispeech",
        "brspeechmos",
        "hablamos",
        "table",
    )
}  # fmt: skip
LISTED = 5  # targets of a corpus in the table of all
_BOOLEANS = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


def importer(name: str) -> ModuleType:
    """Return the importer of a corpus.

    Raises:
        DataError: if the corpus is unknown; the message suggests the nearest.
    """
    if name not in CORPORA:
        raise DataError(f"unknown corpus '{name}'{suggest(name, CORPORA)} (known: {some(sorted(CORPORA), limit=50)})")
    return importlib.import_module(CORPORA[name])


def options(name: str) -> tuple[str, ...]:
    """Return the options that :func:`prepare` takes for a corpus.

    >>> options("mini")
    ('seed', 'nj', 'clean_dir', 'scale')
    """
    return tuple(_defaults(name))


def _defaults(name: str) -> dict[str, object]:
    """Return the options of a corpus with their default values."""
    module = importer(name)
    if hasattr(module, "prepare"):
        return _keywords(module.prepare)
    shared = _keywords(import_corpus)
    del shared["others"]
    return shared | _keywords(module.read)


def _keywords(function: Callable[..., object]) -> dict[str, object]:
    """Return the keyword-only parameters of a function with their defaults."""
    parameters = inspect.signature(function).parameters.values()
    return {parameter.name: parameter.default for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}


def prepare(name: str, output: str | os.PathLike, settings: Sequence[str] = (), **chosen: object) -> None:
    """Make the data directories of a corpus under ``output``; a corpus that is complete and current is left alone.

    Args:
        name: a key of :data:`CORPORA`.
        output: folder for the data directories (``<output>/train`` and so on).
        settings: options of the importer as text, ``name=value`` each.
        chosen: options of the importer; those that are None or False keep their default.

    Raises:
        DataError: if the corpus or an option is unknown, or the corpus is not as expected.
    """
    module = importer(name)
    defaults = _defaults(name)
    given = {option: value for option, value in chosen.items() if value is not None and value is not False}
    for setting in settings:
        option, equals, text = setting.partition("=")
        if not equals:
            raise DataError(f"the option '{setting}' has no value; expected name=value")
        given[option] = _value(name, option, text, defaults.get(option))
    for option in given:
        if option not in defaults:
            hint = suggest(option, defaults)
            raise DataError(f"the corpus '{name}' has no option '{option}'{hint} (known: {some(defaults, limit=50)})")
    if hasattr(module, "prepare"):
        module.prepare(output, **given)
    else:
        import_corpus(module.CARD, module.read, output, others=cards(), **given)


def _value(corpus: str, option: str, text: str, default: object) -> object:
    """Return the value of an option that was given as text: of the type of its default value."""
    if isinstance(default, bool):
        if text.lower() not in _BOOLEANS:
            raise DataError(f"{corpus}: the option '{option}' is yes or no, found '{text}'")
        return _BOOLEANS[text.lower()]
    if isinstance(default, int | float):
        try:
            return type(default)(text)
        except ValueError:
            raise DataError(f"{corpus}: the option '{option}' is a number, found '{text}'") from None
    return text


def cards() -> list[Card]:
    """Return the cards of all corpora, sorted by name."""
    return [importer(name).CARD for name in sorted(CORPORA)]


def corpus_of(directory: str | os.PathLike) -> str | None:
    """Return the name of the corpus that a data directory was made of: by an importer, or from one by pseudo-labelling.

    None for any other directory.
    """
    here = Path(directory).resolve()
    for folder in (here, here.parent):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            return str(json.loads((folder / STAMP).read_text(encoding="utf-8"))["inputs"]["corpus"])
    return None


def describe_labels(directory: str | os.PathLike) -> str | None:
    """Return a sentence on the labels of a data directory that models gave (``labels.json``); None where there are none."""
    try:
        models = json.loads((Path(directory) / LABELS).read_text(encoding="utf-8"))
        targets = {model: [target for target in models if models[target] == model] for model in models.values()}
    except (OSError, ValueError, AttributeError, TypeError):
        return None
    parts = [f"{', '.join(names)}: scores of {model}" for model, names in targets.items()]
    return f"Labels that are the outputs of a model, neither ratings nor measurements: {'; '.join(parts)}."


def describe_truth(directory: str | os.PathLike) -> str | None:
    """Return what stands behind a data directory's labels: its corpus, and the models that gave some of them.

    None where neither an importer nor the pseudo-labelling of this package made the data.
    """
    card = card_of(directory)
    sentences = [] if card is None else [f"Corpus {card.name}: {card.title}."]
    return " ".join([*sentences, *filter(None, [describe_labels(directory)])]) or None


def card_of(directory: str | os.PathLike) -> Card | None:
    """Return the card of the corpus that an importer made a data directory of; None for any other directory."""
    name = corpus_of(directory)
    return importer(name).CARD if name in CORPORA else None


def describe() -> str:
    """Return a table of all corpora: name, number of clips, targets, licence, what it is."""
    rows = [("corpus", "clips", "targets", "licence", "what")]
    for card in cards():
        clips = " ".join(f"{part} {count}" for part, count in card.clips.items())
        more = f" +{len(card.targets) - LISTED}" if len(card.targets) > LISTED else ""
        rows.append((card.name, clips or "-", " ".join(card.targets[:LISTED]) + more, card.licence, card.title))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
