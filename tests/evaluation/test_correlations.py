"""The agreement figures: by hand, against scipy, and where they cannot be computed."""

import csv
import math
import os
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from distilmos_plugin.evaluation.correlations import (
    METRICS,
    first_order_map,
    mean_half_width,
    metrics,
    rmse_star,
    system_means,
)

# Worked by hand. Both vectors have mean 2.4; sums of squares about it 5.2 and 3.2, of products 3.7. Ranks 1 2.5 2.5 4 5 and
# 1.5 1.5 3 4 5: sums of squares 9.5 and 9.5, of products 8.75. Of 10 pairs, one is tied in the truth, another in the
# prediction, the other 8 are concordant.
TRUTH = [1.0, 2.0, 2.0, 3.0, 4.0]
PREDICTION = [1.5, 1.5, 2.5, 3.0, 3.5]
EXPECTED = {"mse": 0.2, "rmse": 0.2**0.5, "lcc": 3.7 / (5.2 * 3.2) ** 0.5, "srcc": 8.75 / 9.5, "ktau": 8 / 9, "bias": 0.0}


@pytest.mark.parametrize("name", EXPECTED)
def test_values_worked_by_hand_with_ties_in_both_vectors(name):
    assert metrics(TRUTH, PREDICTION)[name] == pytest.approx(EXPECTED[name], abs=1e-12)


def test_order_of_the_items_does_not_matter():
    shuffled = np.random.default_rng(0).permutation(5)
    figures = metrics(np.array(TRUTH)[shuffled], np.array(PREDICTION)[shuffled])
    assert [figures[name] for name in EXPECTED] == pytest.approx(list(EXPECTED.values()), abs=1e-12)


def test_same_as_scipy_on_many_tied_labels():
    rng = np.random.default_rng(0)
    truth = rng.integers(8, 40, size=300) / 8  # means of 8 ratings: many ties
    prediction = np.round(truth + rng.normal(0, 0.5, size=300), 1)
    figures = metrics(truth, prediction)
    assert figures["lcc"] == pytest.approx(np.corrcoef(truth, prediction)[0, 1], abs=1e-12)
    assert figures["srcc"] == pytest.approx(stats.spearmanr(truth, prediction).statistic, abs=1e-12)
    assert figures["ktau"] == pytest.approx(stats.kendalltau(truth, prediction).statistic, abs=1e-12)
    assert figures["ktau"] != pytest.approx(stats.kendalltau(truth, prediction, variant="c").statistic, abs=1e-3)


def test_map_and_mapped_rmse_worked_by_hand():
    figures = metrics(TRUTH, PREDICTION)
    assert figures["map"] == {"slope": pytest.approx(3.7 / 3.2), "intercept": pytest.approx(2.4 - 2.4 * 3.7 / 3.2)}
    assert figures["rmse_map"] == pytest.approx(math.sqrt((5.2 - 3.7**2 / 3.2) / 5))


def test_rmse_star_sums_squares_over_n_minus_2():
    # Mapped errors .359375 -.640625 .515625 .09375 -.328125; beyond 0.3 lie .059375 .340625 .215625 0 .028125.
    squares = 0.059375**2 + 0.340625**2 + 0.215625**2 + 0.028125**2
    figures = metrics(TRUTH, PREDICTION, half_width=[0.3] * 5)
    assert figures["rmse_star"] == pytest.approx(math.sqrt(squares / 3), abs=1e-12)


def test_rmse_star_is_zero_within_the_interval_and_leaves_out_items_without_one():
    error = np.array([0.2, -0.2, 0.1, 5.0])
    assert rmse_star(error, [0.2, 0.2, 0.2, np.nan]) == (0.0, "")
    assert rmse_star(error, [0.1, 0.1, 0.1, np.nan])[0] == pytest.approx(math.sqrt(0.02))


def test_rmse_star_needs_three_intervals():
    figures = metrics(TRUTH, PREDICTION, half_width=[0.3, 0.3, np.nan, np.nan, np.nan])
    assert figures["rmse_star"] is None
    assert "only 2 items have two votes or more" in figures["undefined"]["rmse_star"]


def test_no_rmse_star_without_votes():
    assert "rmse_star" not in metrics(TRUTH, PREDICTION)


def test_interval_of_votes_is_students_t():
    # 3 4 5: standard deviation 1, t of 2 degrees of freedom at 97.5 % is 4.302653
    assert mean_half_width([3, 4, 5]) == pytest.approx(4.302653 / math.sqrt(3), abs=1e-6)
    assert math.isnan(mean_half_width([4]))


@pytest.mark.parametrize(
    ("truth", "prediction", "reason"),
    [
        ([2.0, 2.0, 2.0], [1.0, 2.0, 3.0], "the truth is constant"),
        ([1.0, 2.0, 3.0], [2.5, 2.5, 2.5], "the predictions are constant"),
        ([1.0, 2.0, 3.0], [2.5, 2.5 + 2e-7, 2.5], "the predictions are constant"),  # one step of float32 is no ranking
        ([3.0], [2.5], "one item"),
    ],
)
def test_correlations_of_constant_or_single_values_are_none_with_a_reason(truth, prediction, reason):
    figures = metrics(truth, prediction)
    for name in ("lcc", "srcc", "ktau"):
        assert figures[name] is None
        assert figures["undefined"][name] == reason
    assert figures["mse"] == pytest.approx(np.mean(np.subtract(truth, prediction) ** 2))


def test_constant_truth_still_has_a_mapped_error():
    assert metrics([2.0, 2.0, 2.0], [1.0, 2.0, 3.0])["rmse_map"] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("truth", "prediction", "reason"),
    [
        ([], [], "no items"),
        ([1.0, 2.0, 3.0], [1.0, float("nan"), 3.0], "1 of 3 values of the prediction are not finite"),
        ([1.0, float("inf"), 3.0], [1.0, 2.0, 3.0], "1 of 3 values of the truth are not finite"),
    ],
)
def test_nothing_is_computed_from_nothing_or_from_nan(truth, prediction, reason):
    figures = metrics(truth, prediction)
    assert all(figures[name] is None and figures["undefined"][name] == reason for name in METRICS)


def test_vectors_of_different_length_are_a_fault():
    with pytest.raises(ValueError, match="one length"):
        metrics([1.0, 2.0], [1.0])


def test_system_mean_is_the_plain_mean_of_its_clips_sorted_by_system():
    means = system_means({"x": 1.0, "y": 4.0, "z": 2.0}, {"x": "s2", "y": "s1", "z": "s2", "unscored": "s3"})
    assert list(means.items()) == [("s1", 4.0), ("s2", 1.5)]


def published_example() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    path = os.environ.get("DISTILMOS_SHEET_EXAMPLE", "")
    if not Path(path).is_file():
        pytest.skip("set DISTILMOS_SHEET_EXAMPLE to assets/example_results.csv of unilight/sheet")
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    systems = {row["sample_id"]: row["system_id"] for row in rows}
    columns = [{row["sample_id"]: float(row[name]) for row in rows} for name in ("avg_score", "answer")]
    means = [system_means(column, systems) for column in columns]
    as_arrays = [[np.array(list(column.values())) for column in pair] for pair in (columns, means)]
    return dict(zip(("utterance", "system"), map(tuple, as_arrays), strict=True))


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (
            "utterance",
            {"mse": 0.270978, "lcc": 0.867185, "srcc": 0.869795, "ktau": 0.693187, "rmse": 0.520555, "rmse_map": 0.458423},
        ),
        (
            "system",
            {"mse": 0.122943, "lcc": 0.929871, "srcc": 0.930234, "ktau": 0.777085, "rmse": 0.350632, "rmse_map": 0.296653},
        ),
    ],
)
def test_published_bvcc_example(level, expected):
    figures = metrics(*published_example()[level])
    assert {name: figures[name] for name in expected} == pytest.approx(expected, abs=1e-6)


def test_map_of_the_published_bvcc_example():
    slope, intercept = first_order_map(*published_example()["system"])
    assert (slope, intercept) == pytest.approx((0.855674, 0.326148), abs=1e-6)
