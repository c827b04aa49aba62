"""Two models on the same clips."""

from dataclasses import replace

import numpy as np
import pytest

from distilmos_plugin.errors import DataError
from distilmos_plugin.evaluation.compare import compare, paired_differences, two_sided_p
from distilmos_plugin.evaluation.correlations import METRICS
from distilmos_plugin.evaluation.pairs import Level
from distilmos_plugin.evaluation.tables import comparison_table

from .conftest import CLIPS, OTHER_SIGNATURE, QUALITY, SIGNATURE, write_scores


def test_a_clearly_better_model_is_found_better(listening_test):
    comparison = compare(listening_test.poor, listening_test.good, listening_test.data)
    rows = comparison["targets"]["mos"]["utterance"]
    for name in METRICS:
        row = rows[name]
        assert row["difference"] == pytest.approx(row["b"] - row["a"])
        assert row["ci"][0] <= row["difference"] <= row["ci"][1]
        assert row["p"] <= 0.05
    assert rows["mse"]["difference"] < 0 < rows["lcc"]["difference"]
    table = comparison_table(comparison)
    assert "b better" in table
    assert "a better" not in table


def test_swapping_the_models_turns_the_signs(listening_test):
    one, other = (
        compare(*paths, listening_test.data)["targets"]["mos"]["utterance"]["srcc"]
        for paths in ((listening_test.good, listening_test.poor), (listening_test.poor, listening_test.good))
    )
    assert one["difference"] == pytest.approx(-other["difference"])
    assert one["ci"] == pytest.approx([-edge for edge in reversed(other["ci"])])
    assert one["p"] == other["p"]


def test_equal_scores_differ_by_nothing(listening_test):
    comparison = compare(listening_test.good, listening_test.good, listening_test.data)
    for level in ("utterance", "system"):
        for row in comparison["targets"]["mos"][level].values():
            assert (row["difference"], row["ci"], row["p"]) == (0.0, [0.0, 0.0], 1.0)
    assert any("same signature" in note for note in comparison["notes"])


def test_other_signatures_are_compared_with_a_note(listening_test):
    comparison = compare(listening_test.good, listening_test.poor, listening_test.data)
    assert (comparison["a"]["signature"], comparison["b"]["signature"]) == (SIGNATURE, OTHER_SIGNATURE)
    assert "the signatures differ in model" in comparison["notes"]


def test_pairing_finds_what_two_intervals_hide():
    # Both models err by the clips' own difficulty; b errs by 0.02 more. Their intervals overlap almost wholly.
    rng = np.random.default_rng(0)
    truth = rng.uniform(1, 5, size=300)
    error = rng.normal(0, 0.5, size=300)
    names = tuple(map(str, range(300)))
    a = Level(names, truth, truth + error)
    b = Level(names, truth, truth + error + 0.02 * np.sign(error))
    row = paired_differences(a, b, strata=None)["mse"]
    assert row["p"] < 0.01
    assert np.ptp(row["ci"]) < 0.01


def test_p_is_below_5_percent_where_the_interval_leaves_out_zero():
    samples = np.linspace(-0.02, 1, 1000)  # 2 % below zero
    assert two_sided_p(samples) < 0.05
    assert two_sided_p(samples - 0.01) > 0.05  # 3 % below


def test_p_is_never_zero():
    assert two_sided_p(np.ones(999)) == pytest.approx(2 / 1000)


def test_false_alarms_are_as_rare_as_p_says():
    rng = np.random.default_rng(0)
    names = tuple(map(str, range(60)))
    alarms = 0
    for _ in range(100):
        truth = rng.uniform(1, 5, size=60)
        levels = (Level(names, truth, truth + rng.normal(0, 0.5, size=60)) for _ in range(2))
        alarms += paired_differences(*levels, strata=None, resamples=200)["mse"]["p"] < 0.05
    assert alarms <= 14  # 5 expected; more than 14 has a probability of 1e-4


def test_only_clips_scored_by_both_count_and_the_others_are_named(listening_test, tmp_path):
    scores = listening_test.scores(0.2, SIGNATURE, seed=1)
    scores[3] = replace(scores[3], targets={}, status="empty")
    part = write_scores(tmp_path / "part.jsonl", scores[:-2])
    comparison = compare(part, listening_test.poor, listening_test.data)
    assert comparison["n_utterances"] == CLIPS * len(QUALITY) - 3
    assert "3 clips have a score in b only and are left out: a3, f4, f5" in comparison["notes"]


def test_an_undefined_figure_has_no_difference(listening_test, tmp_path):
    flat = [replace(score, targets={"mos": 3.0}) for score in listening_test.scores(0, OTHER_SIGNATURE, seed=1)]
    comparison = compare(listening_test.good, write_scores(tmp_path / "flat.jsonl", flat), listening_test.data)
    row = comparison["targets"]["mos"]["system"]["srcc"]
    assert (row["b"], row["difference"], row["ci"], row["p"]) == (None, None, None, None)
    assert comparison["targets"]["mos"]["system"]["mse"]["p"] is not None
    assert " - " in comparison_table(comparison)


def test_nothing_in_common_is_refused(listening_test, without, tmp_path):
    scores = listening_test.scores(0.2, OTHER_SIGNATURE, seed=1)
    first = write_scores(tmp_path / "first.jsonl", scores[:5])
    rest = write_scores(tmp_path / "rest.jsonl", scores[5:])
    pesq = write_scores(tmp_path / "pesq.jsonl", [replace(score, targets={"pesq": 2.0}) for score in scores])
    with pytest.raises(DataError, match="no clip with a label for 'mos' has a score in both"):
        compare(first, rest, listening_test.data)
    with pytest.raises(DataError, match=r"no target in common .* \(it has mos\)"):
        compare(pesq, rest, listening_test.data)


def test_without_system_ids_there_is_no_system_level(listening_test, without):
    comparison = compare(listening_test.good, listening_test.poor, without(listening_test.data, "systems"))
    assert comparison["targets"]["mos"]["system"] is None
    assert comparison["n_systems"] == 0


class TestSeveralRuns:
    """Models that were trained several times: the mean figure counts, and the interval holds what the runs differ by."""

    @pytest.fixture
    def runs(self, listening_test, tmp_path):
        """Three runs of one model that differ, and a pattern that matches them."""
        for run, error in enumerate((0.2, 0.5, 0.8)):
            write_scores(tmp_path / f"run{run}.jsonl", listening_test.scores(error, SIGNATURE, seed=run))
        return str(tmp_path / "run*.jsonl")

    def test_the_mean_over_the_runs_is_compared(self, listening_test, runs, tmp_path):
        row = compare(listening_test.poor, runs, listening_test.data)["targets"]["mos"]["utterance"]["mse"]
        alone = [
            compare(listening_test.poor, tmp_path / f"run{run}.jsonl", listening_test.data)["targets"]["mos"]["utterance"][
                "mse"
            ]
            for run in range(3)
        ]
        assert row["b"] == pytest.approx(sum(one["b"] for one in alone) / 3)
        assert row["difference"] == pytest.approx(row["b"] - row["a"])

    def test_the_interval_holds_the_differences_between_runs(self, listening_test, runs, tmp_path):
        def width(b):
            row = compare(listening_test.good, b, listening_test.data)["targets"]["mos"]["utterance"]["mse"]
            return row["ci"][1] - row["ci"][0]

        same = [tmp_path / "run1.jsonl"] * 3
        assert width(same) == pytest.approx(width(tmp_path / "run1.jsonl"))
        assert width(runs) > 1.5 * width(same)

    def test_the_table_says_what_the_figures_are(self, listening_test, runs):
        comparison = compare(listening_test.poor, runs, listening_test.data)
        assert comparison["b"]["runs"] == 3
        assert "means over 1 and 3 runs" in comparison_table(comparison)
