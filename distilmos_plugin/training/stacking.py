"""Ensembles of trained models: their mean, or a ridge stack fitted on predictions for clips that they were not trained on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from distilmos_plugin.data.directory import DataDirectory
from distilmos_plugin.errors import DataError, some
from distilmos_plugin.progress import say
from distilmos_plugin.scoring.ensemble import Stack
from distilmos_plugin.scoring.ensemble_release import write_ensemble
from distilmos_plugin.scoring.models import load, locate
from distilmos_plugin.scoring.results import read_scores

PENALTIES = tuple(10.0**power for power in range(-4, 7))
FEWEST_CLIPS = 10  # that a stack is fitted on


def make_ensemble(
    output: str | os.PathLike,
    models: Sequence[str | os.PathLike],
    scores: Sequence[str | os.PathLike] = (),
    data: Sequence[str | os.PathLike] = (),
) -> Path:
    """Write an ensemble that is used as one model.

    Args:
        output: directory to write.
        models: their names.
        scores: for a ridge stack, one score file a model, in the same order: of clips that it was not trained on, such as
            ``out_of_fold.jsonl``. Without, the mean is taken.
        data: data directories with the labels of these clips.

    Returns:
        The directory.

    Raises:
        ModelError: if there is no such model.
        DataError: if scores and models do not belong together, or clips or labels are too few.
    """
    members = [load(name, device="cpu") for name in models]
    stacks: dict[str, Stack] = {}
    if scores:
        if len(scores) != len(members):
            raise DataError(f"{len(scores)} score files for {len(members)} models; a stack needs one of each model")
        directories = [DataDirectory.read(path) for path in data]
        targets = [target for target in members[0].targets if all(target in item.targets for item in members)]
        stacks = {target: _stack(target, scores, directories) for target in targets}
    folders = [locate(name).directory for name in models]
    about = members[0].about if len({item.about for item in members}) == 1 else ""
    write_ensemble(output, members, folders, about=about, stacks=stacks)
    for target, stack in stacks.items():
        weights = ", ".join(f"{item.name} {weight:.3f}" for item, weight in zip(members, stack.weights, strict=True))
        say(f"{target}: intercept {stack.intercept:.3f}, weights {weights}")
    say(f"{output}: {'stack' if stacks else 'mean'} of {len(members)} model{'s' if len(members) != 1 else ''}")
    return Path(output)


def _stack(target: str, scores: Sequence[str | os.PathLike], directories: Sequence[DataDirectory]) -> Stack:
    """Fit one target over the clips that all score files and the labels have."""
    labels = {key: value for item in directories for key, value in item.targets.get(target, {}).items()}
    found = [{score.key: score.targets[target] for score in read_scores(path) if target in score.targets} for path in scores]
    keys = sorted(labels.keys() & set.intersection(*(set(item) for item in found)))
    if len(keys) < FEWEST_CLIPS:
        raise DataError(
            f"{target}: {len(keys)} clips have a label in {some([str(item.path) for item in directories])} and a score in all "
            f"of {some(list(map(str, scores)))}; a stack needs {FEWEST_CLIPS} at least"
        )
    return fit_stack(np.array([[item[key] for item in found] for key in keys]), np.array([labels[key] for key in keys]))


def fit_stack(predictions: np.ndarray, truth: np.ndarray) -> Stack:
    """Fit weights and intercept by ridge regression that shrinks towards the plain mean.

    Stacked generalisation (Wolpert, 1992; UTMOS, arXiv 2204.02152, section 3). The penalty is on the distance of the weights
    from 1/m, not from 0, as the models' scores are in the label's unit already: with a large penalty this is the mean with
    an intercept. Of :data:`PENALTIES` the one is taken whose leave-one-out error, in closed form, is smallest.

    Args:
        predictions: ``[n, m]`` of m models, each for clips that it was not trained on.
        truth: ``[n]``.

    >>> rng = np.random.default_rng(0)
    >>> truth = rng.uniform(1, 5, 500)
    >>> good, noise = truth + 0.1 * rng.standard_normal(500), rng.uniform(1, 5, 500)
    >>> [round(weight, 1) for weight in fit_stack(np.stack([good, noise], axis=1), truth).weights]
    [1.0, 0.0]
    """
    clips, models = predictions.shape
    centre, rest = predictions.mean(axis=0), truth - predictions.mean(axis=1)
    centred, target = predictions - centre, rest - rest.mean()
    best, shift = np.inf, np.zeros(models)
    for penalty in PENALTIES:
        inverse = np.linalg.inv(centred.T @ centred + penalty * np.eye(models))
        candidate = inverse @ centred.T @ target
        leverage = np.einsum("ij,jk,ik->i", centred, inverse, centred) + 1 / clips  # the intercept's share is 1/n
        error = np.mean(((target - centred @ candidate) / (1 - leverage)) ** 2)
        if error < best:
            best, shift = error, candidate
    weights = 1 / models + shift
    return Stack(tuple(weights.tolist()), float(truth.mean() - weights @ centre))
