"""95 % bootstrap intervals of the agreement figures.

At system level, systems are drawn with replacement. At utterance level, clips are drawn with replacement within each system,
so that every resample holds the same systems in the same proportions. A resample is kept as a count for each item, which
makes all figures, Kendall's tau too, sums over weights: no resample is ever written out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from distilmos_plugin.errors import DataError
from distilmos_plugin.evaluation.correlations import CONSTANT_SPREAD, MAP_PARAMETERS, METRICS, P1401_METRICS

RESAMPLES = 1000
CONFIDENCE = 0.95

DEGENERATE_LIMIT = 0.05
"""No interval where a larger part of the resamples leaves a figure undefined: the percentiles of the rest would mislead."""

BLOCK_VALUES = 2_000_000  # resamples x items held at once: 16 MB of float64 for each intermediate array
PAIR_COLUMNS = 2048  # columns of the n x n sign matrix of Kendall's tau held at once


@dataclass(frozen=True)
class Intervals:
    """Percentile intervals of one level.

    Attributes:
        bounds: figure -> (low, high), None where there is none.
        degenerate: figure -> resamples that left it undefined, where there were any.
        resamples: how many were drawn.
    """

    bounds: dict[str, tuple[float, float] | None]
    degenerate: dict[str, int]
    resamples: int


def bootstrap(
    truth: np.ndarray,
    prediction: np.ndarray,
    *,
    half_width: np.ndarray | None = None,
    strata: np.ndarray | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Intervals:
    """Return the percentile intervals of every figure of :func:`~.correlations.metrics`.

    Args:
        truth, prediction: finite, ``[n]``.
        half_width: ``[n]``, for ``rmse_star``.
        strata: int ``[n]``: the system of each clip, drawn within; None draws over all items.
        resamples: how many.
        seed: of the draws; the same seed and size give the same draws.
    """
    samples = {name: [] for name in (*METRICS, *P1401_METRICS)}
    for counts in draw_counts(len(truth), strata, resamples, seed):
        for name, values in resampled_metrics(truth, prediction, counts, half_width).items():
            samples[name].append(values)
    joined = {name: np.concatenate(blocks) for name, blocks in samples.items() if blocks}
    degenerate = {name: int(np.isnan(values).sum()) for name, values in joined.items()}
    return Intervals(
        bounds={name: percentile_interval(values) for name, values in joined.items()},
        degenerate={name: count for name, count in degenerate.items() if count},
        resamples=resamples,
    )


def percentile_interval(samples: np.ndarray) -> tuple[float, float] | None:
    """Return the central 95 % of ``samples`` ``[resamples]``; None where too many of them are NaN (undefined)."""
    defined = samples[~np.isnan(samples)]
    if not len(defined) or len(samples) - len(defined) > DEGENERATE_LIMIT * len(samples):
        return None
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(defined, (tail, 1 - tail))
    return float(low), float(high)


def draw_counts(items: int, strata: np.ndarray | None, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield resamples as counts, int64 ``[block, items]``: how often each item was drawn. Blocks bound the memory.

    Raises:
        DataError: if ``resamples`` is less than 1.
    """
    if resamples < 1:
        raise DataError(f"resamples: expected at least 1, found {resamples}")
    strata = np.zeros(items, dtype=np.int64) if strata is None else np.asarray(strata)
    order = np.argsort(strata, kind="stable")
    _, start, inverse, size = np.unique(strata[order], return_index=True, return_inverse=True, return_counts=True)
    first, choices = start[inverse], size[inverse]  # of the stratum that each place belongs to
    rng = np.random.default_rng(seed)
    block = max(1, BLOCK_VALUES // max(items, 1))
    for done in range(0, resamples, block):
        rows = min(block, resamples - done)
        drawn = order[first + rng.integers(0, choices, size=(rows, items))]
        flat = (drawn + np.arange(rows)[:, None] * items).ravel()
        yield np.bincount(flat, minlength=rows * items).reshape(rows, items)


def resampled_metrics(
    truth: np.ndarray, prediction: np.ndarray, counts: np.ndarray, half_width: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Compute every figure for each resample.

    Args:
        truth, prediction: finite, ``[n]``.
        counts: int ``[resamples, n]``; each row sums to n.
        half_width: ``[n]``, for ``rmse_star``.

    Returns:
        Figure -> ``[resamples]``, NaN where a resample leaves it undefined.
    """
    y, p = np.asarray(truth, dtype=np.float64), np.asarray(prediction, dtype=np.float64)
    weights = counts / counts.sum(axis=1, keepdims=True)
    mse = weights @ (p - y) ** 2
    ranks_y, spread_y = _resampled_ranks(y, counts)
    ranks_p, spread_p = _resampled_ranks(p, counts)
    with np.errstate(invalid="ignore", divide="ignore"):
        covariance, variance_y, variance_p = _moments(y, p, weights)
        defined_p = np.where(spread_p, 1.0, np.nan)
        defined = np.where(spread_y, defined_p, np.nan)
        slope = covariance / variance_p * defined_p
        figures = {
            "mse": mse,
            "rmse": np.sqrt(mse),
            "lcc": np.clip(covariance / np.sqrt(variance_y * variance_p), -1, 1) * defined,
            "srcc": _rank_correlation(ranks_y, ranks_p, weights) * defined,
            "ktau": _tau_b(y, p, counts) * defined,
            "bias": weights @ (p - y),
            "rmse_map": np.sqrt(np.maximum(variance_y - slope * covariance, 0)),
        }
        if half_width is not None:
            intercept = weights @ y - slope * (weights @ p)
            figures["rmse_star"] = _rmse_star(y, p, slope, intercept, counts, np.asarray(half_width))
    return figures


def _moments(y: np.ndarray, p: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return covariance and both variances for each resample; centred first, so that differences do not cancel."""
    y, p = y - y.mean(), p - p.mean()
    mean_y, mean_p = weights @ y, weights @ p
    return weights @ (y * p) - mean_y * mean_p, weights @ y**2 - mean_y**2, weights @ p**2 - mean_p**2


def _resampled_ranks(values: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the average ranks ``[resamples, n]`` of the items in each resample, and whether its values are spread at all."""
    order = np.argsort(values, kind="stable")
    _, starts, inverse = np.unique(values[order], return_index=True, return_inverse=True)
    groups = np.add.reduceat(counts[:, order], starts, axis=1)  # drawn items of each distinct value
    ranks = np.empty(counts.shape)
    ranks[:, order] = (np.cumsum(groups, axis=1) - groups + (groups + 1) / 2)[:, inverse]
    drawn = counts > 0
    highest = np.where(drawn, values, -np.inf).max(axis=1)
    lowest = np.where(drawn, values, np.inf).min(axis=1)
    return ranks, highest - lowest > CONSTANT_SPREAD * np.maximum(np.abs(highest), np.abs(lowest))


def _rank_correlation(ranks_y: np.ndarray, ranks_p: np.ndarray, weights: np.ndarray) -> np.ndarray:
    middle = (weights.shape[1] + 1) / 2  # mean rank of n items, with or without ties
    y, p = ranks_y - middle, ranks_p - middle
    covariance = np.einsum("bn,bn,bn->b", weights, y, p)
    return covariance / np.sqrt(np.einsum("bn,bn,bn->b", weights, y, y) * np.einsum("bn,bn,bn->b", weights, p, p))


def _tau_b(y: np.ndarray, p: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return Kendall's tau-b of each resample: (concordant - discordant) / sqrt(pairs untied in y * pairs untied in p).

    Copies of one item are ties of both. float32 holds the counts exactly: none exceeds n, which is far below 2^24.
    """
    drawn = counts.astype(np.float32)
    concordance = np.zeros(len(counts))
    for start in range(0, len(y), PAIR_COLUMNS):
        columns = slice(start, start + PAIR_COLUMNS)
        signs = (np.sign(y[:, None] - y[columns]) * np.sign(p[:, None] - p[columns])).astype(np.float32)
        concordance += np.einsum("bn,bn->b", drawn @ signs, counts[:, columns])
    return concordance / np.sqrt(_untied_pairs(y, counts) * _untied_pairs(p, counts))


def _untied_pairs(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return twice the number of pairs of each resample whose values differ."""
    order = np.argsort(values, kind="stable")
    starts = np.unique(values[order], return_index=True)[1]
    groups = np.add.reduceat(counts[:, order], starts, axis=1).astype(np.float64)
    return counts.sum(axis=1, dtype=np.float64) ** 2 - np.einsum("bg,bg->b", groups, groups)


def _rmse_star(
    y: np.ndarray, p: np.ndarray, slope: np.ndarray, intercept: np.ndarray, counts: np.ndarray, half_width: np.ndarray
) -> np.ndarray:
    """Return RMSE* of each resample; see :func:`~.correlations.rmse_star`."""
    known = np.isfinite(half_width)
    error = slope[:, None] * p[known] + intercept[:, None] - y[known]
    excess = np.maximum(np.abs(error) - half_width[known], 0.0)
    freedom = counts[:, known].sum(axis=1) - MAP_PARAMETERS
    squares = np.einsum("bn,bn,bn->b", counts[:, known].astype(np.float64), excess, excess)
    return np.sqrt(squares / np.where(freedom > 0, freedom, np.nan))
