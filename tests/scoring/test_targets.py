"""A model of several targets, none of them ``mos``, through every path: each target by its name, nothing under ``mos``."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from distilmos_plugin.data.directory import DataDirectory, write_data_directory
from distilmos_plugin.evaluation.compare import compare
from distilmos_plugin.evaluation.evaluate import evaluate
from distilmos_plugin.evaluation.report import write_report
from distilmos_plugin.evaluation.results import write_results
from distilmos_plugin.evaluation.tables import comparison_table, evaluation_table
from distilmos_plugin.models import build_model
from distilmos_plugin.scoring.models import load
from distilmos_plugin.scoring.release import write_release
from distilmos_plugin.scoring.results import read_scores
from distilmos_plugin.scoring.run import score_paths
from distilmos_plugin.upstreams.upstream import load_upstream

from .material import RATE, speech, write

TARGETS = ("pesq", "stoi")


@pytest.fixture(scope="module")
def model(config, tmp_path_factory) -> str:
    conf = replace(config, targets=TARGETS, model_conf={"hidden_dim": 8})
    directory = tmp_path_factory.mktemp("exp") / "measures" / "model"
    write_release(directory, build_model(conf, load_upstream(conf.upstream, conf.upstream_conf)), conf)
    return str(directory)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> DataDirectory:
    """Eight clips of two systems and one that is too short, with labels of both targets; ``stoi`` lacks one."""
    folder = tmp_path_factory.mktemp("corpus")
    wav = {f"s{n % 2}-{n}": write(folder / f"{n}.wav", speech(0.6, seed=n)) for n in range(8)}
    wav["s1-short"] = write(folder / "short.wav", speech(0.01))
    rng = np.random.default_rng(0)
    labels = {target: {key: float(rng.uniform()) for key in wav} for target in TARGETS}
    labels["stoi"]["s0-0"] = None
    return write_data_directory(folder / "test", wav, labels, {key: key[:2] for key in wav})


@pytest.fixture(scope="module")
def scores(model, data, tmp_path_factory):
    output = tmp_path_factory.mktemp("results") / "test" / "scores.jsonl"
    score_paths([data.path], model=model, output=output)
    return output


def test_python_gives_them_by_name(model):
    score = load(model, "cpu").score(speech(0.6), RATE)
    assert tuple(score.targets) == TARGETS
    assert score.mos is None


def test_a_clip_without_a_score_has_null_for_each(scores):
    rows = {row["key"]: row for row in map(json.loads, scores.read_text().splitlines())}
    assert {name: rows["s1-short"][name] for name in TARGETS} == dict.fromkeys(TARGETS)
    assert all("mos" not in row for row in rows.values())
    assert not next(score for score in read_scores(scores) if score.key == "s1-short").targets


@pytest.mark.parametrize(("ending", "delimiter"), [("csv", ","), ("tsv", "\t")])
def test_tables_have_a_column_for_each(model, data, tmp_path, ending, delimiter):
    output = tmp_path / f"scores.{ending}"
    score_paths([data.path], model=model, output=output)
    header, *rows = output.read_text().splitlines()
    assert header.split(delimiter)[2:5] == ["pesq", "stoi", "status"]
    short = next(row.split(delimiter) for row in rows if row.startswith("s1-short"))
    assert short[2:5] == ["", "", "too_short"]


def test_the_terminal_shows_each_and_the_summary_too(model, data, capsys):
    score_paths([data.path], model=model, summary=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["pesq", "stoi"]
    assert [line.split()[:2] for line in lines if line.startswith(TARGETS)] == [["pesq", "8"], ["stoi", "8"]]


def test_every_target_with_labels_is_evaluated(scores, data, tmp_path):
    figures = evaluate(scores, data, scores.parent, resamples=50)
    assert figures["target"] == "pesq"
    assert figures["n_utterances"] == 8
    assert figures["targets"]["stoi"]["n_utterances"] == 7  # one clip has no label of it
    assert "STOI utterance" in evaluation_table(figures)
    page = (scores.parent / "report.html").read_text()
    assert "Clips: STOI" in page
    for target in ("PESQ", "STOI"):
        assert f"{target}, utterance" in page
    results = write_results(scores.parent.parent).read_text()
    assert "## PESQ, utterance level" in results
    assert "## STOI, utterance level" in results


def test_targets_are_compared_one_by_one(scores, data):
    comparison = compare(scores, scores, data, resamples=50)
    assert list(comparison["targets"]) == list(TARGETS)
    assert "STOI utterance LCC" in comparison_table(comparison)


def test_a_report_needs_no_labels(scores, tmp_path):
    page = write_report(scores, tmp_path / "report.html").read_text()
    assert "PESQ" in page
    assert "STOI" in page


def test_the_card_shows_how_to_ask_for_them(model):
    card = (Path(model) / "README.md").read_text()
    assert "Predicts pesq, stoi of speech" in card
    assert '.score("a.wav").targets' in card
