"""From score files to the answer of a challenge.

Nothing is packed that a scoring program would refuse: an id that is missing, extra or there twice, a clip without a score, a
score that is not finite. Each is said by name.
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from distilmos_plugin.corpora import CORPORA, importer
from distilmos_plugin.corpora.importing import MANIFEST, MISSING, id_of
from distilmos_plugin.corpora.root import stem
from distilmos_plugin.data.directory import WAV, read_wav_scp
from distilmos_plugin.errors import DataError, some
from distilmos_plugin.integrations.challenges.answers import SHOWN, Answer, write_answer
from distilmos_plugin.integrations.challenges.formats import PAIR, Challenge, Column, challenge_named
from distilmos_plugin.progress import say
from distilmos_plugin.scoring.results import Score, read_scores

Paths = Sequence[str | os.PathLike]
Ids = Mapping[str, tuple[str, ...]]  # corpus: ids


def pack(
    challenge: str, scores: Paths, output: str | os.PathLike, *, data: Paths = (), ids: Paths = (), columns: str | None = None
) -> Answer:
    """Write the answer to a challenge as a zip file.

    Args:
        challenge: a key of :data:`~.formats.CHALLENGES`.
        scores: score files; of several corpora (VoiceMOS 2022) each in its own or all in one.
        output: the zip file.
        data: data directories with the clips that are asked for.
        ids: or the lists of the challenge (``eval_list.txt``), one file a corpus in the challenge's order. Without either, the
            number of clips has to be that of the challenge.
        columns: order of the columns, where the challenge does not document one.

    Raises:
        DataError: naming the ids that are missing, extra, there twice or without a finite score.
    """
    form = challenge_named(challenge)
    order = form.ordered(columns)
    rows = _collect(form, scores)
    expected = _expected_in(form, data) if data else _listed(form, ids)
    there = _available(form, order, rows)
    answer = Answer(form, there, _sorted(form, there, rows, expected), _pairs(form, data))
    write_answer(output, answer)
    say(f"{form.name}: {len(answer.rows)} lines in {output} ({form.file})")
    return answer


def pack_stage(scores: Paths, data: Paths, folder: str | os.PathLike, columns: str | None = None) -> list[Path]:
    """Pack what belongs to a challenge of the score files of a recipe, each with its data directory; say what does not.

    Returns:
        The zip files: ``<folder>/<challenge>.zip``.
    """
    parts: dict[str, list[int]] = {}
    for number, directory in enumerate(data):
        keys = read_wav_scp(Path(directory) / WAV)
        names = {corpus for corpus in (key.partition("/")[0] for key in keys) if corpus in CORPORA}
        challenge = importer(min(names)).CARD.challenge if len(names) == 1 else ""
        if challenge and all("/" not in id_of(key) for key in keys):
            parts.setdefault(challenge, []).append(number)
    written = []
    for challenge, numbers in parts.items():
        path = Path(folder) / f"{challenge}.zip"
        mine = [[files[number] for number in numbers] for files in (scores, data)]
        try:
            pack(challenge, mine[0], path, data=mine[1], columns=columns)
        except DataError as error:
            path.unlink(missing_ok=True)
            say(f"no answer is packed: {error}")
        else:
            written.append(path)
    if not parts:
        say("none of the test sets belongs to a challenge: nothing to pack")
    return written


def compare_ids(form: Challenge, names: Sequence[str], data: Paths = (), ids: Paths = ()) -> str:
    """Return what is wrong with the ids of an answer, or an empty string; arguments as of :func:`pack`."""
    expected = _expected_in(form, data) if data else _listed(form, ids)
    if expected is None:
        return _wrong_number(form, len(names))
    present, known, problems = set(names), set(), []
    for corpus in form.corpora:
        wanted = {_line_id(form, name) for name in expected.get(corpus, ())}
        known |= wanted
        if corpus != form.corpora[0] and not wanted & present:
            continue  # a part that may be left out
        if not wanted:
            problems.append(f"{corpus} has to be in it, and its clips are not given: --data or --ids")
        if wanted - present:
            problems.append(
                f"clips of {corpus} that are missing: {len(wanted - present)} ({some(sorted(wanted - present), SHOWN)})"
            )
    if present - known:
        problems.append(f"clips that are not asked for: {len(present - known)} ({some(sorted(present - known), SHOWN)})")
    return "; ".join(problems)


def _wrong_number(form: Challenge, lines: int) -> str:
    """Return what is wrong with the number of lines, going by the challenge alone."""
    totals = {0}
    for corpus in form.corpora:
        more = {total + count for total in totals for count in form.counts.get(corpus, ())}
        totals = more if corpus == form.corpora[0] else totals | more
    if not totals:
        return f"how many lines {form.name} wants is not published: give --data or --ids"
    if lines in totals:
        return ""
    return f"{lines} lines, {' or '.join(map(str, sorted(totals)))} expected: give --data or --ids to see which"


def _collect(form: Challenge, files: Paths) -> dict[str, dict[str, Score]]:
    """Return corpus -> id -> score."""
    rows: dict[str, dict[str, Score]] = {corpus: {} for corpus in form.corpora}
    foreign, twice = [], []
    for number, file in enumerate(files):
        by_place = form.corpora[min(number, len(form.corpora) - 1)]  # of keys that do not name their corpus
        for score in read_scores(file):
            corpus, name = _place(score.key, form.corpora, by_place)
            if corpus not in rows or "/" in name:
                foreign.append(score.key)
            elif name in rows[corpus]:
                twice.append(score.key)
            else:
                rows[corpus][name] = score
    if foreign:
        raise DataError(f"{form.name}: scores of clips that are not asked for: {len(foreign)} ({some(foreign, SHOWN)})")
    if twice:
        raise DataError(f"{form.name}: ids with more than one score: {len(twice)} ({some(twice, SHOWN)})")
    return {corpus: table for corpus, table in rows.items() if table}


def _place(key: str, corpora: Sequence[str], by_place: str) -> tuple[str, str]:
    """Return corpus and id of a key; a key without a corpus, such as a file name, is of the corpus ``by_place``."""
    prefix = key.partition("/")[0]
    if prefix in CORPORA and "/" in key:
        return prefix, id_of(key)
    return by_place, stem(key.rpartition("/")[2])


def _expected_in(form: Challenge, directories: Paths) -> Ids:
    """Return the ids of data directories, with those that their corpus lists as missing."""
    expected: dict[str, list[str]] = {}
    for directory in map(Path, directories):
        names = [_place(key, form.corpora, form.corpora[0]) for key in read_wav_scp(directory / WAV)]
        for corpus, name in names:
            expected.setdefault(corpus, []).append(name)
        expected.setdefault(names[0][0], []).extend(_missing(directory))
    for corpus, counts in form.counts.items():
        found = _lines(form, expected.get(corpus, ()))
        if found and found not in counts:
            said = " or ".join(map(str, counts))
            say(f"warning: {form.name}: {found} clips of {corpus} are asked for here, the challenge has {said}")
    return {corpus: tuple(names) for corpus, names in expected.items()}


def _missing(directory: Path) -> list[str]:
    path = directory.parent / MISSING
    if not path.is_file():
        return []
    with open(path, encoding="utf-8", newline="") as file:
        return [row["id"] for row in csv.DictReader(file, delimiter="\t") if row["set"] == directory.name]


def _listed(form: Challenge, lists: Paths) -> Ids | None:
    if len(lists) > len(form.corpora):
        raise DataError(f"{form.name}: {len(lists)} lists of ids; it has {len(form.corpora)} parts: {some(form.corpora)}")
    expected = {}
    for corpus, file in zip(form.corpora, lists, strict=False):
        try:
            lines = Path(file).read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{form.name}: {file}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
        expected[corpus] = tuple(stem(line.partition(",")[0].strip()) for line in lines if line.strip())
    return expected or None


def _lines(form: Challenge, names: Iterable[str]) -> int:
    """Return how many lines clips make in an answer: a pair is one."""
    return len({_line_id(form, name) for name in names})


def _line_id(form: Challenge, name: str) -> str:
    return name[:-2] if form.pairs and name.endswith(("_a", "_b")) else name


def _available(form: Challenge, order: tuple[Column, ...], rows: Mapping[str, Mapping[str, Score]]) -> tuple[Column, ...]:
    """Return the columns that the scores have targets for."""
    predicted = {target for table in rows.values() for score in table.values() for target in score.targets}
    there = tuple(column for column in order if set(column.targets) <= predicted)
    absent = [column for column in order if column.required and column not in there]
    if absent or not there:
        needed = some([target for column in absent or order for target in column.targets if target not in predicted], 8)
        raise DataError(f"{form.name}: the scores have {some(sorted(predicted)) or 'no target'}; it needs {needed} too")
    return there


def _sorted(
    form: Challenge, columns: Sequence[Column], rows: Mapping[str, Mapping[str, Score]], expected: Ids | None
) -> dict[str, dict[str, float]]:
    """Return the lines of the answer, checked: the corpora in the challenge's order, and in each the ids sorted."""
    if form.corpora[0] not in rows:
        raise DataError(f"{form.name}: no scores of {form.corpora[0]}; an answer without it is refused by the challenge")
    lines: dict[str, dict[str, float]] = {}
    for corpus in form.corpora:
        known = None if expected is None else expected.get(corpus, ())
        part = _part(form, columns, corpus, rows.get(corpus, {}), known)
        both = sorted(lines.keys() & part.keys())
        if both:
            raise DataError(f"{form.name}: ids that are in more than one corpus: {len(both)} ({some(both, SHOWN)})")
        lines |= part
    return lines


def _part(
    form: Challenge, columns: Sequence[Column], corpus: str, scores: Mapping[str, Score], known: Sequence[str] | None
) -> dict[str, dict[str, float]]:
    """Return the lines of one corpus."""
    targets = [target for column in columns for target in column.targets]
    wanted = set(scores) if known is None else set(known)
    reasons = {name: _reason(score, targets) for name, score in scores.items() if name in wanted}
    problems = [
        f"clips of {corpus} that {kind}: {len(names)} ({some(names, SHOWN)})"
        for kind, names in (
            ("are not of this challenge", [name for name in scores if not form.is_id(_line_id(form, name))]),
            ("have no score", sorted(wanted - set(scores))),
            ("are not asked for", sorted(set(scores) - wanted)),
            ("have no finite score", sorted(f"{name}: {reason}" for name, reason in reasons.items() if reason)),
        )
        if names
    ]
    counts = form.counts.get(corpus, ())
    lines = _lines(form, scores)
    if known is None and scores and not counts:
        problems.append(f"how many clips {corpus} has is not published: give --data or --ids")
    if known is None and scores and counts and lines not in counts:
        problems.append(
            f"{lines} clips of {corpus}, {' or '.join(map(str, counts))} expected: give --data or --ids to see which"
        )
    if problems:
        raise DataError(f"{form.name}: {'; '.join(problems)}")
    return _rows(form, columns, scores)


def _reason(score: Score, targets: Sequence[str]) -> str:
    """Return why a score cannot be sent, or an empty string."""
    if not score.ok:
        return score.status
    absent = [target for target in targets if target not in score.targets]
    if absent:
        return f"no {some(absent)}"
    return "" if all(math.isfinite(score.targets[target]) for target in targets) else "not finite"


def _rows(form: Challenge, columns: Sequence[Column], scores: Mapping[str, Score]) -> dict[str, dict[str, float]]:
    limits = {target: column.limits for column in columns for target in column.targets}
    rows = {}
    for name in sorted({_line_id(form, name) for name in scores}):
        if name in scores:
            rows[name] = {target: _within(scores[name].targets[target], bounds) for target, bounds in limits.items()}
            continue
        a, b = scores.get(f"{name}_a"), scores.get(f"{name}_b")
        if a is None or b is None:
            raise DataError(f"{form.name}: one recording of the pair '{name}' has no score")
        rows[name] = {target: _within(a.targets[target] - b.targets[target], form.pairs) for target in limits}
    return rows


def _within(value: float, limits: tuple[float, float] | None) -> float:
    return value if limits is None else min(max(value, limits[0]), limits[1])


def _pairs(form: Challenge, directories: Paths) -> dict[str, tuple[str, ...]]:
    """Return id -> the columns that name a pair, from the manifests of the data directories."""
    if form.header != PAIR:
        return {}
    pairs = {}
    for directory in map(Path, directories):
        path = directory / MANIFEST
        if not path.is_file():
            raise DataError(
                f"{form.name}: {path}: no such file; it names the recordings of each pair: import the corpus again"
            )
        with open(path, encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                pairs[id_of(row["key"])] = tuple(row[column] for column in PAIR)
    if not pairs:
        raise DataError(f"{form.name}: the answer names both recordings of a pair: give the data directory, --data")
    return pairs
