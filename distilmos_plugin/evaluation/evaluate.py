"""Evaluation of a score file against labels: ``metrics.json``, plots and ``report.html``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from distilmos_plugin import __version__
from distilmos_plugin.corpora import describe_truth
from distilmos_plugin.data.directory import DataDirectory
from distilmos_plugin.errors import DataError, some
from distilmos_plugin.evaluation.correlations import METRICS, mean_half_width, metrics
from distilmos_plugin.evaluation.intervals import RESAMPLES, bootstrap
from distilmos_plugin.evaluation.pairs import Level, Pairs, SystemTruth, load_scores, pair, scored_targets, unscored
from distilmos_plugin.evaluation.uncertainty import uncertainty
from distilmos_plugin.files import file_digest, fingerprint, write_json
from distilmos_plugin.progress import say
from distilmos_plugin.scoring.results import Score, deviation_column

FIGURES, REPORT = "metrics.json", "report.html"


@dataclass(frozen=True)
class Evaluation:
    """Everything that the outputs are written from.

    Attributes:
        figures: the content of ``metrics.json``.
        pairs: target -> truth and predictions; the first target is the main one.
        scores: all lines of the score file.
        unscored: key -> reason, of the clips without a score.
        source: the score file.
    """

    figures: dict[str, Any]
    pairs: dict[str, Pairs]
    scores: Sequence[Score]
    unscored: Mapping[str, str]
    source: str


def evaluate(
    scores_path: str | Path,
    directory: DataDirectory,
    output: str | Path,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    system_truth: SystemTruth = "scored-set",
    system_file: str | Path | None = None,
) -> dict[str, Any]:
    """Write ``metrics.json``, ``*.png`` and ``report.html`` of a score file into the folder ``output``.

    Each file is written whole, ``metrics.json`` last: where it is, the others are complete.

    Args:
        scores_path: what ``distilmos score`` wrote.
        directory: labels, and where there are any system ids and single ratings.
        output: folder; made if it does not exist.
        resamples, seed: of the bootstrap.
        system_truth: how the truth of a system is formed (:data:`~.pairs.SystemTruth`).
        system_file: for the system truth ``file`` (:func:`~.pairs.read_system_means`).

    Returns:
        The content of ``metrics.json``.

    Raises:
        DataError: if the scores and the labels have nothing in common or the system truth cannot be formed.
    """
    from distilmos_plugin.evaluation.plots import write_plots
    from distilmos_plugin.evaluation.report import write_evaluation_report

    output = Path(output)
    options = {"resamples": resamples, "seed": seed, "system_truth": system_truth, "system_file": system_file}
    evaluation = assess(scores_path, directory, **options)
    write_plots(evaluation, output)
    write_evaluation_report(evaluation, output / REPORT)
    figures = evaluation.figures | {"made_from": _origin(scores_path, directory, **options)}
    write_json(output / FIGURES, figures)
    say(f"evaluation: {output / REPORT}, {output / FIGURES}")
    return figures


def evaluate_once(
    scores_path: str | Path, directory: DataDirectory, output: str | Path, *, force: bool = False, **options: Any
) -> dict[str, Any]:
    """Do as :func:`evaluate`, unless ``output`` holds the evaluation of exactly these scores, labels and options already.

    Args:
        scores_path, directory, output: as of :func:`evaluate`.
        force: evaluate in any case.
        options: the other arguments of :func:`evaluate`.
    """
    output = Path(output)
    figures = _read_figures(output / FIGURES)
    needed = [Path(scores_path), output / REPORT]
    if force or figures is None or not all(path.is_file() for path in needed):
        return evaluate(scores_path, directory, output, **options)
    if figures.get("made_from") == _origin(scores_path, directory, **options):
        say(f"evaluation: {output / FIGURES} is complete and current, nothing to do")
        return figures
    return evaluate(scores_path, directory, output, **options)


def _read_figures(path: Path) -> dict[str, Any] | None:
    try:
        figures = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return figures if isinstance(figures, dict) else None


def _origin(
    scores_path: str | Path,
    directory: DataDirectory,
    resamples: int = RESAMPLES,
    seed: int = 0,
    system_truth: SystemTruth = "scored-set",
    system_file: str | Path | None = None,
) -> str:
    """Return 16 digits that change with anything that the outputs depend on."""
    means = file_digest(system_file) if system_file is not None and Path(system_file).is_file() else None
    labels = [directory.keys, directory.targets, directory.systems, directory.ratings]
    inputs = [file_digest(scores_path), labels, resamples, seed, system_truth, means, __version__]
    return fingerprint(inputs)


def assess(
    scores_path: str | Path,
    directory: DataDirectory,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    system_truth: SystemTruth = "scored-set",
    system_file: str | Path | None = None,
) -> Evaluation:
    """Compute all figures of a score file; writes nothing. Arguments and errors as of :func:`evaluate`."""
    scores = load_scores(scores_path)
    predicted = scored_targets(scores)
    if not predicted:
        raise DataError(f"{scores_path}: none of its {len(scores)} clips has a score; the reasons are in the file")
    targets = [target for target in predicted if target in directory.targets]
    if not targets:
        raise DataError(
            f"{directory.path}: no labels for {some(predicted)} (it has {some(directory.targets) or 'none'}); "
            "`distilmos report` works without labels"
        )
    pairs = {target: pair(scores, directory, target, system_truth, system_file) for target in targets}
    reasons = unscored(scores, directory)
    known = set(directory.keys)
    deviations = {deviation_column(target) for target in predicted}
    figures = {
        "signature": scores[0].signature,
        "target": targets[0],
        **_block(pairs[targets[0]], resamples, seed),
        "system_truth": system_truth,
        "data": str(directory.path),
        "truth": describe_truth(directory.path),
        "bootstrap": {"resamples": resamples, "seed": seed},
        "unscored": dict(sorted(Counter(reasons.values()).items())),
        "not_in_data": sum(score.key not in known for score in scores),
        "flags": dict(sorted(Counter(flag for score in scores for flag in score.flags).items())),
        "unlabelled_targets": [target for target in predicted if target not in targets and target not in deviations],
        "targets": {target: _block(pairs[target], resamples, seed) for target in targets[1:]},
        "ranking": ranking(pairs[targets[0]]),
    }
    return Evaluation(figures, pairs, scores, reasons, str(scores_path))


def _block(pairs: Pairs, resamples: int, seed: int) -> dict[str, Any]:
    """Return counts and both levels of one target."""
    return {
        "n_utterances": len(pairs.utterance.names),
        "n_systems": len(pairs.system.names) if pairs.system else 0,
        "utterance": _figures(pairs.utterance, pairs.members, resamples, seed),
        "system": _figures(pairs.system, None, resamples, seed) if pairs.system else None,
        "uncertainty": uncertainty(pairs, resamples, seed),
    }


def _figures(level: Level, strata: np.ndarray | None, resamples: int, seed: int) -> dict[str, Any]:
    """Return each figure followed by its interval, ``<name>_ci``, and what is undefined with its reason."""
    values = metrics(level.truth, level.prediction, level.half_width)
    intervals = bootstrap(
        level.truth, level.prediction, half_width=level.half_width, strata=strata, resamples=resamples, seed=seed
    )
    undefined = dict(values.pop("undefined"))
    block: dict[str, Any] = {}
    for name, value in values.items():
        block[name] = value
        if name == "map":
            continue
        bounds = None if value is None else intervals.bounds.get(name)
        block[f"{name}_ci"] = list(bounds) if bounds else None
        if value is not None and bounds is None:
            undefined[f"{name}_ci"] = f"{intervals.degenerate.get(name, 0)} of {resamples} resamples leave it undefined"
    return {**block, "degenerate_resamples": intervals.degenerate, "undefined": undefined}


def ranking(pairs: Pairs) -> list[dict[str, Any]]:
    """Return the systems, best prediction first, each with the 95 % interval of its mean by Student's t over its clips.

    The truth's interval is over the votes where there are any, else over the labels of the clips; truth that was read from
    a file has none, and neither has a single value.
    """
    if pairs.system is None or pairs.members is None:
        return []
    rows = []
    for number, name in enumerate(pairs.system.names):
        mine = pairs.members == number
        if pairs.system_truth == "file":
            truth_half = np.nan
        elif pairs.system.half_width is not None:
            truth_half = pairs.system.half_width[number]
        else:
            truth_half = mean_half_width(pairs.utterance.truth[mine])
        predicted_half = mean_half_width(pairs.utterance.prediction[mine])
        rows.append(
            {
                "system": name,
                "n": int(mine.sum()),
                **_with_interval("prediction", pairs.system.prediction[number], predicted_half),
                **_with_interval("truth", pairs.system.truth[number], truth_half),
            }
        )
    return sorted(rows, key=lambda row: (-row["prediction"], row["system"]))


def _with_interval(name: str, mean: float, half: float) -> dict[str, Any]:
    bounds = None if np.isnan(half) else [float(mean - half), float(mean + half)]
    return {name: float(mean), f"{name}_ci": bounds}


def headline(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of the tables, level -> figure -> (value, interval); a level without figures is left out."""
    return {
        level: {name: (figures[level][name], figures[level][f"{name}_ci"]) for name in METRICS}
        for level in ("utterance", "system")
        if figures[level] is not None
    }
