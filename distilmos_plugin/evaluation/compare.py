"""Two models on the same clips: paired bootstrap differences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distilmos_plugin.data.directory import DataDirectory
from distilmos_plugin.errors import DataError, some
from distilmos_plugin.evaluation.correlations import METRICS, metrics
from distilmos_plugin.evaluation.intervals import RESAMPLES, draw_counts, percentile_interval, resampled_metrics
from distilmos_plugin.evaluation.pairs import Level, SystemTruth, is_scored, load_scores, pair, scored_targets
from distilmos_plugin.scoring.results import Score


def compare(
    a: str | Path,
    b: str | Path,
    directory: DataDirectory,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    system_truth: SystemTruth = "scored-set",
    system_file: str | Path | None = None,
) -> dict[str, Any]:
    """Compare two score files on the clips that both have a score for.

    Every resample is drawn once and used for both models, so that what makes a clip or a system hard cancels out.

    Returns:
        ``a``, ``b`` (file, signature), ``n_utterances``, ``n_systems``, ``system_truth``, ``notes``, ``bootstrap``, and
        ``targets``: target -> level (``utterance``, ``system`` or None) -> figure -> ``a``, ``b``, ``difference`` (b - a),
        ``ci`` (95 % interval of the difference) and two-sided ``p``; None where a figure is undefined.

    Raises:
        DataError: if the files have no scored and labelled clip or no target in common.
    """
    scores = (load_scores(a), load_scores(b))
    targets = [name for name in scored_targets(scores[0]) if name in scored_targets(scores[1]) and name in directory.targets]
    if not targets:
        raise DataError(
            f"{a} and {b}: no target in common that {directory.path} has labels for (it has {some(directory.targets)})"
        )
    blocks = {}
    sizes = {}
    for target in targets:
        shared = _shared(scores, target)
        if not any(score.key in directory.targets[target] for score in shared[0]):
            raise DataError(f"{a} and {b}: no clip with a label for '{target}' has a score in both")
        pairs = [pair(part, directory, target, system_truth, system_file) for part in shared]
        levels = (pairs[0].utterance, pairs[1].utterance)
        blocks[target] = {
            "utterance": paired_differences(*levels, strata=pairs[0].members, resamples=resamples, seed=seed),
            "system": None
            if pairs[0].system is None or pairs[1].system is None
            else paired_differences(pairs[0].system, pairs[1].system, strata=None, resamples=resamples, seed=seed),
        }
        sizes.setdefault("n_utterances", len(levels[0].names))
        sizes.setdefault("n_systems", len(pairs[0].system.names) if pairs[0].system else 0)
    return {
        "a": {"scores": str(a), "signature": scores[0][0].signature},
        "b": {"scores": str(b), "signature": scores[1][0].signature},
        **sizes,
        "system_truth": system_truth,
        "notes": list(_notes(scores, directory)),
        "bootstrap": {"resamples": resamples, "seed": seed},
        "targets": blocks,
    }


def _shared(scores: tuple[list[Score], list[Score]], target: str) -> tuple[list[Score], list[Score]]:
    both = set.intersection(*({score.key for score in part if is_scored(score, target)} for part in scores))
    return tuple([score for score in part if score.key in both] for part in scores)  # type: ignore[return-value]


def _notes(scores: tuple[list[Score], list[Score]], directory: DataDirectory) -> Iterator[str]:
    """Yield what a reader of the differences must know."""
    signatures = [part[0].signature for part in scores]
    if signatures[0] == signatures[1]:
        yield "both files carry the same signature: one model with one setting, so any difference is unexpected"
    else:
        changed = sorted(_fields(signatures[0]) ^ _fields(signatures[1]))
        names = dict.fromkeys(name.partition(":")[0] for name in changed)
        yield f"the signatures differ in {', '.join(names)}"
    keys = [{score.key for score in part if is_scored(score)} for part in scores]
    for name, mine, other in (("a", keys[0], keys[1]), ("b", keys[1], keys[0])):
        if mine - other:
            yield f"{len(mine - other)} clips have a score in {name} only and are left out: {some(sorted(mine - other), 3)}"
    neither = set(directory.keys) - (keys[0] | keys[1])
    if neither:
        yield f"{len(neither)} clips of {directory.path} have a score in neither file: {some(sorted(neither), 3)}"


def _fields(signature: str) -> set[str]:
    return set(signature.split("|"))


def paired_differences(
    a: Level, b: Level, *, strata: Sequence[int] | np.ndarray | None, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, dict[str, Any]]:
    """Return ``a``, ``b``, ``difference``, ``ci`` and ``p`` of each figure of :data:`~.correlations.METRICS`.

    Args:
        a, b: the same items in the same order.
        strata: as of :func:`~.intervals.bootstrap`.
    """
    first, second = metrics(a.truth, a.prediction), metrics(b.truth, b.prediction)
    samples: dict[str, list[np.ndarray]] = {name: [] for name in METRICS}
    for counts in draw_counts(len(a.names), strata, resamples, seed):
        drawn = resampled_metrics(a.truth, a.prediction, counts), resampled_metrics(b.truth, b.prediction, counts)
        for name in METRICS:
            samples[name].append(drawn[1][name] - drawn[0][name])
    table = {}
    for name in METRICS:
        values = (first[name], second[name])
        row: dict[str, Any] = {"a": values[0], "b": values[1], "difference": None, "ci": None, "p": None}
        if None not in values:
            differences = np.concatenate(samples[name])
            interval = percentile_interval(differences)
            row["difference"] = values[1] - values[0]
            row["ci"] = list(interval) if interval else None
            row["p"] = two_sided_p(differences) if interval else None
        table[name] = row
    return table


def two_sided_p(differences: np.ndarray) -> float:
    """Return the two-sided bootstrap p-value of "no difference".

    Twice the smaller part of the resamples on either side of zero, zero itself on both, each count raised by one so that
    p is never 0: with 1,000 resamples the smallest is 0.002. It is below 0.05 where the 95 % interval leaves out zero.

    Example:
        >>> two_sided_p(np.linspace(1, 2, 999)), two_sided_p(np.zeros(999))
        (0.002, 1.0)
    """
    defined = differences[~np.isnan(differences)]
    below, above = np.sum(defined <= 0), np.sum(defined >= 0)
    return float(min(1.0, 2 * (1 + min(below, above)) / (1 + len(defined))))
