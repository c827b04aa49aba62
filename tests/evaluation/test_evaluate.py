"""Evaluation of a score file: metrics.json, what is left out, and what is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest

from distilmos_plugin.errors import DataError
from distilmos_plugin.evaluation.compare import compare
from distilmos_plugin.evaluation.correlations import METRICS, metrics, system_means
from distilmos_plugin.evaluation.evaluate import assess, evaluate, evaluate_once
from distilmos_plugin.evaluation.pairs import read_system_means
from distilmos_plugin.evaluation.tables import comparison_table, evaluation_table

from .conftest import CLIPS, QUALITY, RATE, SIGNATURE, write_scores

TOTAL = CLIPS * len(QUALITY)


@pytest.fixture(scope="module")
def evaluated(listening_test):
    output = listening_test.folder / "good"
    return evaluate(listening_test.good, listening_test.data, output), output


def test_all_outputs_are_there_and_nothing_else(evaluated):
    names = ["calibration.png", "distribution.png", "metrics.json", "ranking.png", "report.html"]
    names += ["scatter_system.png", "scatter_utterance.png", "scores.jsonl"]
    assert sorted(path.name for path in evaluated[1].iterdir()) == names


def test_metrics_json_is_what_was_returned_and_has_the_agreed_keys(evaluated):
    figures, output = evaluated
    assert json.loads((output / "metrics.json").read_text()) == figures
    assert figures["signature"] == SIGNATURE
    assert (figures["n_utterances"], figures["n_systems"]) == (TOTAL, len(QUALITY))
    for level in ("utterance", "system"):
        for name in METRICS:
            low, high = figures[level][f"{name}_ci"]
            assert low - 1e-12 <= figures[level][name] <= high + 1e-12  # a perfect rank correlation is 1 to rounding


def test_figures_are_of_the_clips_and_of_the_means_of_their_systems(evaluated, listening_test):
    figures, _ = evaluated
    data = listening_test.data
    prediction = {score.key: score.mos for score in listening_test.scores(0.2, SIGNATURE, seed=1)}
    truth = data.targets["mos"]
    levels = {
        "utterance": (truth, prediction),
        "system": (system_means(truth, data.systems), system_means(prediction, data.systems)),
    }
    for level, (y, p) in levels.items():
        expected = metrics([y[key] for key in sorted(y)], [p[key] for key in sorted(y)])
        assert [figures[level][name] for name in METRICS] == pytest.approx([expected[name] for name in METRICS], abs=1e-5)


def test_order_of_the_score_file_does_not_matter(evaluated, listening_test, tmp_path):
    scores = listening_test.scores(0.2, SIGNATURE, seed=1)[::-1]
    again = assess(write_scores(tmp_path / "scores.jsonl", scores), listening_test.data).figures
    assert again == {name: value for name, value in evaluated[0].items() if name != "made_from"}


def test_a_current_evaluation_is_not_done_again(listening_test, tmp_path):
    scores = tmp_path / "scores.jsonl"
    write_scores(scores, listening_test.scores(0.2, SIGNATURE, seed=1))

    def evaluated_again(data=listening_test.data, **options) -> bool:
        before = (tmp_path / "metrics.json").stat().st_mtime_ns
        evaluate_once(scores, data, tmp_path, **{"resamples": 20, **options})
        return (tmp_path / "metrics.json").stat().st_mtime_ns != before

    evaluate_once(scores, listening_test.data, tmp_path, resamples=20)
    assert not evaluated_again()
    assert evaluated_again(resamples=21)
    assert evaluated_again(data=replace(listening_test.data, ratings=None))
    write_scores(scores, listening_test.scores(0.3, SIGNATURE, seed=1))
    assert evaluated_again()
    assert evaluated_again(force=True)


def test_a_clip_without_a_score_is_counted_by_its_reason(listening_test, tmp_path):
    scores = listening_test.scores(0.2, SIGNATURE, seed=1)
    scores[0] = replace(scores[0], targets={}, status="too_short", reason="20 ms of audio")
    scores[1] = replace(scores[1], targets={}, status="unreadable", reason="no such file")
    figures = assess(write_scores(tmp_path / "scores.jsonl", scores[:-1]), listening_test.data).figures
    assert figures["unscored"] == {"missing": 1, "too_short": 1, "unreadable": 1}
    assert figures["n_utterances"] == TOTAL - 3
    assert "1 missing, 1 too_short, 1 unreadable" in evaluation_table(figures)


def test_scores_that_the_data_do_not_have_are_counted(listening_test, tmp_path):
    scores = listening_test.scores(0.2, SIGNATURE, seed=1)
    stranger = replace(scores[0], key="stranger")
    figures = assess(write_scores(tmp_path / "scores.jsonl", [*scores, stranger]), listening_test.data).figures
    assert (figures["not_in_data"], figures["n_utterances"]) == (1, TOTAL)


def test_every_table_says_which_labels_a_model_gave(listening_test, tmp_path):
    (tmp_path / "labels.json").write_text('{"mos": "judge@0123 (predicts ratings)"}')
    data, said = replace(listening_test.data, path=tmp_path), "mos: scores of judge@0123 (predicts ratings)"
    figures = evaluate(listening_test.good, data, tmp_path)
    tables = [evaluation_table(figures), comparison_table(compare(listening_test.good, listening_test.poor, data))]
    for table in (*tables, (tmp_path / "report.html").read_text()):
        assert said in table


def test_without_system_ids_there_is_no_system_level(listening_test, without, tmp_path):
    figures = evaluate(listening_test.good, without(listening_test.data, "systems"), tmp_path)
    assert figures["system"] is None
    assert figures["n_systems"] == 0
    assert not (tmp_path / "scatter_system.png").exists()
    assert not (tmp_path / "ranking.png").exists()
    assert "no system level" in evaluation_table(figures)


def test_constant_predictions_give_null_and_a_reason_all_the_way(listening_test, tmp_path):
    scores = [replace(score, targets={"mos": 3.0}) for score in listening_test.scores(0, SIGNATURE, seed=1)]
    figures = evaluate(write_scores(tmp_path / "scores.jsonl", scores), listening_test.data, tmp_path)
    assert figures["utterance"]["srcc"] is None
    assert figures["system"]["ktau_ci"] is None
    assert figures["system"]["undefined"]["srcc"] == "the predictions are constant"
    assert "the predictions are constant" in (tmp_path / "report.html").read_text()
    assert "MOS system srcc: the predictions are constant" in evaluation_table(figures)


def test_one_system_has_errors_but_no_correlations(listening_test, tmp_path):
    scores = [score for score in listening_test.scores(0.2, SIGNATURE, seed=1) if score.key.startswith("c")]
    figures = evaluate(write_scores(tmp_path / "scores.jsonl", scores), listening_test.data, tmp_path)
    assert figures["system"]["undefined"]["lcc"] == "one item"
    assert figures["system"]["mse"] is not None


def test_further_targets_have_a_block_of_their_own(listening_test, tmp_path):
    data = replace(listening_test.data, targets={**listening_test.data.targets, "sig": listening_test.data.targets["mos"]})
    scores = [
        replace(score, targets={"sig": score.mos, "mos": score.mos, "bak": 1.0})
        for score in listening_test.scores(0.2, SIGNATURE, seed=1)
    ]
    figures = evaluate(write_scores(tmp_path / "scores.jsonl", scores), data, tmp_path)
    assert figures["target"] == "mos"
    assert figures["unlabelled_targets"] == ["bak"]
    assert figures["targets"]["sig"]["utterance"]["mse"] == figures["utterance"]["mse"]
    assert (tmp_path / "scatter_utterance_sig.png").is_file()
    assert "SIG, system" in (tmp_path / "report.html").read_text()


def test_rmse_star_needs_ratings(evaluated, listening_test, without):
    assert 0 <= evaluated[0]["utterance"]["rmse_star"] < evaluated[0]["utterance"]["rmse_map"]
    assert "rmse_star" not in assess(listening_test.good, without(listening_test.data, "ratings")).figures["utterance"]


def test_system_truth_from_ratings_is_the_mean_of_all_ratings(listening_test):
    ratings = listening_test.data.ratings
    data = replace(listening_test.data, ratings=(*ratings, *[ratings[0]] * 30))  # one clip rated far more often than others
    system = data.systems[ratings[0].key]
    pooled = [rating.value for rating in data.ratings if data.systems[rating.key] == system]
    evaluation = assess(listening_test.good, data, system_truth="ratings")
    rows = {row["system"]: row["truth"] for row in evaluation.figures["ranking"]}
    assert rows[system] == pytest.approx(np.mean(pooled))
    assert rows[system] != pytest.approx(
        np.mean([data.targets["mos"][key] for key in data.keys if data.systems[key] == system])
    )
    assert evaluation.figures["system_truth"] == "ratings"


def test_system_truth_from_a_file(listening_test, tmp_path):
    file = tmp_path / "system_mos.csv"
    file.write_text(
        "system_ID,mean\n" + "".join(f"{system},{quality}\n" for system, quality in QUALITY.items()) + "other,2.0\n"
    )
    evaluation = assess(listening_test.good, listening_test.data, system_truth="file", system_file=file)
    assert {row["system"]: row["truth"] for row in evaluation.figures["ranking"]} == QUALITY
    assert all(row["truth_ci"] is None for row in evaluation.figures["ranking"])


@pytest.mark.parametrize(
    "text", ["a,1.5\nb,2.5\n", "system\tmos\na\t1.5\nb\t2.5\n", "\ufeffa 1.5\r\nb 2.5\r\n", "id,mos,sd\na,1.5,0\nb,2.5,1\n"]
)
def test_system_means_with_and_without_a_header(text, tmp_path):
    (tmp_path / "means").write_text(text)
    assert read_system_means(tmp_path / "means") == {"a": 1.5, "b": 2.5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,1\nb,x\n", "line 2: no finite number"),
        ("a,1\na,2\n", "line 2: 'a' comes twice"),
        ("a,1\nb,nan\n", "line 2: no finite"),
    ],
)
def test_damaged_system_means_are_refused_with_their_line(text, message, tmp_path):
    (tmp_path / "means").write_text(text)
    with pytest.raises(DataError, match=message):
        read_system_means(tmp_path / "means")


def test_what_cannot_be_evaluated_is_refused_with_names(listening_test, without, tmp_path):
    data, good = listening_test.data, listening_test.good
    scores = listening_test.scores(0.2, SIGNATURE, seed=1)
    strangers = write_scores(tmp_path / "strangers.jsonl", [replace(score, key=f"x{score.key}") for score in scores])
    mixed = write_scores(tmp_path / "mixed.jsonl", [replace(scores[0], signature="other"), *scores[1:]])
    failed = write_scores(tmp_path / "failed.jsonl", [replace(s, targets={}, status="empty") for s in scores])
    (tmp_path / "means").write_text("a,1.0\n")
    for arguments, options, message in (
        ((strangers, data), {}, r"scores: xa0.*labels: a0"),
        ((mixed, data), {}, "mixed.jsonl: scores of different models"),
        ((failed, data), {}, "none of its 36 clips has a score"),
        ((good, replace(data, targets={"sig": {}})), {}, "no labels for mos.*it has sig"),
        ((good, data), {"system_truth": "rating"}, "did you mean 'ratings'"),
        ((good, without(data, "ratings")), {"system_truth": "ratings"}, "needs single ratings"),
        ((good, data), {"system_truth": "file"}, "--system-file"),
        ((good, data), {"resamples": 0}, "resamples: expected at least 1, found 0"),
        (
            (good, data),
            {"system_truth": "file", "system_file": tmp_path / "means"},
            "no mean for 5 of the 6 scored systems: b, c",
        ),
    ):
        with pytest.raises(DataError, match=message):
            evaluate(*arguments, tmp_path / "output", **options)
    assert not (tmp_path / "output").exists()


def test_ranking_is_by_prediction_with_intervals_of_the_means(evaluated):
    rows = evaluated[0]["ranking"]
    assert [row["system"] for row in rows] == ["f", "e", "d", "c", "b", "a"]
    for row in rows:
        assert row["n"] == CLIPS
        assert row["prediction_ci"][0] < row["prediction"] < row["prediction_ci"][1]
    assert RATE > 16_000  # the report has to resample
