"""Which epochs are the best, and when to stop: ``best_model_criterion``, ``keep_nbest_models``, ``patience``."""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping
from typing import Any

from distilmos_plugin.errors import ConfigError, suggest

Criterion = tuple[tuple[str, str, str], ...]


def check_criterion(criterion: Criterion, known: Mapping[str, tuple[str, ...]]) -> None:
    """Raise a ConfigError unless every entry is ``[phase, metric, min or max]`` of known names.

    Args:
        criterion: ``best_model_criterion``.
        known: metrics of each phase.
    """
    if not criterion:
        raise ConfigError("best_model_criterion: at least one [phase, metric, min or max] is needed")
    for phase, metric, mode in criterion:
        if phase not in known:
            raise ConfigError(f"best_model_criterion: '{phase}' is not a phase{suggest(phase, known)} ({', '.join(known)})")
        if metric not in known[phase]:
            hint = suggest(metric, known[phase])
            raise ConfigError(f"best_model_criterion: '{metric}' is not a metric of {phase}{hint} ({', '.join(known[phase])})")
        if mode not in ("min", "max"):
            raise ConfigError(f"best_model_criterion: '{mode}' is neither min nor max")


def merit(entry: Mapping[str, Any], criterion: Criterion) -> tuple[float, ...]:
    """Return what orders epochs: greater is better; a metric that is missing, None or NaN is worse than any number.

    Args:
        entry: one epoch of the history, ``{"train": {metric: value}, "valid": {metric: value}}``.
        criterion: the first entry ranks, the others break ties.

    >>> merit({"valid": {"loss": 0.5, "system_srcc": None}}, (("valid", "loss", "min"), ("valid", "system_srcc", "max")))
    (-0.5, -inf)
    """
    values = []
    for phase, metric, mode in criterion:
        value = entry.get(phase, {}).get(metric)
        number = math.nan if value is None else float(value) * (1.0 if mode == "max" else -1.0)
        values.append(-math.inf if math.isnan(number) else number)
    return tuple(values)


def best_epochs(history: list[Mapping[str, Any]], criterion: Criterion, count: int) -> list[int]:
    """Return the numbers of the ``count`` best epochs, best first; of equals, the earlier is better."""
    ranked = sorted(history, key=lambda entry: (tuple(-value for value in merit(entry, criterion)), entry["epoch"]))
    return [entry["epoch"] for entry in ranked[:count]]


def epochs_without_gain(history: list[Mapping[str, Any]], criterion: Criterion) -> int:
    """Return how many epochs have passed since the best one."""
    return history[-1]["epoch"] - best_epochs(history, criterion, 1)[0] if history else 0


def standing(history: list[Mapping[str, Any]], criterion: Criterion) -> list[float]:
    """Return a number for each epoch: greater is better, equals are equal, and later epochs leave those before as they are.

    For trainers that rank epochs by one number, fixed once.

    >>> figures = [0.5, 0.9, 0.7, 0.9, None]
    >>> standing([{"valid": {"system_srcc": value}} for value in figures], (("valid", "system_srcc", "max"),))
    [0.0, 1.0, 0.5, 1.0, -1.0]
    """
    ranked: list[tuple[float, ...]] = []
    numbers: list[float] = []  # of ranked, in the same order
    given = []
    for entry in history:
        value = merit(entry, criterion)
        place = bisect.bisect_left(ranked, value)
        if place == len(ranked) or ranked[place] != value:
            below = numbers[place - 1] if place else None
            above = numbers[place] if place < len(numbers) else None
            if below is None:
                number = 0.0 if above is None else above - 1.0
            else:
                number = below + 1.0 if above is None else (below + above) / 2
            ranked.insert(place, value)
            numbers.insert(place, number)
        given.append(numbers[place])
    return given
