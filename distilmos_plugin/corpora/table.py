"""Any listening test in a table of your own: CSV, TSV or JSON lines, with a map of its columns.

Source:   yours, ``--data-root FOLDER``.
Licence:  yours to say.
Size:     any.
Rate:     any; the files say it.
Layout:   one table a set, or one with a column that names the set; a row a rating or a row a clip.
          CSV and TSV have a header. No map is needed for SHEET's form, ``wav_path,system_id,sample_id,score,listener_id``, nor
          for the JSON lines of URGENT 2026, ``{"audio_path", "sample_id", "system_id", "metrics": {"mos": 3.5}}``.
Options:  ``table``: ``labels.csv``, or ``train=a.csv,dev=b.csv,test=c.csv``. A single table without a column for the set is
          test.
          ``columns``: ``role=column,...`` for the roles wav, id, system, listener, reference and split (:data:`ROLES` lists
          the names that are known anyway); ``role=`` says that there is none. Columns of nested JSON are ``metrics.mos``.
          ``targets``: ``name=column:lowest:highest,...``; the scale may be left out where it is 1 to 5. By default every
          column that is spelt like a known target (:data:`SPELLINGS`).
          ``wav``: where the audio is, if no column says it: ``audio/{id}.wav``.
          ``corpus``: its name, in front of every key.
Systems:  of the column; without one, or where it only repeats the id of the clip (SHEET's way of saying so), there are none.
Citation: W.-C. Huang, E. Cooper, T. Toda, "MOS-Bench: Benchmarking Generalization Abilities of Subjective Speech Quality
          Assessment Models", 2024, arXiv 2411.03715 (SHEET).
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distilmos_plugin.corpora.card import Card
from distilmos_plugin.corpora.importing import REFERENCE, Clip, Sets, import_corpus
from distilmos_plugin.corpora.root import Root, Row, stem
from distilmos_plugin.errors import DataError, some, suggest

CARD = Card(
    name="table",
    title="any listening test in a CSV, TSV or JSON-lines table",
    source="your own folder",
    licence="that of your recordings",
    clips={},
    targets=("mos",),
    scales={"mos": (1, 5)},
)
ROLES = {  # role: names of columns that have it unless the map says otherwise, the first that is there
    "wav": ("wav_path", "audio_path", "file_path", "filepath", "path", "wav", "audio"),
    "id": ("sample_id", "utt_id", "utterance_id", "id", "key"),
    "system": ("system_id", "system"),
    "listener": ("listener_id", "listener", "rater_id", "annotator"),
    "reference": ("ref_path", "reference_path"),
    "split": ("split", "set"),
}
SPELLINGS = {  # target: its spellings, in lower case
    "mos": ("score", "avg_score", "mos", "metrics.mos"),
    "ovrl": ("ovr", "ovrl", "mos_ovrl", "g-mos", "metrics.ovrl"),
    "sig": ("sig", "mos_sig", "s-mos", "metrics.sig"),
    "bak": ("bak", "mos_bak", "n-mos", "metrics.bak"),
    **{name: (name, f"metrics.{name}") for name in ("noi", "col", "dis", "loud")},
}
SETS = {"valid": "dev", "validation": "dev", "val": "dev", "eval": "test"}  # split in a table: our name
SCALE = (1.0, 5.0)
DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
JSON_LINES = (".jsonl", ".ndjson")


@dataclass(frozen=True)
class Target:
    """A column with labels: its name, and the lowest and highest label that can be."""

    column: str
    scale: tuple[float, float] = SCALE


@dataclass
class _Gathered:
    """What the rows of one clip say."""

    wav: str
    system: str
    reference: str
    labels: dict[str, list[float]] = field(default_factory=dict)
    ratings: list[tuple[str, str, float]] = field(default_factory=list)
    rows: int = 0


def prepare(
    output: str | os.PathLike,
    *,
    data_root: str | os.PathLike | None = None,
    table: str = "",
    columns: str = "",
    targets: str = "",
    wav: str = "",
    corpus: str = CARD.name,
    strict: bool = False,
    allow_missing: bool = False,
    subset: bool = False,
    nj: int = 4,
) -> None:
    """Make data directories from tables; see the module for the options.

    Args:
        output: folder for ``<set>/``.
        data_root: folder that paths in the tables are relative to.
        table, columns, targets, wav, corpus: as above.
        strict, allow_missing, subset, nj: as of :func:`~.importing.import_corpus`.

    Raises:
        DataError: one sentence that says what is wrong with an option, a table or the audio.
    """
    if not table:
        raise DataError("table: no table given: --option table=labels.csv, or table=train=a.csv,dev=b.csv,test=c.csv")
    if not re.fullmatch(r"\w[\w.-]*", corpus):
        raise DataError(f"table: '{corpus}' is no name of a corpus; use letters, digits, . - and _")
    chosen = _targets(targets)
    scales = {target: chosen[target].scale for target in chosen} if chosen else dict.fromkeys(SPELLINGS, SCALE)
    card = dataclasses.replace(CARD, name=corpus, targets=tuple(scales), scales=scales)
    checks = {"strict": strict, "allow_missing": allow_missing, "subset": subset, "nj": nj}
    options = {"table": table, "columns": columns, "targets": targets, "wav": wav}
    import_corpus(card, read, output, data_root=data_root, **checks, **options)


def read(root: Root, *, table: str, columns: str = "", targets: str = "", wav: str = "") -> Sets:
    """Return the sets of the tables."""
    roles, chosen = _pairs("columns", columns), _targets(targets)
    for role in roles:
        if role not in ROLES:
            raise DataError(f"{root.card.name}: columns: no role '{role}'{suggest(role, ROLES)}; there are {some(ROLES, 9)}")
    tables = _pairs("table", table) if "=" in table else {"": table}
    sets: dict[str, dict[str, _Gathered]] = {}
    for part, file in tables.items():
        rows = _rows(root, file)
        _gather(root, rows, _Columns.find(rows[0], roles, chosen, wav), part, sets)
    return {part: _clips(root, part, gathered) for part, gathered in sets.items()}


@dataclass(frozen=True)
class _Columns:
    """Which column has which role in one table; an empty name for a role that none has."""

    roles: Mapping[str, str]
    targets: Mapping[str, Target]
    template: str

    @classmethod
    def find(cls, row: Row, roles: Mapping[str, str], targets: Mapping[str, Target], template: str) -> _Columns:
        table = row.where.rpartition(": line")[0]
        found = {}
        for role, names in ROLES.items():
            found[role] = roles.get(role, next((name for name in names if name in row.fields), ""))
        if not targets:
            lower = {name.lower(): name for name in row.fields}
            known = {target: [lower[name] for name in names if name in lower] for target, names in SPELLINGS.items()}
            targets = {target: Target(names[0]) for target, names in known.items() if names}
        for column in (*found.values(), *(target.column for target in targets.values())):
            if column and column not in row.fields:
                raise DataError(f"{table}: no column '{column}'{suggest(column, row.fields)}; it has {some(row.fields, 12)}")
        if not targets:
            raise DataError(f"{table}: no column with labels is known; say which: --option targets=mos=COLUMN:1:5 "
                            f"(it has {some(row.fields, 12)})")  # fmt: skip
        if not found["wav"] and not (template and found["id"]):
            raise DataError(f"{table}: no column with the path of the audio; say which: --option columns=wav=COLUMN, "
                            f"or --option wav=audio/{{id}}.wav (it has {some(row.fields, 12)})")  # fmt: skip
        return cls(found, targets, template)

    def text(self, row: Row, role: str) -> str:
        """Return the text of a role; empty where no column has it."""
        return row.fields.get(self.roles[role], "")


def _gather(root: Root, rows: Sequence[Row], columns: _Columns, part: str, sets: dict[str, dict[str, _Gathered]]) -> None:
    """Add the rows of one table to the clips of the sets."""
    for row in rows:
        split = part or columns.text(row, "split") or "test"
        split = SETS.get(split, split)
        if not re.fullmatch(r"\w[\w.-]*", split):
            raise DataError(f"{row.where}: '{split}' is no name of a set; use letters, digits, . - and _")
        path = columns.text(row, "wav") or columns.template.replace("{id}", columns.text(row, "id"))
        name = columns.text(row, "id") or stem(path.removeprefix("./"))
        if not name:
            raise DataError(f"{row.where}: the id of the clip is empty")
        clip = sets.setdefault(split, {}).setdefault(
            name, _Gathered(path, columns.text(row, "system"), columns.text(row, "reference"))
        )
        if clip.wav != path:
            raise DataError(
                f"{row.where}: the id '{name}' is of {path} here and of {clip.wav} before; "
                "where ids repeat, take the path: --option columns=id="
            )
        if clip.system != (system := columns.text(row, "system")):
            raise DataError(f"{row.where}: '{name}' is of the system '{system}' here and of '{clip.system}' before")
        clip.rows += 1
        listener = columns.text(row, "listener")
        for target, where in columns.targets.items():
            if not row[where.column]:
                root.notes[:] = dict.fromkeys([*root.notes, f"rows without a value in '{where.column}' are not counted"])
            elif listener:
                clip.ratings.append((listener, target, row.number(where.column)))
            else:
                clip.labels.setdefault(target, []).append(row.number(where.column))


def _clips(root: Root, part: str, gathered: Mapping[str, _Gathered]) -> list[Clip]:
    repeats = all(clip.system == name for name, clip in gathered.items())
    without = [name for name, clip in gathered.items() if not clip.system]
    if without and len(without) < len(gathered):
        raise DataError(f"{root.card.name}: {part}: {len(without)} clips have no system and others have: {some(without)}")
    if repeats:
        root.notes.append(f"{part}: the system of every clip is its own id, so there are no systems")
    labelled = {target for clip in gathered.values() for target in (*clip.labels, *(row[1] for row in clip.ratings))}
    clips = []
    for name, clip in gathered.items():
        if clip.labels and clip.ratings:
            raise DataError(f"{root.card.name}: {part}: '{name}' has rows with a listener and rows without")
        if gap := labelled - {*clip.labels, *(row[1] for row in clip.ratings)}:
            raise DataError(f"{root.card.name}: {part}: '{name}' has no label for {some(sorted(gap))}, others have")
        about = {REFERENCE: clip.reference} if clip.reference else {}
        if clip.labels and clip.rows > 1:
            about["n_rows"] = str(clip.rows)
        means = {target: math.fsum(values) / len(values) for target, values in clip.labels.items()}
        system = None if repeats else clip.system or None
        clips.append(Clip(name, clip.wav, means, system, tuple(clip.ratings), about))
    return clips


def _pairs(option: str, text: str) -> dict[str, str]:
    """Read ``a=x,b=y``."""
    pairs = {}
    for item in filter(None, text.split(",")):
        left, equals, right = item.partition("=")
        if not equals or not left.strip():
            raise DataError(f"table: option {option}: expected name=value, parted by commas; found '{item}'")
        pairs[left.strip()] = right.strip()
    return pairs


def _targets(text: str) -> dict[str, Target]:
    """Read ``name=column:lowest:highest,...``."""
    targets = {}
    for name, value in _pairs("targets", text).items():
        column, *scale = value.rsplit(":", 2) if value.count(":") >= 2 else [value]
        try:
            low, high = (float(scale[0]), float(scale[1])) if scale else SCALE
        except ValueError:
            raise DataError(f"table: option targets: '{value}': expected column:lowest:highest, as quality:0:100") from None
        if not re.fullmatch(r"\w+", name) or not low < high:
            raise DataError(f"table: option targets: '{name}={value}': a name of letters and digits, lowest below highest")
        targets[name] = Target(column, (low, high))
    return targets


def _rows(root: Root, file: str) -> list[Row]:
    """Read a table of any of the forms."""
    suffix = Path(file).suffix.lower()
    if suffix not in (*DELIMITERS, *JSON_LINES):
        raise DataError(f"{root.card.name}: {file}: expected {some((*DELIMITERS, *JSON_LINES), 9)}, found '{suffix}'")
    if not (root.path / file).is_file():
        raise DataError(
            f"{root.card.name}: {root.path / file}: no such table; expected below --data-root what the option `table` names"
        )
    if suffix in JSON_LINES:
        return _json_lines(root, root.file(file))
    return root.table(file, delimiter=DELIMITERS[suffix])


def _json_lines(root: Root, path: Path) -> list[Row]:
    rows = []
    for number, line in enumerate(root.lines(path.resolve()), start=1):
        where = f"{root.card.name}: {path}: line {number}"
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise DataError(f"{where}: not JSON: {error}") from None
        if not isinstance(entry, dict):
            raise DataError(f"{where}: expected an object {{...}}")
        rows.append(Row(dict(_flat(entry)), where))
    names = dict.fromkeys(name for row in rows for name in row.fields)
    return [Row({name: row.fields.get(name, "") for name in names}, row.where) for row in rows]


def _flat(entry: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    """Return the fields of an object, those of objects in it with dotted names, as text; lists are left out."""
    fields = []
    for name, value in entry.items():
        if isinstance(value, dict):
            fields += _flat(value, f"{before}{name}.")
        elif not isinstance(value, list):
            fields.append((f"{before}{name}", "" if value is None else str(value)))
    return fields
