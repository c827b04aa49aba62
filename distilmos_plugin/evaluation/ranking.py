"""Systems ranked by predicted score alone: means with intervals, and paired tests over the sentences that they share."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from distilmos_plugin.data.directory import DataDirectory
from distilmos_plugin.errors import DataError, some, suggest
from distilmos_plugin.evaluation.correlations import mean_half_width
from distilmos_plugin.evaluation.pairs import is_scored, load_scores, scored_targets, unscored
from distilmos_plugin.evaluation.plots import unit
from distilmos_plugin.evaluation.tables import SIGNIFICANT, align, figure
from distilmos_plugin.files import atomic_write, write_json
from distilmos_plugin.progress import say
from distilmos_plugin.scoring.gather import read_sentences
from distilmos_plugin.scoring.results import Score

RANKING, TABLE, REPORT = "ranking.json", "ranking.md", "report.html"
FEWEST = 2  # sentences: below, there is no interval
REPRODUCIBLE = 1e-5  # in the target's unit: scores of the same samples may differ by this much, so it is no difference


def rank(
    scores_path: str | Path,
    directory: DataDirectory,
    output: str | Path,
    *,
    target: str | None = None,
    sentence_from: str | None = None,
) -> dict[str, Any]:
    """Write ``ranking.json``, ``ranking.md`` and ``report.html`` of several systems' scores into the folder ``output``.

    Arguments and errors as of :func:`rank_systems`; ``ranking.json`` comes last.
    """
    from distilmos_plugin.evaluation.report import write_report

    output = Path(output)
    scores = load_scores(scores_path)
    ranking = rank_systems(scores, directory, target=target, sentence_from=sentence_from)
    with atomic_write(output / TABLE) as file:
        file.write(ranking_markdown(ranking))
    write_report(scores_path, output / REPORT, directory, ranking=ranking)
    write_json(output / RANKING, ranking)
    say(f"ranking: {output / REPORT}, {output / TABLE}, {output / RANKING}")
    return ranking


def rank_systems(
    scores: Sequence[Score], directory: DataDirectory, *, target: str | None = None, sentence_from: str | None = None
) -> dict[str, Any]:
    """Rank systems by the mean score of the sentences that all of them share.

    A pair of systems is compared on the sentences that both have, each with itself, so that what makes a sentence hard
    cancels out: Student's t for the mean difference. p is corrected for the number of pairs (Holm, Scand. J. Statist. 6,
    1979), so that one false difference among all pairs is as rare as :data:`~.tables.SIGNIFICANT` says.

    Args:
        scores: of one model.
        directory: with system ids; and ``utt2sentence``, where keys do not start with the system's name.
        target: which score; None takes the first.
        sentence_from: regular expression whose first group (the whole match without one), found in a key, is the sentence.

    Returns:
        ``signature``, ``target``, ``n_sentences`` (shared by all; 0 where there are none, and each mean is over the system's
        own), ``systems`` (best first: ``system``, ``n``, ``prediction``, ``prediction_ci``, ``place``: the best and worst
        place that the tests leave open), ``pairs`` (``a``, ``b``, ``n``, ``difference`` a - b, ``ci``, ``p``, ``p_holm``,
        ``significant``), ``test``, ``unscored`` (reason -> clips), ``notes``, and ``listening``: the sentences whose scores
        differ most, with the ``keys`` of their clips, best system first.

    Raises:
        DataError: without system ids, with fewer than two systems, an unknown target, or a sentence that comes twice.
    """
    known = scored_targets(scores)
    if target is None:
        target = known[0] if known else "mos"
    if target not in known:
        raise DataError(f"no score for '{target}'{suggest(target, known)} (there are: {some(known) or 'none'})")
    clips = _clips([score for score in scores if is_scored(score, target)], directory, sentence_from)
    table = {name: {sentence: score.targets[target] for sentence, score in own.items()} for name, own in clips.items()}
    if not table:
        keys = some([score.key for score in scores], 3)
        raise DataError(f"{directory.path}: none of its clips has a score for '{target}' (scores: {keys})")
    if len(table) < 2:
        raise DataError(f"{directory.path}: scores of {some(table)}; a ranking needs two systems or more")
    shared = sorted(set.intersection(*(set(own) for own in table.values())))
    chosen = {name: shared if len(shared) >= FEWEST else sorted(own) for name, own in table.items()}
    rows = [_row(name, [table[name][sentence] for sentence in chosen[name]]) for name in table]
    rows.sort(key=lambda row: (-row["prediction"], row["system"]))
    pairs = [_compare(a["system"], b["system"], table) for a, b in combinations(rows, 2)]
    _correct(pairs)
    for row in rows:
        row["place"] = _place(row["system"], pairs, len(rows))
    return {
        "signature": scores[0].signature,
        "target": target,
        "n_sentences": len(shared) if len(shared) >= FEWEST else 0,
        "systems": rows,
        "pairs": pairs,
        "test": "paired Student's t over shared sentences, two-sided, p corrected by Holm's method",
        "unscored": dict(sorted(Counter(unscored(scores, directory).values()).items())),
        "notes": _notes(table, shared, pairs),
        "listening": [
            {"sentence": sentence, "keys": [clips[row["system"]][sentence].key for row in rows]}
            for sentence in _apart(table, shared)
        ],
    }


def _clips(scores: Sequence[Score], directory: DataDirectory, sentence_from: str | None) -> dict[str, dict[str, Score]]:
    """Return system -> sentence -> score, systems sorted."""
    if directory.systems is None:
        raise DataError(f"{directory.path}: no utt2system, which a ranking needs; `distilmos corpus gather` writes one")
    sentences = read_sentences(directory) if sentence_from is None else _matches(directory.keys, sentence_from)
    clips: dict[str, dict[str, Score]] = {}
    for score in scores:
        if score.key not in directory.systems:
            continue
        system, sentence = directory.systems[score.key], sentences[score.key]
        other = clips.setdefault(system, {}).setdefault(sentence, score)
        if other is not score:
            raise DataError(
                f"{directory.path}: system '{system}' has sentence '{sentence}' twice ({other.key}, {score.key}); "
                "give utt2sentence, or another --sentence-from"
            )
    return dict(sorted(clips.items()))


def _matches(keys: Sequence[str], expression: str) -> dict[str, str]:
    try:
        pattern = re.compile(expression)
    except re.error as error:
        raise DataError(f"'{expression}' is not a regular expression: {error}") from None
    found = {key: pattern.search(key) for key in keys}
    if missed := [key for key, match in found.items() if match is None]:
        raise DataError(f"'{expression}' finds no sentence in {len(missed)} keys: {some(missed, 3)}")
    return {key: match.group(1 if pattern.groups else 0) or "" for key, match in found.items()}


def _row(system: str, values: Sequence[float]) -> dict[str, Any]:
    mean, half = float(np.mean(values)), mean_half_width(values)
    interval = None if np.isnan(half) else [mean - half, mean + half]
    return {"system": system, "n": len(values), "prediction": mean, "prediction_ci": interval}


def _compare(a: str, b: str, table: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """Return the mean difference a - b over the sentences that both have, its 95 % interval and p."""
    both = sorted(table[a].keys() & table[b].keys())
    differences = np.array([table[a][sentence] - table[b][sentence] for sentence in both])
    row = {"a": a, "b": b, "n": len(both), "difference": None, "ci": None, "p": None, "p_holm": None, "significant": False}
    if len(both) >= FEWEST:
        mean, half = float(differences.mean()), mean_half_width(differences)
        row |= {"difference": mean, "ci": [mean - half, mean + half], "p": paired_p(differences)}
    return row


def paired_p(differences: np.ndarray) -> float:
    """Return the two-sided p of Student's t for a mean difference of 0; differences ``[n]`` with n of at least 2.

    Example:
        >>> round(paired_p(np.array([0.1, 0.3, 0.2, 0.2])), 4), paired_p(np.zeros(3))
        (0.0163, 1.0)
    """
    if np.max(np.abs(differences)) <= REPRODUCIBLE:
        return 1.0
    mean, spread = abs(float(differences.mean())), float(differences.std(ddof=1))
    if spread == 0:
        return 0.0
    return float(2 * stats.t.sf(mean / spread * np.sqrt(len(differences)), len(differences) - 1))


def holm(values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number by Holm's step-down method.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    order = np.argsort(values, kind="stable")
    steps = [min(1.0, (len(order) - step) * values[index]) for step, index in enumerate(order)]
    corrected = np.empty(len(order))
    corrected[order] = np.maximum.accumulate(steps) if steps else steps
    return corrected.tolist()


def _correct(pairs: Sequence[dict[str, Any]]) -> None:
    tested = [row for row in pairs if row["p"] is not None]
    for row, p in zip(tested, holm([row["p"] for row in tested]), strict=True):
        row["p_holm"], row["significant"] = p, p < SIGNIFICANT


def _place(system: str, pairs: Sequence[Mapping[str, Any]], systems: int) -> list[int]:
    """Return the best and worst place: below every system that is significantly better, above every one that is worse."""
    better = worse = 0
    for row in pairs:
        if row["significant"] and system in (row["a"], row["b"]):
            ahead = (row["difference"] > 0) == (system == row["a"])
            worse += ahead
            better += not ahead
    return [1 + better, systems - worse]


def _notes(table: Mapping[str, Mapping[str, float]], shared: Sequence[str], pairs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what a reader of the ranking must know."""
    notes = []
    if len(shared) < FEWEST:
        notes.append(
            "no two sentences are shared by all systems: each mean is over the system's own sentences, and means of "
            "different sentences compare badly"
        )
    else:
        extra = {name: len(own) - len(shared) for name, own in table.items() if len(own) > len(shared)}
        if extra:
            listed = some([f"{name} {count}" for name, count in extra.items()], 8)
            notes.append(f"sentences that not every system has a score for count in the tests of pairs only: {listed}")
    untested = sum(row["p"] is None for row in pairs)
    if untested:
        notes.append(f"{untested} of {len(pairs)} pairs share fewer than {FEWEST} sentences and are not tested")
    notes.append(
        "intervals and tests say how far the choice of sentences matters; the predictor's own error, which can favour one "
        "kind of system over another, is not in them"
    )
    return notes


def _apart(table: Mapping[str, Mapping[str, float]], shared: Sequence[str], count: int = 3) -> list[str]:
    """Return the sentences whose scores differ most between the systems."""
    spread = {sentence: float(np.ptp([own[sentence] for own in table.values()])) for sentence in shared}
    return sorted(spread, key=lambda sentence: (-spread[sentence], sentence))[:count]


def difference_rows(ranking: Mapping[str, Any]) -> dict[str, Any]:
    """Return the mean difference of every two systems, row - column, as text with what the tests say of it."""
    names = [row["system"] for row in ranking["systems"]]
    cells: dict[tuple[str, str], dict[str, Any]] = {}
    for pair in ranking["pairs"]:
        for a, b, sign in ((pair["a"], pair["b"], 1), (pair["b"], pair["a"], -1)):
            if pair["difference"] is None:
                cells[a, b] = {"value": "–", "sure": False, "hint": f"{pair['n']} shared sentences"}
                continue
            low, high = sorted(sign * edge for edge in pair["ci"])
            tests = f"p {pair['p']:.2g}, corrected {pair['p_holm']:.2g}, {pair['n']} sentences"
            cells[a, b] = {
                "value": _signed(sign * pair["difference"]),
                "sure": pair["significant"],
                "hint": f"{a} − {b}: {_signed(low)} to {_signed(high)}, {tests}",
            }
    rows = [
        {"system": row["system"], "place": place(row["place"]), "cells": [cells.get((row["system"], name)) for name in names]}
        for row in ranking["systems"]
    ]
    return {"names": names, "rows": rows, "test": ranking["test"], "notes": ranking["notes"], "limit": SIGNIFICANT}


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def ranking_table(ranking: Mapping[str, Any]) -> str:
    """Return a ranking as a table for a terminal, with the pairs that were tested and notes below it."""
    scale, numbers = unit(ranking["target"]), _numbers(ranking)
    systems = [("   system", "place", scale, "sentences")]
    for row in ranking["systems"]:
        mean = figure(row["prediction"], row["prediction_ci"], 2)
        systems.append((f"{numbers[row['system']]:>2} {row['system']}", place(row["place"]), mean, str(row["n"])))
    pairs = [("pair", "difference", "95 % interval", "p", "p (Holm)", "")]
    tested = [row for row in ranking["pairs"] if row["p"] is not None]
    pairs += [(f"{numbers[row['a']]} - {numbers[row['b']]}", *_cells(row, numbers)) for row in tested]
    parts = [align(systems), "", *([align(pairs)] if tested else []), *(f"note: {note}" for note in ranking["notes"])]
    return "\n".join(parts)


def _numbers(ranking: Mapping[str, Any]) -> dict[str, int]:
    """Return the number of each system, best first: names of experiments are too long for a table of pairs."""
    return {row["system"]: number for number, row in enumerate(ranking["systems"], start=1)}


def place(bounds: Sequence[int]) -> str:
    """Write the places that are open to a system.

    >>> place([2, 2]), place([1, 3])
    ('2', '1-3')
    """
    return str(bounds[0]) if bounds[0] == bounds[1] else f"{bounds[0]}-{bounds[1]}"


def _cells(row: Mapping[str, Any], numbers: Mapping[str, int]) -> tuple[str, ...]:
    if row["p"] is None:
        return ("-", "-", "-", "-", f"{row['n']} shared sentences")
    interval = f"[{row['ci'][0]:+.2f}, {row['ci'][1]:+.2f}]"
    verdict = f"{numbers[row['a'] if row['difference'] > 0 else row['b']]} better" if row["significant"] else ""
    return (f"{row['difference']:+.2f}", interval, f"{row['p']:.2g}", f"{row['p_holm']:.2g}", verdict)


def ranking_markdown(ranking: Mapping[str, Any]) -> str:
    """Return a ranking as Markdown: what a paper or a pull request quotes."""
    scale, numbers = unit(ranking["target"]), _numbers(ranking)
    shared = ranking["n_sentences"]
    lines = ["# Ranking", ""]
    lines += [f"Predicted {scale}, mean of {f'{shared} sentences' if shared else 'each system'}" + " [95 % interval].", ""]
    lines += [f"| | system | place | {scale} | sentences |", "| --: | --- | --: | --: | --: |"]
    for row in ranking["systems"]:
        mean = figure(row["prediction"], row["prediction_ci"], 2)
        name = row["system"].replace("|", "\\|")
        lines.append(f"| {numbers[row['system']]} | {name} | {place(row['place'])} | {mean} | {row['n']} |")
    lines += ["", f"Pairs: {ranking['test']}.", ""]
    lines += ["| pair | difference | 95 % interval | p | p (Holm) | |", "| --- | --: | --: | --: | --: | --- |"]
    for row in ranking["pairs"]:
        lines.append(f"| {numbers[row['a']]} − {numbers[row['b']]} | {' | '.join(_cells(row, numbers))} |")
    lines += ["", *(f"- {note[0].upper()}{note[1:]}." for note in ranking["notes"])]
    if ranking["unscored"]:
        counts = ", ".join(f"{count} {reason}" for reason, count in ranking["unscored"].items())
        lines.append(f"- Clips without a score, left out: {counts}.")
    return "\n".join([*lines, "", f"Signature: `{ranking['signature']}`", ""])
