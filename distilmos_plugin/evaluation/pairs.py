"""Scores and labels brought together: what every figure, plot and test is computed from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from distilmos_plugin.data.directory import DataDirectory
from distilmos_plugin.errors import DataError, some, suggest
from distilmos_plugin.evaluation.correlations import mean_half_width, system_means
from distilmos_plugin.scoring.results import Score, deviation_column, read_scores

SystemTruth = Literal["scored-set", "ratings", "file"]
"""How the truth of a system is formed: the mean of the labels of its scored clips; the mean of all single ratings of those
clips; or read from a file of system means. The three differ, so every result says which one it used."""


@dataclass(frozen=True)
class Level:
    """Truth and prediction of the items of one level, in one order.

    Attributes:
        names: keys of the clips, or the systems; sorted.
        truth, prediction: float64 ``[n]``, in the target's unit.
        half_width: half of the 95 % interval of each truth from its votes ``[n]``, NaN with fewer than two; None
            without votes.
        deviation: predicted standard deviation of each prediction ``[n]``, in the target's unit; None without.
    """

    names: tuple[str, ...]
    truth: np.ndarray
    prediction: np.ndarray
    half_width: np.ndarray | None = None
    deviation: np.ndarray | None = None


@dataclass(frozen=True)
class Pairs:
    """One target, at both levels.

    Attributes:
        target: its name.
        utterance: clips that have a score and a label.
        system: None where there are no system ids.
        members: the system of each clip, an index into ``system.names``, int64 ``[n]``; None without systems.
        system_truth: how ``system.truth`` was formed.
    """

    target: str
    utterance: Level
    system: Level | None
    members: np.ndarray | None
    system_truth: SystemTruth


def load_scores(path: str | Path) -> list[Score]:
    """Read a score file and check that one model with one setting made it.

    Raises:
        DataError: naming the file, if it is missing, damaged, empty or mixes signatures.
    """
    scores = read_scores(path)
    if not scores:
        raise DataError(f"{path}: no scores in it; score the clips first")
    signatures = sorted({score.signature for score in scores})
    if len(signatures) > 1:
        raise DataError(
            f"{path}: scores of different models or settings in one file ({some(signatures)}); score into a new file"
        )
    return scores


def is_scored(score: Score, target: str | None = None) -> bool:
    """Tell whether there is a finite number for ``target`` (any target by default)."""
    values = score.targets.values() if target is None else [score.targets.get(target)]
    return score.status == "ok" and any(value is not None and math.isfinite(value) for value in values)


def scored_targets(scores: Sequence[Score]) -> list[str]:
    """Return the targets that the scores hold, in their order there, with ``mos`` first."""
    found = dict.fromkeys(target for score in scores for target in score.targets)
    return sorted(found, key=lambda target: target != "mos")


def unscored(scores: Sequence[Score], directory: DataDirectory | None = None) -> dict[str, str]:
    """Return key -> reason for every clip without a score; ``missing`` where a clip of the data has no line at all."""
    reasons = {score.key: score.status if score.status != "ok" else "non_finite" for score in scores if not is_scored(score)}
    if directory is not None:
        known = {score.key for score in scores}
        reasons |= {key: "missing" for key in directory.keys if key not in known}
    return dict(sorted(reasons.items()))


def pair(
    scores: Sequence[Score],
    directory: DataDirectory,
    target: str,
    system_truth: SystemTruth = "scored-set",
    system_file: str | Path | None = None,
) -> Pairs:
    """Join scores with the labels of ``target``; clips without a score or a label are left out (see :func:`unscored`).

    Raises:
        DataError: if nothing is left, or the system truth asked for cannot be formed.
    """
    labels = {key: value for key, value in directory.targets[target].items() if not math.isnan(value)}
    prediction = {score.key: score.targets[target] for score in scores if is_scored(score, target) and score.key in labels}
    if not prediction:
        raise DataError(
            f"{directory.path}: none of the {len(scores)} scores has both a number for '{target}' and a label here "
            f"(scores: {some(sorted(score.key for score in scores), 3)}; labels: {some(sorted(labels), 3)})"
        )
    keys = tuple(sorted(prediction))
    votes = _votes(directory, target, keys)
    utterance = Level(
        names=keys,
        truth=np.array([labels[key] for key in keys], dtype=np.float64),
        prediction=np.array([prediction[key] for key in keys], dtype=np.float64),
        half_width=None if votes is None else np.array([mean_half_width(votes.get(key, ())) for key in keys]),
        deviation=_deviations(scores, target, keys),
    )
    check_system_truth(system_truth)
    if directory.systems is None:
        return Pairs(target, utterance, None, None, system_truth)
    systems = {key: directory.systems[key] for key in keys}
    system = _system_level(utterance, systems, votes, directory, system_truth, system_file)
    index = {name: number for number, name in enumerate(system.names)}
    members = np.array([index[systems[key]] for key in keys], dtype=np.int64)
    return Pairs(target, utterance, system, members, system_truth)


def _deviations(scores: Sequence[Score], target: str, keys: Sequence[str]) -> np.ndarray | None:
    column = deviation_column(target)
    found = {score.key: score.targets[column] for score in scores if column in score.targets}
    return np.array([found[key] for key in keys], dtype=np.float64) if found.keys() >= set(keys) else None


def check_system_truth(system_truth: str) -> None:
    """Raise a DataError unless ``system_truth`` is one of :data:`SystemTruth`."""
    if system_truth not in get_args(SystemTruth):
        known = get_args(SystemTruth)
        raise DataError(f"system truth '{system_truth}' is not one of {', '.join(known)}{suggest(system_truth, known)}")


def _votes(directory: DataDirectory, target: str, keys: Sequence[str]) -> dict[str, list[float]] | None:
    """Return the single ratings of each clip for ``target``; None where the data have none."""
    votes: dict[str, list[float]] = {}
    wanted = set(keys)
    for rating in directory.ratings or ():
        if rating.target == target and rating.key in wanted:
            votes.setdefault(rating.key, []).append(rating.value)
    return votes or None


def _system_level(
    utterance: Level,
    systems: dict[str, str],
    votes: dict[str, list[float]] | None,
    directory: DataDirectory,
    system_truth: SystemTruth,
    system_file: str | Path | None,
) -> Level:
    means = system_means(dict(zip(utterance.names, utterance.truth, strict=True)), systems)
    prediction = system_means(dict(zip(utterance.names, utterance.prediction, strict=True)), systems)
    pooled: dict[str, list[float]] = {system: [] for system in means}
    for key, values in (votes or {}).items():
        pooled[systems[key]].extend(values)
    if system_truth == "ratings":
        without = [system for system, values in pooled.items() if not values]
        if without:
            raise DataError(
                f"{directory.path}: system truth 'ratings' needs single ratings in ratings.tsv for every system, and there "
                f"are none for {some(without)}; use 'scored-set'"
            )
        means = {system: float(np.mean(values)) for system, values in pooled.items()}
    elif system_truth == "file":
        means = _means_from_file(system_file, list(means))
    return Level(
        names=tuple(means),
        truth=np.array(list(means.values())),
        prediction=np.array([prediction[system] for system in means]),
        half_width=None if votes is None else np.array([mean_half_width(pooled[system]) for system in means]),
    )


def _means_from_file(path: str | Path | None, systems: Sequence[str]) -> dict[str, float]:
    if path is None:
        raise DataError("system truth 'file' needs a file of system means (--system-file)")
    means = read_system_means(path)
    absent = [system for system in systems if system not in means]
    if absent:
        raise DataError(f"{path}: no mean for {len(absent)} of the {len(systems)} scored systems: {some(absent)}")
    return {system: means[system] for system in systems}


def read_system_means(path: str | Path) -> dict[str, float]:
    """Read system means: the system in the first column and its mean in the second, by comma, tab or blank.

    A first line whose second column is no number is a header (SSL-MOS has one in ``mydata_system.csv``, MusicEval has none).

    Raises:
        DataError: naming file and line.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise DataError(f"{path}: cannot read the system means: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: cannot read the system means: not UTF-8 text") from None
    means: dict[str, float] = {}
    for number, line in enumerate(lines, start=1):
        columns = [column.strip() for column in (line.split(",") if "," in line else line.split())]
        if not any(columns):
            continue
        value = _number(columns[1]) if len(columns) > 1 else None
        if value is None and number == 1:
            continue
        if value is None or columns[0] in means:
            problem = "no finite number in the second column" if value is None else f"'{columns[0]}' comes twice"
            raise DataError(f"{path}, line {number}: {problem}: {line.strip()!r}")
        means[columns[0]] = value
    return means


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
