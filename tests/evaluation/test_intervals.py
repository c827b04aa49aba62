"""Bootstrap intervals: what is drawn, what is computed from it, and what is said where a resample has no figure."""

import time

import numpy as np
import pytest

from distilmos_plugin.evaluation.correlations import METRICS, metrics
from distilmos_plugin.evaluation.intervals import bootstrap, draw_counts, percentile_interval, resampled_metrics


def tied_example(items: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(8, 40, size=items) / 8
    return truth, np.round(truth + rng.normal(0, 0.5, size=items), 1)


def test_figures_of_a_resample_are_those_of_the_written_out_sample():
    truth, prediction = tied_example()
    half_width = np.where(np.arange(40) % 5, 0.2, np.nan)
    (counts,) = draw_counts(40, None, 50, seed=3)
    resampled = resampled_metrics(truth, prediction, counts, half_width)
    for row, drawn in enumerate(counts):
        expected = metrics(*(np.repeat(values, drawn) for values in (truth, prediction, half_width)))
        for name, values in resampled.items():
            assert values[row] == pytest.approx(expected[name], abs=1e-9), name


def test_every_resample_has_as_many_items_and_each_stratum_keeps_its_size():
    strata = np.array([0, 1, 1, 0, 2, 1, 1, 0])
    (counts,) = draw_counts(8, strata, 200, seed=0)
    assert counts.shape == (200, 8)
    for stratum, size in ((0, 3), (1, 4), (2, 1)):
        assert (counts[:, strata == stratum].sum(axis=1) == size).all()
    assert (counts[:, 4] == 1).all()  # the only clip of its system is always drawn
    assert counts[:, :4].max() > 1


def test_every_item_is_drawn_equally_often():
    (counts,) = draw_counts(10, np.repeat([0, 1], 5), 20_000, seed=0)
    assert counts.mean(axis=0) == pytest.approx(np.ones(10), abs=0.03)  # standard error 0.0063


def test_equal_seeds_give_equal_intervals_and_others_do_not():
    truth, prediction = tied_example()
    first, again, other = (bootstrap(truth, prediction, seed=seed).bounds for seed in (0, 0, 1))
    assert first == again
    assert first["srcc"] != other["srcc"]


def test_the_callers_random_state_is_left_alone():
    np.random.seed(5)
    before = np.random.get_state()[1].copy()
    bootstrap(*tied_example(), resamples=10)
    assert (np.random.get_state()[1] == before).all()


def test_interval_of_a_mean_is_that_of_the_textbook():
    rng = np.random.default_rng(0)
    truth = rng.normal(3, 1, size=400)
    prediction = truth + rng.normal(0.5, 0.8, size=400)
    low, high = bootstrap(truth, prediction, resamples=4000).bounds["bias"]
    error = prediction - truth
    half = 1.96 * error.std() / 20
    assert (low, high) == pytest.approx((error.mean() - half, error.mean() + half), abs=0.1 * half)  # noise of 4,000 resamples


def test_the_figure_lies_in_its_interval():
    truth, prediction = tied_example(200)
    figures, bounds = metrics(truth, prediction), bootstrap(truth, prediction).bounds
    assert all(bounds[name][0] < figures[name] < bounds[name][1] for name in METRICS)


def test_drawing_within_systems_keeps_what_the_systems_differ_by():
    rng = np.random.default_rng(0)
    strata = np.repeat(np.arange(20), 10)
    bias = np.repeat(rng.normal(0, 1, size=20), 10)  # the prediction is off by something of each system's own
    truth = rng.normal(3, 0.3, size=200)
    prediction = truth + bias + rng.normal(0, 0.1, size=200)
    within, over = (np.ptp(bootstrap(truth, prediction, strata=groups).bounds["bias"]) for groups in (strata, None))
    assert within < 0.3 * over


def test_a_resample_without_a_figure_is_left_out_and_counted():
    # Truth is constant but for two of the 12 items: P(neither is drawn) is (10/12)^12 = 11 %, more than an interval bears.
    truth = np.array([3.0] * 10 + [1.0, 5.0])
    intervals = bootstrap(truth, np.linspace(1, 5, 12))
    assert intervals.degenerate["lcc"] == intervals.degenerate["srcc"] == intervals.degenerate["ktau"]
    assert 80 < intervals.degenerate["lcc"] < 150
    assert intervals.bounds["lcc"] is None
    assert intervals.bounds["mse"] is not None
    assert "mse" not in intervals.degenerate


def test_few_resamples_without_a_figure_do_not_cost_the_interval():
    samples = np.r_[np.full(5, np.nan), np.linspace(0, 1, 95)]
    assert percentile_interval(samples) == pytest.approx((0.025, 0.975))
    assert percentile_interval(np.r_[np.full(6, np.nan), np.linspace(0, 1, 94)]) is None


def test_one_item_has_no_interval_of_a_correlation():
    intervals = bootstrap(np.array([3.0]), np.array([2.0]), resamples=100)
    assert intervals.bounds["lcc"] is None
    assert intervals.degenerate["lcc"] == 100
    assert intervals.bounds["mse"] == (1.0, 1.0)


def test_blocks_hold_no_more_than_their_share(monkeypatch):
    truth, prediction = tied_example()
    whole = bootstrap(truth, prediction, resamples=1000)
    monkeypatch.setattr("distilmos_plugin.evaluation.intervals.BLOCK_VALUES", 40 * 7)
    monkeypatch.setattr("distilmos_plugin.evaluation.intervals.PAIR_COLUMNS", 16)
    assert max(len(counts) for counts in draw_counts(40, None, 1000, 0)) == 7
    assert bootstrap(truth, prediction, resamples=1000).bounds["ktau"] == pytest.approx(whole.bounds["ktau"], abs=1e-12)


def test_a_test_set_of_the_usual_size_takes_no_time():
    truth, prediction = tied_example(240)
    strata = np.arange(240) % 30
    started = time.process_time()
    bootstrap(truth, prediction, strata=strata, half_width=np.full(240, 0.3))
    assert time.process_time() - started < 2.0  # 0.1 s on an idle core
