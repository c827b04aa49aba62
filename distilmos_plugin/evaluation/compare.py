"""Two models, or two ways of training with several seeds each, on the same clips: paired bootstrap differences."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distilmos_plugin.corpora import describe_truth
from distilmos_plugin.data.directory import DataDirectory
from distilmos_plugin.errors import DataError, some
from distilmos_plugin.evaluation.correlations import METRICS, metrics
from distilmos_plugin.evaluation.intervals import RESAMPLES, draw_counts, percentile_interval, resampled_metrics
from distilmos_plugin.evaluation.pairs import Level, SystemTruth, is_scored, load_scores, pair, scored_targets
from distilmos_plugin.scoring.results import Score


def compare(
    a: str | Path | Sequence[str | Path],
    b: str | Path | Sequence[str | Path],
    directory: DataDirectory,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    system_truth: SystemTruth = "scored-set",
    system_file: str | Path | None = None,
) -> dict[str, Any]:
    """Compare two score files on the clips that both have a score for.

    Every resample is drawn once and used for both models, so that what makes a clip or a system hard cancels out. Of several
    files, one a training run, the mean figure counts; then a resample also draws runs, each side its own, so that the
    intervals hold what the seeds differ by. Three runs tell that only roughly.

    Args:
        a, b: a score file, a glob of them, or several.
        directory: labels.
        resamples, seed: of the bootstrap.
        system_truth, system_file: as of :func:`~.evaluate.evaluate`.

    Returns:
        ``a``, ``b`` (files, signature, runs), ``n_utterances``, ``n_systems``, ``system_truth``, ``notes``, ``bootstrap``,
        and ``targets``: target -> level (``utterance``, ``system`` or None) -> figure -> ``a``, ``b``, ``difference`` (b - a),
        ``ci`` (95 % interval of the difference) and two-sided ``p``; None where a figure is undefined.

    Raises:
        DataError: if the files have no scored and labelled clip or no target in common.
    """
    files = (_files(a), _files(b))
    sides = tuple([load_scores(file) for file in side] for side in files)
    scores = [run for side in sides for run in side]
    known = [scored_targets(run) for run in scores]
    targets = [name for name in known[0] if all(name in other for other in known) and name in directory.targets]
    if not targets:
        raise DataError(
            f"{some(files[0])} and {some(files[1])}: no target in common that {directory.path} has labels for "
            f"(it has {some(directory.targets)})"
        )
    blocks = {}
    sizes = {}
    for target in targets:
        shared = _shared(scores, target)
        if not any(score.key in directory.targets[target] for score in shared[0]):
            raise DataError(f"{some(files[0])} and {some(files[1])}: no clip with a label for '{target}' has a score in both")
        pairs = [pair(part, directory, target, system_truth, system_file) for part in shared]
        first, second = pairs[: len(sides[0])], pairs[len(sides[0]) :]
        draws = {"resamples": resamples, "seed": seed}
        clips = [[one.utterance for one in side] for side in (first, second)]
        systems = [[one.system for one in side if one.system is not None] for side in (first, second)]
        blocks[target] = {
            "utterance": paired_differences(*clips, strata=pairs[0].members, **draws),
            "system": paired_differences(*systems, strata=None, **draws) if all(systems) else None,
        }
        sizes.setdefault("n_utterances", len(pairs[0].utterance.names))
        sizes.setdefault("n_systems", len(pairs[0].system.names) if pairs[0].system else 0)
    return {
        **{name: _side(*side) for name, side in (("a", (files[0], sides[0])), ("b", (files[1], sides[1])))},
        **sizes,
        "system_truth": system_truth,
        "notes": list(_notes(sides, directory)),
        "bootstrap": {"resamples": resamples, "seed": seed},
        "targets": blocks,
    }


def _files(given: str | Path | Sequence[str | Path]) -> list[str]:
    """Return the score files that are meant: one, several, or those that a pattern matches."""
    if not isinstance(given, str | Path):
        return [str(file) for file in given]
    return [str(given)] if Path(given).exists() else sorted(glob.glob(str(given))) or [str(given)]


def _side(files: Sequence[str], runs: Sequence[list[Score]]) -> dict[str, Any]:
    return {"scores": some(files), "signature": runs[0][0].signature, "runs": len(runs)}


def _shared(runs: Sequence[list[Score]], target: str) -> list[list[Score]]:
    """Return each run's scores of the clips that all of them have a score for."""
    every = set.intersection(*({score.key for score in part if is_scored(score, target)} for part in runs))
    return [[score for score in part if score.key in every] for part in runs]


def _notes(sides: Sequence[Sequence[list[Score]]], directory: DataDirectory) -> Iterator[str]:
    """Yield what a reader of the differences must know."""
    if truth := describe_truth(directory.path):
        yield truth
    signatures = [runs[0][0].signature for runs in sides]
    if max(map(len, sides)) > 1:
        yield f"means over {len(sides[0])} and {len(sides[1])} runs; their intervals hold clips and runs"
    elif signatures[0] == signatures[1]:
        yield "both files carry the same signature: one model with one setting, so any difference is unexpected"
    else:
        changed = sorted(_fields(signatures[0]) ^ _fields(signatures[1]))
        names = dict.fromkeys(name.partition(":")[0] for name in changed)
        yield f"the signatures differ in {', '.join(names)}"
    keys = [{score.key for run in runs for score in run if is_scored(score)} for runs in sides]
    for name, mine, other in (("a", keys[0], keys[1]), ("b", keys[1], keys[0])):
        if mine - other:
            yield f"{len(mine - other)} clips have a score in {name} only and are left out: {some(sorted(mine - other), 3)}"
    neither = set(directory.keys) - (keys[0] | keys[1])
    if neither:
        yield f"{len(neither)} clips of {directory.path} have a score in neither file: {some(sorted(neither), 3)}"


def _fields(signature: str) -> set[str]:
    return set(signature.split("|"))


def paired_differences(
    a: Level | Sequence[Level],
    b: Level | Sequence[Level],
    *,
    strata: Sequence[int] | np.ndarray | None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, dict[str, Any]]:
    """Return ``a``, ``b``, ``difference``, ``ci`` and ``p`` of each figure of :data:`~.correlations.METRICS`.

    Args:
        a, b: the same items in the same order; of several runs each.
        strata: as of :func:`~.intervals.bootstrap`.
    """
    sides = [[side] if isinstance(side, Level) else list(side) for side in (a, b)]
    found = [[metrics(run.truth, run.prediction) for run in side] for side in sides]
    samples: dict[str, list[np.ndarray]] = {name: [] for name in METRICS}
    rng = np.random.default_rng([seed, 1])  # its own, so that one run a side draws the same clips as ever
    for counts in draw_counts(len(sides[0][0].names), strata, resamples, seed):
        drawn = [_mean_of_drawn_runs(side, counts, rng) for side in sides]
        for name in METRICS:
            samples[name].append(drawn[1][name] - drawn[0][name])
    table = {}
    for name in METRICS:
        each = [[run[name] for run in side] for side in found]
        values = tuple(None if None in side else sum(side) / len(side) for side in each)
        row: dict[str, Any] = {"a": values[0], "b": values[1], "difference": None, "ci": None, "p": None}
        if None not in values:
            differences = np.concatenate(samples[name])
            interval = percentile_interval(differences)
            row["difference"] = values[1] - values[0]
            row["ci"] = list(interval) if interval else None
            row["p"] = two_sided_p(differences) if interval else None
        table[name] = row
    return table


def _mean_of_drawn_runs(runs: Sequence[Level], counts: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return each figure ``[resamples]``: the mean over as many runs as there are, drawn for every resample anew."""
    figures = [resampled_metrics(run.truth, run.prediction, counts) for run in runs]
    chosen = rng.integers(len(runs), size=(len(runs), len(counts)))
    stacked = {name: np.stack([run[name] for run in figures]) for name in METRICS}
    return {name: np.take_along_axis(values, chosen, axis=0).mean(axis=0) for name, values in stacked.items()}


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
