"""Speech level by ITU-T P.56 (12/2011), method B, and signals brought to a level.

Levels are in dBov: 0 dBov is the power of a constant signal at full scale (= 1).
"""

from __future__ import annotations

import math

import numpy as np
from scipy.signal import lfilter

NOMINAL = -26.0  # dBov, the usual level of speech material in listening tests (ITU-T P.800)
ENVELOPE_SECONDS = 0.03  # time constant of each of the two smoothing filters
HANGOVER_SECONDS = 0.2
MARGIN = 15.9  # dB between the active level and the threshold
THRESHOLDS = 2.0 ** np.arange(-15, 1)  # of full scale


def power(samples: np.ndarray) -> float:
    """Return the mean power of a signal in dBov, -inf for silence."""
    mean = float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
    return 10 * math.log10(mean) if mean > 0 else -math.inf


def active_level(samples: np.ndarray, rate: int) -> float:
    """Return the active speech level in dBov: the power over the time that somebody speaks, pauses left out.

    Args:
        samples: [time], full scale = 1.
        rate: Hz.

    Returns:
        The level; ``-inf`` for silence. Pauses do not count:

        >>> tone = 0.1 * np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000)
        >>> pause = np.zeros(8000)
        >>> round(active_level(tone, 16000), 1), round(active_level(np.r_[pause, pause, tone], 16000), 1)
        (-22.9, -22.9)
    """
    energy = float(np.sum(np.square(samples, dtype=np.float64)))
    if energy == 0:
        return -math.inf
    decay = math.exp(-1 / (rate * ENVELOPE_SECONDS))
    envelope = np.abs(samples).astype(np.float64)
    for _ in range(2):
        envelope = lfilter([1 - decay], [1, -decay], envelope)
    hangover = math.ceil(HANGOVER_SECONDS * rate)
    below = math.nan, math.nan  # level and margin at the threshold before
    for threshold in THRESHOLDS:
        active = _active_samples(envelope >= threshold, hangover)
        if active == 0:
            break
        level = 10 * math.log10(energy / active)
        margin = level - 20 * math.log10(threshold)
        if margin <= MARGIN:
            if math.isnan(below[0]):
                return level
            part = (below[1] - MARGIN) / (below[1] - margin)
            return below[0] + part * (level - below[0])
        below = level, margin
    return power(samples) if math.isnan(below[0]) else below[0]


def _active_samples(above: np.ndarray, hangover: int) -> int:
    """Count the samples that are above the threshold or follow such a one within ``hangover`` samples."""
    places = np.flatnonzero(above)
    if not len(places):
        return 0
    gaps = np.diff(np.append(places, len(above)))
    return int(np.minimum(gaps, hangover + 1).sum())


def at_level(samples: np.ndarray, rate: int, level: float = NOMINAL) -> np.ndarray:
    """Scale speech so that its active level is ``level`` dBov; silence stays silence."""
    found = active_level(samples, rate)
    return samples if math.isinf(found) else samples * 10 ** ((level - found) / 20)
