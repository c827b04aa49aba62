"""Does a predicted standard deviation tell how far a prediction is off?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import stats

from distilmos_plugin.evaluation.correlations import is_constant
from distilmos_plugin.evaluation.intervals import RESAMPLES, bootstrap, draw_counts, percentile_interval
from distilmos_plugin.evaluation.pairs import Pairs

COVERAGES = {"coverage_68": 1.0, "coverage_95": 1.959964}
"""Share of clips whose truth lies within so many deviations of the prediction: 0.683 and 0.95 of a normal distribution."""

UNCERTAINTY = ("nll", *COVERAGES, "srcc_error")


def uncertainty(pairs: Pairs, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, Any] | None:
    """Return the figures of a target's standard deviations, each followed by its 95 % interval ``<name>_ci``.

    ``nll`` is the mean negative log-likelihood of the truth under a normal distribution, in nats; ``nll_constant`` what one
    deviation for all clips, the RMSE, would reach: above it, the predicted ones are worse than none. ``coverage_68`` and
    ``coverage_95`` are shares of clips (:data:`COVERAGES`). ``srcc_error`` is Spearman's correlation of deviation and absolute
    error; errors drawn from well-predicted deviations correlate weakly with them, so that 1 is out of reach. ``deviation`` is
    the root mean square of the deviations, to be compared with ``rmse``.

    Args:
        pairs: of the target.
        resamples, seed: of the bootstrap over clips, within systems where there are any.

    Returns:
        None where the scores come without deviations.
    """
    level = pairs.utterance
    if level.deviation is None:
        return None
    error = level.prediction - level.truth
    distance = np.abs(error) / level.deviation
    per_clip = {"nll": np.log(level.deviation) + 0.5 * distance**2 + 0.5 * math.log(2 * math.pi)}
    per_clip |= {name: (distance <= limit).astype(np.float64) for name, limit in COVERAGES.items()}
    counts = np.concatenate(list(draw_counts(len(error), pairs.members, resamples, seed)))
    figures: dict[str, Any] = {}
    for name, values in per_clip.items():
        figures[name] = float(values.mean())
        figures[f"{name}_ci"] = list(percentile_interval(counts @ values / counts.sum(axis=1)))
    rank = _rank_correlation(np.abs(error), level.deviation, pairs.members, resamples, seed)
    constant = 0.5 * math.log(2 * math.pi * math.e * max(float(np.mean(error**2)), np.finfo(np.float64).tiny))
    return {**figures, **rank, "nll_constant": constant, "deviation": float(np.sqrt(np.mean(level.deviation**2)))}


def _rank_correlation(
    error: np.ndarray, deviation: np.ndarray, members: np.ndarray | None, resamples: int, seed: int
) -> dict[str, Any]:
    if is_constant(error) or is_constant(deviation):
        return {"srcc_error": None, "srcc_error_ci": None}
    bounds = bootstrap(error, deviation, strata=members, resamples=resamples, seed=seed).bounds["srcc"]
    value = float(stats.spearmanr(error, deviation).statistic)
    return {"srcc_error": value, "srcc_error_ci": None if bounds is None else list(bounds)}


def sentence(figures: Mapping[str, Any]) -> str:
    """Return the figures in words, for reports.

    >>> sentence({"coverage_68": 0.7, "coverage_95": 0.94, "nll": 0.8, "nll_constant": 0.9, "srcc_error": None})[:57]
    'truth within 1 standard deviation 70 % (ideal 68 %), with'
    """
    text = (
        f"truth within 1 standard deviation {100 * figures['coverage_68']:.0f} % (ideal 68 %), within 1.96 "
        f"{100 * figures['coverage_95']:.0f} % (95 %); NLL {figures['nll']:.2f} nats, of one deviation for all "
        f"{figures['nll_constant']:.2f}"
    )
    if figures["srcc_error"] is not None:
        text += f"; SRCC of deviation and error {figures['srcc_error']:.2f}"
    return text
