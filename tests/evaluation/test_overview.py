"""One table over many experiments."""

import json
import math
import re
import shutil
import statistics

import numpy as np
import pytest

from distilmos_plugin.data.directory import DataDirectory
from distilmos_plugin.errors import DataError
from distilmos_plugin.evaluation import overview
from distilmos_plugin.evaluation.evaluate import evaluate
from distilmos_plugin.evaluation.overview import write_overview

from .conftest import SIGNATURE, write_scores

STUDENT = 4.303  # 97.5 % quantile with 2 degrees of freedom, from any table


@pytest.fixture(scope="module")
def experiments(listening_test, tmp_path_factory):
    """Three seeds of one system, and another system."""
    folder = tmp_path_factory.mktemp("exp")
    made = []
    for name, seed, error in (("good_seed0", 0, 0.3), ("good_seed1", 1, 0.5), ("good_seed2", 2, 0.7), ("poor", 0, 1.0)):
        expdir = folder / name
        scores = write_scores(expdir / "test" / "scores.jsonl", listening_test.scores(error, SIGNATURE, seed))
        evaluate(scores, listening_test.data, expdir / "test", resamples=50)
        system = name.partition("_")[0]
        (expdir / "config.yaml").write_text(f"system: {system}\nupstream: tiny\nseed: {seed}\n")
        (expdir / "history.jsonl").write_text('{"epoch": 1, "seconds": 60.0}\n{"epoch": 2, "seconds": 90.0}\n')
        made.append(expdir)
    return made


def table(text, title):
    lines = text.splitlines()
    start = lines.index(title) + 2
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[start : lines.index("", start)]]
    return {row[0]: dict(zip(rows[0], row, strict=True)) for row in rows[2:]}


def test_seeds_share_a_row_with_their_mean_and_student_interval(experiments, tmp_path):
    rows = table(write_overview(experiments, tmp_path / "RESULTS.md").read_text(), "## First target of each system")
    assert list(rows) == ["good", "poor"]
    assert (rows["good"]["seeds"], rows["good"]["training, minutes"]) == ("3", "2.5")
    values = [json.loads((expdir / "test" / "metrics.json").read_text())["utterance"]["lcc"] for expdir in experiments[:3]]
    half = STUDENT * statistics.stdev(values) / math.sqrt(3)
    mean, found = map(float, rows["good"]["test utterance LCC"].split(" ± "))
    assert mean == pytest.approx(statistics.fmean(values), abs=5e-4)
    assert found == pytest.approx(half, rel=1e-3, abs=5e-4)


def test_a_single_run_has_its_bootstrap_interval(experiments, tmp_path):
    rows = table(write_overview(experiments[3:], tmp_path / "RESULTS.md").read_text(), "## First target of each system")
    figures = json.loads((experiments[3] / "test" / "metrics.json").read_text())["system"]
    low, high = figures["srcc_ci"]
    assert rows["poor"]["test system SRCC"] == f"{figures['srcc']:.3f} [{low:.3f}, {high:.3f}]"


def test_sample_rates_with_enough_clips_have_a_table(experiments, tmp_path, monkeypatch):
    copies = [shutil.copytree(experiment, tmp_path / experiment.name) for experiment in experiments[2::-1]]
    for mixed in copies:
        lines = [json.loads(line) for line in (mixed / "test" / "scores.jsonl").read_text().splitlines()]
        for number, line in enumerate(lines):
            line["sample_rate"] = 8000 if number % 2 else 24000
        (mixed / "test" / "scores.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    title = "## Utterance LCC by native sample rate, test"
    assert title not in write_overview([mixed], tmp_path / "few.md").read_text()  # 18 clips of each
    monkeypatch.setattr(overview, "FEWEST", 18)
    rows = table(write_overview([mixed], tmp_path / "enough.md").read_text(), title)
    truth = DataDirectory.read(json.loads((mixed / "test" / "metrics.json").read_text())["data"]).targets["mos"]
    pairs = [(truth[line["key"]], line["mos"]) for line in lines if line["sample_rate"] == 8000]
    expected = np.corrcoef(*zip(*pairs, strict=True))[0, 1]
    value, low, high = map(float, re.findall(r"[\d.]+", rows["good_seed0"]["8 kHz (18 clips)"]))
    assert value == pytest.approx(expected, abs=5e-4)  # written with three decimals
    assert low < value < high
    assert rows["good_seed0"]["target"] == "MOS"
    seeds = table(write_overview(copies, tmp_path / "seeds.md").read_text(), title)
    assert re.fullmatch(r"0\.\d{3} ± \d\.\d{3}", seeds["good"]["8 kHz (18 clips)"])


def test_an_experiment_that_was_not_evaluated_is_named(experiments, tmp_path):
    (tmp_path / "new").mkdir()
    with pytest.raises(DataError, match=r"new: no .*run the recipe on it"):
        write_overview([*experiments, tmp_path / "new"], tmp_path / "RESULTS.md")
    assert not (tmp_path / "RESULTS.md").exists()


def test_targets_of_all_systems_have_columns(experiments, tmp_path):
    rows = table(write_overview(experiments, tmp_path / "RESULTS.md").read_text(), "## Utterance LCC by target, test")
    assert set(rows["good"]) == {"experiment", "MOS"}
    assert np.isfinite(float(rows["good"]["MOS"].split()[0]))
