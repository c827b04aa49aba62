"""Best-score ratio and difference: how close a model comes to the best, averaged over test sets."""

import json
import shutil
from dataclasses import replace

import pytest

from distilmos_plugin.data.directory import write_data_directory
from distilmos_plugin.evaluation.best_score import best_score_tables, best_scores, shared_sets
from distilmos_plugin.evaluation.evaluate import assess
from distilmos_plugin.evaluation.overview import write_overview
from distilmos_plugin.evaluation.results import write_results
from distilmos_plugin.files import write_json


def figures(srcc: float | None, mse: float = 0.3, clips: int = 10, system: bool = True) -> dict:
    block = {"lcc": srcc, "srcc": srcc, "ktau": srcc, "mse": mse}
    return {"target": "mos", "n_utterances": clips, "utterance": block, "system": block if system else None}


# a is trained on A, b on B, ab on both; the best on A is 0.9 (a), on B 0.8 (ab)
EXPERIMENTS = {
    "a": {"test_A": figures(0.9, 0.2), "test_ood_B": figures(0.4, 0.6)},
    "b": {"test_B": figures(0.7, 0.4), "test_ood_A": figures(0.45, 0.5)},
    "ab": {"test_A": figures(0.81, 0.25), "test_B": figures(0.8, 0.3)},
}


def test_figures_are_set_against_the_best_on_each_test_set_and_averaged():
    table = best_scores(EXPERIMENTS, "utterance")
    assert table["a"]["all"]["ratio"]["srcc"] == pytest.approx((0.9 / 0.9 + 0.4 / 0.8) / 2)
    assert table["a"]["all"]["difference"]["srcc"] == pytest.approx((0 + (0.4 - 0.8)) / 2)
    assert table["ab"]["in domain"]["ratio"]["srcc"] == pytest.approx((0.81 / 0.9 + 1) / 2)
    assert table["ab"]["in domain"]["difference"]["mse"] == pytest.approx((0.05 + 0) / 2)  # the lowest error is the best


def test_in_and_out_of_domain_are_those_of_each_experiment():
    table = best_scores(EXPERIMENTS, "utterance")
    assert {domain: block["sets"] for domain, block in table["a"].items()} == {"in domain": 1, "out of domain": 1, "all": 2}
    assert table["a"]["in domain"]["ratio"]["srcc"] == 1.0
    assert table["a"]["out of domain"]["ratio"]["srcc"] == pytest.approx(0.5)
    assert list(table["ab"]) == ["in domain"]


def test_only_test_sets_that_all_have_with_as_many_clips_count():
    assert shared_sets(EXPERIMENTS) == ["test_A", "test_B"]
    more = EXPERIMENTS | {"c": {"test_A": figures(0.5), "test_B": figures(0.5, clips=9), "test_C": figures(0.5)}}
    assert shared_sets(more) == ["test_A"]
    assert list(best_score_tables({"a": EXPERIMENTS["a"]})) == []  # nothing to compare with
    assert list(best_score_tables({"a": EXPERIMENTS["a"], "c": {"test_C": figures(0.5)}})) == []


def test_undefined_figures_stay_undefined():
    none = EXPERIMENTS | {"flat": {"test_A": figures(None), "test_B": figures(0.2)}}
    assert best_scores(none, "utterance")["a"]["in domain"]["ratio"]["srcc"] is None
    useless = {"a": {"test_A": figures(-0.2)}, "b": {"test_A": figures(-0.1)}}
    assert best_scores(useless, "utterance")["a"]["in domain"]["ratio"]["srcc"] is None  # of what is below 0
    assert best_scores(useless, "utterance")["a"]["in domain"]["difference"]["srcc"] == pytest.approx(-0.1)
    without = {name: {"test_A": figures(0.5, system=False)} for name in "ab"}
    assert best_scores(without, "system") == {}


@pytest.fixture
def experiments(listening_test, tmp_path):
    """Two experiments on two test sets, one of them out of domain for the second."""
    data = listening_test.data
    expdirs = []
    for name, scores, sets in (
        ("good", listening_test.good, ("test_a", "test_b")),
        ("poor", listening_test.poor, ("test_a", "test_ood_b")),
    ):
        for part in sets:
            path = tmp_path / "data" / part
            write_data_directory(path, data.wav, data.targets, data.systems, data.ratings)
            folder = tmp_path / "exp" / name / part
            folder.mkdir(parents=True)
            shutil.copy(scores, folder)
            write_json(folder / "metrics.json", assess(scores, replace(data, path=path), resamples=50).figures)
        (tmp_path / "exp" / name / "config.yaml").write_text("system: distilmos\nupstream: tiny\nseed: 7\n")
        expdirs.append(tmp_path / "exp" / name)
    return expdirs


def test_results_have_the_comparison_where_they_are_asked_for_it(experiments):
    good, poor = experiments
    assert "Best-score" not in write_results(good).read_text()
    text = write_results(good, against=[poor]).read_text()
    lines = text.splitlines()
    assert "## Best-score ratio and difference" in lines
    assert "best of these 2 experiments" in text
    assert "test_a, test_b" in text
    rows = [line for line in lines if line.startswith("| good | in domain | 2 | 1.000 | 1.000 | 1.000 | +0.000")]
    assert len(rows) == 2  # clips and systems
    figures = {part: json.loads((poor / part / "metrics.json").read_text()) for part in ("test_a", "test_ood_b")}
    best = json.loads((good / "test_a" / "metrics.json").read_text())
    ratio = figures["test_ood_b"]["utterance"]["lcc"] / best["utterance"]["lcc"]  # the labels of both sets are the same
    assert any(line.startswith(f"| poor | out of domain | 1 | {ratio:.3f} |") for line in lines)


def test_an_overview_has_it_too(experiments, tmp_path):
    text = write_overview(experiments, tmp_path / "RESULTS.md").read_text()
    assert "## Best-score ratio and difference" in text


def test_several_sets_in_or_out_of_domain_have_a_mean(experiments):
    good = experiments[0]
    shutil.copytree(good / "test_b", good / "test_ood_c")
    shutil.copytree(good / "test_b", good / "test_ood_d")
    lines = write_results(good).read_text().splitlines()
    outside = json.loads((good / "test_b" / "metrics.json").read_text())["utterance"]
    assert any(line.startswith(f"| mean of 2 sets out of domain |  | {outside['mse']:.3f} |") for line in lines)
    assert any(line.startswith("| mean of 2 sets in domain |") for line in lines)
