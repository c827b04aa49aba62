"""Predicted standard deviations: figures, plot, report."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from distilmos_plugin.evaluation.evaluate import evaluate
from distilmos_plugin.evaluation.pairs import Level, Pairs
from distilmos_plugin.evaluation.uncertainty import uncertainty

from .conftest import SIGNATURE, write_scores


def pairs(deviation: np.ndarray, seed: int = 0) -> Pairs:
    """Return clips whose errors are drawn from a normal distribution of these standard deviations."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(1, 5, len(deviation))
    names = tuple(f"{i:05d}" for i in range(len(deviation)))
    level = Level(names, truth, truth + deviation * rng.standard_normal(len(deviation)), deviation=deviation)
    return Pairs("mos", level, None, None, "scored-set")


def with_deviation(item: Pairs, factor: float) -> Pairs:
    return replace(item, utterance=replace(item.utterance, deviation=factor * item.utterance.deviation))


@pytest.fixture(scope="module")
def honest() -> Pairs:
    return pairs(np.random.default_rng(1).uniform(0.1, 1.0, 4000))


def test_deviations_that_tell_the_errors_cover_as_a_normal_distribution_does(honest):
    figures = uncertainty(honest, resamples=100)
    # 4,000 clips: the shares are known to 0.0074 and 0.0034 (one standard error); three of them.
    assert figures["coverage_68"] == pytest.approx(0.6827, abs=0.022)
    assert figures["coverage_95"] == pytest.approx(0.95, abs=0.011)
    assert figures["coverage_68_ci"][0] < 0.6827 < figures["coverage_68_ci"][1]
    assert figures["nll"] < figures["nll_constant"]
    assert figures["srcc_error"] > 0.3


def test_too_small_and_too_large_deviations_cost_likelihood_and_show_in_the_coverage(honest):
    right, small, large = (uncertainty(with_deviation(honest, factor), resamples=10) for factor in (1.0, 0.5, 2.0))
    assert small["coverage_95"] < 0.75 < right["coverage_95"] < 0.99 < large["coverage_95"]
    assert right["nll"] < min(small["nll"], large["nll"])
    assert small["srcc_error"] == right["srcc_error"]


def test_the_likelihood_by_hand():
    level = Level(("a", "b"), np.array([3.0, 3.0]), np.array([3.0, 4.0]), deviation=np.array([1.0, 0.5]))
    figures = uncertainty(Pairs("mos", level, None, None, "scored-set"), resamples=10)
    half = 0.5 * math.log(2 * math.pi)
    assert figures["nll"] == pytest.approx((half + half + math.log(0.5) + 2.0) / 2)
    assert figures["nll_constant"] == pytest.approx(half + 0.5 * math.log(0.5) + 0.5)
    assert (figures["coverage_68"], figures["coverage_95"]) == (0.5, 0.5)
    assert figures["deviation"] == pytest.approx(math.sqrt(0.625))


def test_an_evaluation_shows_them_everywhere(listening_test, tmp_path):
    scores = [
        replace(score, targets={**score.targets, "mos_std": 0.2}) for score in listening_test.scores(0.2, SIGNATURE, seed=1)
    ]
    scores[0] = replace(scores[0], targets={**scores[0].targets, "mos_std": 0.3})
    figures = evaluate(write_scores(tmp_path / "scores.jsonl", scores), listening_test.data, tmp_path, resamples=50)
    assert figures["uncertainty"]["coverage_68"] > 0.4
    assert figures["unlabelled_targets"] == []
    assert (tmp_path / "deviation.png").is_file()
    assert json.loads((tmp_path / "metrics.json").read_text())["uncertainty"] == figures["uncertainty"]
    assert "Predicted standard deviation" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_further_target_has_its_own_figures_and_plot(listening_test, tmp_path):
    labels = listening_test.data.targets["mos"]
    data = replace(listening_test.data, targets={"mos": labels, "sig": labels})
    scores = [
        replace(score, targets={"mos": score.mos, "sig": score.mos, "sig_std": 0.2})
        for score in listening_test.scores(0.2, SIGNATURE, seed=1)
    ]
    figures = evaluate(write_scores(tmp_path / "scores.jsonl", scores), data, tmp_path, resamples=50)
    assert figures["uncertainty"] is None
    assert figures["targets"]["sig"]["uncertainty"]["deviation"] == pytest.approx(0.2)
    assert [path.name for path in tmp_path.glob("deviation*.png")] == ["deviation_sig.png"]
    assert "Predicted standard deviation: SIG" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_scores_without_deviations_have_no_such_figures(listening_test, tmp_path):
    figures = evaluate(listening_test.good, listening_test.data, tmp_path, resamples=50)
    assert figures["uncertainty"] is None
    assert not (tmp_path / "deviation.png").exists()
