"""Simulated listeners: their number, their habits, their scale."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from distilmos_plugin.corpora.simulation.listeners import Panel

PANEL = Panel(seed=3)


def all_ratings(truth: float) -> dict[str, list[int]]:
    by_listener = defaultdict(list)
    for number in range(1000):
        for listener, value in PANEL.rate(f"clip{number}", truth):
            by_listener[listener].append(value)
    return by_listener


def test_eight_different_listeners_of_forty_rate_a_clip():
    names = [listener for listener, _ in PANEL.rate("clip", 3.0)]
    assert len(set(names)) == 8
    assert len(all_ratings(3.0)) == 40


def test_ratings_are_whole_points_from_1_to_5_around_the_truth():
    values = np.concatenate(list(all_ratings(3.0).values()))
    assert set(values) <= {1, 2, 3, 4, 5}
    assert values.mean() == pytest.approx(3.0, abs=0.05)  # 8,000 ratings; biases cancel out over the panel
    assert max(value for _, value in PANEL.rate("clip", 9.0)) == 5
    assert min(value for _, value in PANEL.rate("clip", -9.0)) == 1


def test_listeners_keep_their_bias_and_spread():
    bias, spread = PANEL.habits()
    assert bias.sum() == pytest.approx(0, abs=1e-9)
    ratings = all_ratings(3.0)
    means = np.array([np.mean(ratings[name]) for name in sorted(ratings)])
    assert np.corrcoef(means, bias)[0, 1] > 0.95
    spreads = np.array([np.std(ratings[name]) for name in sorted(ratings)])
    assert np.corrcoef(spreads, spread)[0, 1] > 0.8  # rounding blurs small spreads


def test_ratings_depend_on_seed_and_clip_alone():
    assert PANEL.rate("clip", 3.0) == Panel(seed=3).rate("clip", 3.0)
    assert PANEL.rate("clip", 3.0) != PANEL.rate("other", 3.0)
    assert PANEL.rate("clip", 3.0) != Panel(seed=4).rate("clip", 3.0)
