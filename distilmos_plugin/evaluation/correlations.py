"""Agreement of predictions with truth: the figures of the VoiceMOS family and of ITU-T P.1401.

Nothing is clipped, rounded or mapped before scoring. A figure that cannot be computed is None, with the reason beside
it; it is never NaN and never 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

METRICS = ("mse", "rmse", "lcc", "srcc", "ktau")
"""Mean squared error, its root, Pearson, Spearman (average ranks on ties) and Kendall tau-b: in every table."""

P1401_METRICS = ("bias", "rmse_map", "rmse_star")
"""Mean error (prediction - truth), RMSE after the first-order map, and RMSE* of ITU-T P.1401."""

HIGHER_IS_BETTER = ("lcc", "srcc", "ktau")

CONSTANT_SPREAD = 1e-6
"""Values spread by less than this, relative to the largest, are constant: it is the rounding noise of float32 scores."""

MAP_PARAMETERS = 2  # slope and intercept: the d of P.1401 eq. 7-29 for a first-order map


def metrics(truth: ArrayLike, prediction: ArrayLike, half_width: ArrayLike | None = None) -> dict[str, Any]:
    """Compare predictions with truth.

    Args:
        truth: ``[n]``, in the target's unit (MOS points for ``mos``).
        prediction: ``[n]``, in the same unit and order.
        half_width: ``[n]`` half of the 95 % interval of each truth, from its votes (:func:`mean_half_width`), NaN where
            there are fewer than two votes; only ``rmse_star`` needs it.

    Returns:
        Every name of :data:`METRICS` and :data:`P1401_METRICS` (``rmse_star`` only with ``half_width``), ``map`` with the
        ``slope`` and ``intercept`` of truth = slope * prediction + intercept, and ``undefined``: name -> reason for each
        value that is None.

    Raises:
        ValueError: if the shapes differ.

    Example:
        >>> figures = metrics([1, 2, 3, 4], [1.5, 2, 2.5, 4.5])
        >>> figures["mse"], round(figures["lcc"], 4), figures["srcc"], figures["ktau"]
        (0.1875, 0.9327, 1.0, 1.0)
        >>> metrics([1, 2, 3], [3, 3, 3])["undefined"]["srcc"]
        'the predictions are constant'
    """
    y, p = np.asarray(truth, dtype=np.float64), np.asarray(prediction, dtype=np.float64)
    if y.ndim != 1 or y.shape != p.shape:
        raise ValueError(f"truth {y.shape} and prediction {p.shape} must be vectors of one length")
    figures: dict[str, Any] = dict.fromkeys((*METRICS, *P1401_METRICS))
    figures["map"] = None
    undefined: dict[str, str] = {}
    if half_width is None:
        del figures["rmse_star"]
    reason = _unusable(y, p)
    if reason:
        return {**figures, "undefined": dict.fromkeys((name for name in figures if name != "map"), reason)}
    figures["mse"] = float(np.mean((p - y) ** 2))
    figures["rmse"] = float(np.sqrt(figures["mse"]))
    figures["bias"] = float(np.mean(p - y))
    reason = _uncorrelatable(y, p)
    if reason:
        undefined |= dict.fromkeys(HIGHER_IS_BETTER, reason)
    else:
        figures["lcc"] = float(stats.pearsonr(y, p).statistic)
        figures["srcc"] = float(stats.spearmanr(y, p).statistic)
        figures["ktau"] = float(stats.kendalltau(y, p, variant="b").statistic)
    reason = "one item" if len(p) < 2 else "the predictions are constant" if is_constant(p) else ""
    if reason:
        undefined |= dict.fromkeys((name for name in ("rmse_map", "rmse_star") if name in figures), reason)
        return {**figures, "undefined": undefined}
    slope, intercept = first_order_map(y, p)
    figures["map"] = {"slope": slope, "intercept": intercept}
    error = slope * p + intercept - y
    figures["rmse_map"] = float(np.sqrt(np.mean(error**2)))
    if half_width is not None:
        figures["rmse_star"], reason = rmse_star(error, half_width)
        if reason:
            undefined["rmse_star"] = reason
    return {**figures, "undefined": undefined}


def _unusable(y: np.ndarray, p: np.ndarray) -> str:
    """Return why no figure at all can be computed, or an empty string."""
    if not len(y):
        return "no items"
    for name, values in (("truth", y), ("prediction", p)):
        bad = int(np.sum(~np.isfinite(values)))
        if bad:
            return f"{bad} of {len(values)} values of the {name} are not finite"
    return ""


def _uncorrelatable(y: np.ndarray, p: np.ndarray) -> str:
    """Return why no correlation can be computed, or an empty string."""
    if len(y) < 2:
        return "one item"
    if is_constant(y):
        return "the truth is constant"
    return "the predictions are constant" if is_constant(p) else ""


def is_constant(values: np.ndarray) -> bool:
    """Tell whether finite ``values`` ``[n]`` differ by no more than rounding noise."""
    return bool(np.ptp(values) <= CONSTANT_SPREAD * np.max(np.abs(values)))


def first_order_map(truth: np.ndarray, prediction: np.ndarray) -> tuple[float, float]:
    """Return slope and intercept of the least-squares line truth = slope * prediction + intercept (P.1401, 7.3).

    Both are ``[n]`` with n >= 2, and the predictions are not constant.
    """
    centred = prediction - prediction.mean()
    slope = float(centred @ (truth - truth.mean()) / (centred @ centred))
    return slope, float(truth.mean() - slope * prediction.mean())


def rmse_star(error: np.ndarray, half_width: ArrayLike) -> tuple[float | None, str]:
    """RMSE that forgives what lies within the truth's own 95 % interval (ITU-T P.1401, eq. 7-27 and 7-29).

    sqrt(sum(max(0, \\|error\\| - half_width)^2) / (N - d)): the *squares* are summed. d = 2, the parameters of the
    first-order map. NISQA's code takes d = 1 for the same map, which gives a value lower by the factor sqrt((N-2)/(N-1)).

    Args:
        error: ``[n]`` mapped prediction - truth.
        half_width: ``[n]``; items where it is NaN have no interval and do not count.

    Returns:
        The value and an empty string, or None and the reason.
    """
    half = np.asarray(half_width, dtype=np.float64)
    known = np.isfinite(half)
    freedom = int(known.sum()) - MAP_PARAMETERS
    if freedom < 1:
        return None, f"only {int(known.sum())} items have two votes or more; at least {MAP_PARAMETERS + 1} are needed"
    excess = np.maximum(np.abs(error[known]) - half[known], 0.0)
    return float(np.sqrt(np.sum(excess**2) / freedom)), ""


def mean_half_width(values: Sequence[float] | np.ndarray) -> float:
    """Return half of the 95 % interval of the mean of ``values`` (votes, or clips) by Student's t (P.1401, appendix III).

    NaN with fewer than two values.

    Example:
        >>> round(mean_half_width([3, 4, 5]), 3)
        2.484
    """
    count = len(values)
    if count < 2:
        return float("nan")
    return float(stats.t.ppf(0.975, count - 1) * np.std(values, ddof=1) / np.sqrt(count))


def system_means(values: Mapping[str, float], systems: Mapping[str, str]) -> dict[str, float]:
    """Average the values of each system's clips, plainly.

    Args:
        values: key -> value.
        systems: key -> system, for at least these keys.

    Returns:
        System -> mean, sorted by system.

    Example:
        >>> system_means({"a": 1.0, "b": 2.0, "c": 5.0}, {"a": "s1", "b": "s1", "c": "s2"})
        {'s1': 1.5, 's2': 5.0}
    """
    grouped: dict[str, list[float]] = {}
    for key, value in values.items():
        grouped.setdefault(systems[key], []).append(value)
    return {system: float(np.mean(grouped[system])) for system in sorted(grouped)}
