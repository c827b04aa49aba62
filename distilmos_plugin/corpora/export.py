"""Data directories as tables of other toolkits: SHEET's CSV, and the JSON lines of URGENT 2026.

Both are read again by the importer ``table``, with the same clips, systems, labels and ratings.
"""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

from distilmos_plugin.corpora import corpus_of
from distilmos_plugin.corpora.importing import id_of
from distilmos_plugin.data.directory import DataDirectory
from distilmos_plugin.errors import DataError, some
from distilmos_plugin.files import atomic_write

SHEET = ("wav_path", "system_id", "sample_id", "score", "listener_id")  # unilight/sheet, README: data format
SUFFIXES = (".csv", ".jsonl")


def export_table(directory: DataDirectory, output: str | os.PathLike, target: str = "mos") -> None:
    """Write the clips of a data directory as one table; the ending of its name chooses the form.

    ``.csv`` is SHEET's: a row a rating of ``target`` where there are ratings of it, else a row a clip without a listener.
    ``sample_id`` is the corpus's own id, without the name of the corpus that an importer put in front. Where there are no
    systems ``system_id`` repeats the id, which is how SHEET says so. ``.jsonl`` has one object a clip with all labels.

    Args:
        directory: with labels of ``target``.
        output: the file.
        target: what ``score`` is, in a CSV.

    Raises:
        DataError: if the ending is another or there are no labels.
    """
    output = Path(output)
    if output.suffix not in SUFFIXES:
        raise DataError(f"{output}: expected the ending {some(SUFFIXES)}, found '{output.suffix}'")
    if target not in directory.targets:
        raise DataError(f"{directory.path}: no utt2{target}; it has labels for {some(directory.targets) or 'nothing'}")
    ids = _ids(directory)
    with atomic_write(output) as file:
        if output.suffix == ".csv":
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(SHEET)
            writer.writerows(_sheet_rows(directory, ids, target))
        else:
            file.writelines(json.dumps(entry, ensure_ascii=False) + "\n" for entry in _json_entries(directory, ids))


def _ids(directory: DataDirectory) -> dict[str, str]:
    """Return key -> id as the corpus has it."""
    corpus = corpus_of(directory.path)
    return {key: id_of(key) if corpus and key.startswith(f"{corpus}/") else key for key in directory.keys}


def _sheet_rows(directory: DataDirectory, ids: dict[str, str], target: str) -> list[tuple[str, ...]]:
    ratings: dict[str, list[tuple[str, float]]] = {}
    for rating in directory.ratings or ():
        if rating.target == target:
            ratings.setdefault(rating.key, []).append((rating.listener, rating.value))
    rows = []
    for key, wav in directory.wav.items():
        system = directory.systems[key] if directory.systems else ids[key]
        for listener, value in ratings.get(key, [("", directory.targets[target][key])]):
            rows.append((wav, system, ids[key], _number(value), listener))
    return rows


def _json_entries(directory: DataDirectory, ids: dict[str, str]) -> list[dict[str, object]]:
    entries = []
    for key, wav in directory.wav.items():
        entry: dict[str, object] = {"audio_path": wav, "sample_id": ids[key]}
        if directory.systems:
            entry["system_id"] = directory.systems[key]
        entries.append(entry | {"metrics": {target: labels[key] for target, labels in directory.targets.items()}})
    return entries


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
