"""An answer against the truth: is it complete, and the figures that the challenge gives it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from distilmos_plugin.corpora.importing import id_of
from distilmos_plugin.data.directory import DataDirectory
from distilmos_plugin.errors import DataError, some
from distilmos_plugin.evaluation.correlations import metrics
from distilmos_plugin.evaluation.pairs import SystemTruth, pair
from distilmos_plugin.evaluation.tables import align, figure
from distilmos_plugin.integrations.challenges.answers import SHOWN, Answer, read_answer
from distilmos_plugin.integrations.challenges.formats import challenge_named
from distilmos_plugin.integrations.challenges.packing import compare_ids
from distilmos_plugin.scoring.results import Score

OFFICIAL = ("mse", "lcc", "srcc", "ktau")  # of the VoiceMOS family, at both levels
DIGITS = 6
CATEGORICAL = "categorical_error"


def check_answer(
    path: str | os.PathLike,
    challenge: str | None = None,
    data: Sequence[str | os.PathLike] = (),
    ids: Sequence[str | os.PathLike] = (),
) -> str:
    """Check a file that is to be uploaded, whoever made it; return one line that says what it is.

    Args:
        path: the zip file, or its table.
        challenge: what it answers; None finds out.
        data, ids: as of :func:`.packing.pack`; without them the number of lines has to be the challenge's.

    Raises:
        DataError: with everything that is wrong.
    """
    answer = read_answer(path, challenge_named(challenge) if challenge else None)
    problem = compare_ids(answer.challenge, list(answer.rows), data, ids)
    if problem:
        raise DataError(f"{path}: {problem}")
    columns = ", ".join(column.name for column in answer.columns)
    return f"{path}: an answer to {answer.challenge.name}, {len(answer.rows)} lines of {columns}"


def score_answer(
    path: str | os.PathLike,
    data: Sequence[str | os.PathLike],
    challenge: str | None = None,
    columns: str | None = None,
    system_truth: SystemTruth = "scored-set",
    system_file: str | os.PathLike | None = None,
) -> dict[str, Any]:
    """Compute the official figures of an answer.

    Args:
        path: the zip file, or its table.
        data: data directories with the truth; each is a test of its own (VoiceMOS 2023 track 1 has two).
        challenge: what it answers; None finds out.
        columns: order of the columns, where the challenge does not document one.
        system_truth, system_file: as of :func:`~distilmos_plugin.evaluation.evaluate.evaluate`.

    Returns:
        Data directory -> target -> ``utterance`` and ``system`` -> figure; ``system`` is None where there are no systems.

    Raises:
        DataError: if a clip of the truth is not in the answer.
    """
    form = challenge_named(challenge) if challenge else None
    answer = read_answer(path, form, columns)
    if columns is None:
        answer.challenge.ordered(None)
    return {str(folder): _figures(path, answer, Path(folder), system_truth, system_file) for folder in data}


def _figures(
    path: str | os.PathLike, answer: Answer, folder: Path, system_truth: SystemTruth, system_file: str | os.PathLike | None
) -> dict[str, Any]:
    truth = DataDirectory.read(folder)
    absent = [key for key in truth.keys if id_of(key) not in answer.rows]
    if absent:
        raise DataError(f"{path}: clips of {folder} that are not in it: {len(absent)} ({some(absent, SHOWN)})")
    targets = [target for column in answer.columns for target in column.targets if target in truth.targets]
    if not targets:
        raise DataError(
            f"{folder}: no labels for {some([column.name for column in answer.columns])}: no truth to score against"
        )
    scores = [Score(key, None, answer.rows[id_of(key)], "ok", (), None, None, "answer") for key in truth.keys]
    figures: dict[str, Any] = {}
    for target in targets:
        pairs = pair(scores, truth, target, system_truth, system_file)
        levels = {"utterance": pairs.utterance, "system": pairs.system}
        figures[target] = {name: level and _official(level.truth, level.prediction) for name, level in levels.items()}
    shares = next((column.targets for column in answer.columns if len(column.targets) > 1), ())
    if shares and all(target in truth.targets for target in shares):
        errors = [abs(answer.rows[id_of(key)][target] - truth.targets[target][key]) for key in truth.keys for target in shares]
        figures[CATEGORICAL] = sum(errors) / len(errors)
    return figures


def _official(truth: Any, prediction: Any) -> dict[str, float | None]:
    values = metrics(truth, prediction)
    return {name: values[name] for name in OFFICIAL}


def official_table(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the result of :func:`score_answer` as a table."""
    rows = [("", *(name.upper() for name in OFFICIAL))]
    notes = []
    for folder, targets in figures.items():
        for target, levels in targets.items():
            if target == CATEGORICAL:
                notes.append(f"{folder} categorical error of emotions: {levels:.{DIGITS}f}")
                continue
            for level, values in levels.items():
                if values is None:
                    notes.append(f"{folder} {target}: no system ids, so no system level")
                else:
                    rows.append((f"{folder} {target} {level}", *(figure(values[name], None, DIGITS) for name in OFFICIAL)))
    return "\n".join([align(rows), *notes])
