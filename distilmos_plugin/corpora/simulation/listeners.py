"""Forty simulated listeners: each rates too high or too low by a bias of their own, and wavers by a spread of their own.

A rating is ``round(truth + bias + spread * N(0, 1))``, kept within 1 to 5, as on the scale of ITU-T P.800. The numbers below
are of the size found in real tests, where a single rating strays from the clip's mean by 0.6 to 0.9 points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from distilmos_plugin.corpora.simulation import generator

LOWEST, HIGHEST = 1, 5  # MOS points
BIAS = 0.35  # MOS points, standard deviation over listeners
SPREADS = 0.4, 0.8  # MOS points, least and most of a listener


@dataclass(frozen=True)
class Panel:
    """The listeners of one test.

    Attributes:
        seed: of the biases, the spreads and every rating.
        size: number of listeners, named ``listener01`` and so on.
        per_clip: how many of them rate each clip.
    """

    seed: int
    size: int = 40
    per_clip: int = 8

    def habits(self) -> tuple[np.ndarray, np.ndarray]:
        """Return (bias [listeners], spread [listeners]) in MOS points; the biases cancel out over the panel."""
        rng = generator(self.seed, "listeners")
        bias = BIAS * rng.standard_normal(self.size)
        return bias - bias.mean(), rng.uniform(*SPREADS, size=self.size)

    def rate(self, key: str, truth: float) -> list[tuple[str, int]]:
        """Return ``per_clip`` ratings (listener, 1 to 5) of the clip ``key``, whose true quality is ``truth`` MOS points.

        >>> ratings = Panel(seed=1).rate("clean_de-f1_0000", 4.6)
        >>> len({listener for listener, _ in ratings}), min(value for _, value in ratings) >= 3
        (8, True)
        """
        bias, spread = self.habits()
        rng = generator(self.seed, "ratings", key)
        chosen = np.sort(rng.choice(self.size, self.per_clip, replace=False))
        opinions = truth + bias[chosen] + spread[chosen] * rng.standard_normal(self.per_clip)
        values = np.clip(np.rint(opinions), LOWEST, HIGHEST).astype(int)
        return [(f"listener{index + 1:02d}", int(value)) for index, value in zip(chosen, values, strict=True)]
