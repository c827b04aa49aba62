"""RESULTS.md of an experiment."""

import json
import shutil
from dataclasses import replace

import pytest

from distilmos_plugin.errors import DataError
from distilmos_plugin.evaluation.evaluate import evaluate
from distilmos_plugin.evaluation.results import write_results
from distilmos_plugin.evaluation.tables import evaluation_table
from distilmos_plugin.files import write_stamp

from .conftest import SIGNATURE


@pytest.fixture(scope="module")
def experiment(listening_test, tmp_path_factory):
    """An experiment on a corpus that calls itself mini, with a test set in and one out of domain."""
    folder = tmp_path_factory.mktemp("experiment")
    expdir = folder / "mini_small"
    write_stamp(folder / "data", {"corpus": "mini"})
    data = replace(listening_test.data, path=folder / "data" / "test")
    for name in ("test", "test_ood"):
        (expdir / name).mkdir(parents=True)
        shutil.copy(listening_test.good, expdir / name)
        evaluate(expdir / name / "scores.jsonl", data, expdir / name, resamples=100)
    (expdir / "config.yaml").write_text("system: distilmos\nupstream: tiny\nseed: 7\n")
    (expdir / "history.jsonl").write_text('{"epoch": 1, "seconds": 60.0}\n{"epoch": 2, "seconds": 90.0}\n')
    return expdir


def test_command_system_signature_and_environment_are_told(experiment):
    text = write_results(experiment, "./run.sh --seed 7").read_text()
    assert text.startswith("# mini_small\n")
    for part in (
        "./run.sh --seed 7",
        "`distilmos`",
        "`tiny`",
        "one training run, seed 7, 2 epochs in 2.5 minutes",
        SIGNATURE,
        "python",
        "torch",
        "cores",
    ):
        assert part in text


def test_simulated_truth_is_called_simulated(experiment):
    assert "Corpus mini: simulated listening test, truth is wideband PESQ" in write_results(experiment).read_text()
    assert "simulated listening test" in (experiment / "test" / "report.html").read_text()


def test_each_level_has_a_table_with_the_sets_below_one_another(experiment):
    lines = write_results(experiment).read_text().splitlines()
    figures = json.loads((experiment / "test" / "metrics.json").read_text())
    for level, count in (("utterance", "36"), ("system", "6")):
        start = lines.index(f"## MOS, {level} level")
        table = lines[start + 2 : start + 6]
        assert table[0].endswith("| MSE | RMSE | LCC | SRCC | KTAU |")
        assert table[2].startswith(f"| test (in domain) | {count} | {figures[level]['mse']:.3f} [")
        assert table[3].startswith(f"| test_ood (out of domain) | {count} |")
        assert len({line.count("|") for line in table}) == 1


def test_without_an_evaluation_there_are_no_results(tmp_path):
    with pytest.raises(DataError, match="evaluate a test set first"):
        write_results(tmp_path)
    assert not (tmp_path / "RESULTS.md").exists()


def test_a_damaged_metrics_file_is_named(tmp_path):
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "metrics.json").write_text('{"signature": "x"}')
    with pytest.raises(DataError, match=r"test/metrics\.json: not a metrics file"):
        write_results(tmp_path)


def test_the_terminal_table_has_every_figure_with_its_interval(experiment):
    figures = json.loads((experiment / "test" / "metrics.json").read_text())
    header, utterance, system, truth = evaluation_table(figures).splitlines()
    assert header.split() == ["items", "MSE", "RMSE", "LCC", "SRCC", "KTAU"]
    low, high = figures["utterance"]["lcc_ci"]
    assert f"{figures['utterance']['lcc']:.3f} [{low:.3f}, {high:.3f}]" in utterance
    assert system.startswith("MOS system")
    assert truth.startswith("Corpus mini: simulated")


def test_results_that_are_newer_than_the_figures_are_left_alone(experiment, capsys):
    path = write_results(experiment, "./run.sh")
    written = path.stat().st_mtime_ns
    assert write_results(experiment, "./run.sh --stage 6") == path
    assert path.stat().st_mtime_ns == written
    assert "complete and current" in capsys.readouterr().err
    (experiment / "config.yaml").touch()
    assert "--stage 6" in write_results(experiment, "./run.sh --stage 6").read_text()


def test_what_an_importer_decided_is_told(experiment):
    data = experiment.parent / "data"
    (data / "corpus.json").write_text('{"corpus": "mini", "notes": ["labels of the variant \'clean\'"]}')
    (experiment / "config.yaml").touch()
    try:
        assert "- mini: labels of the variant 'clean'." in write_results(experiment).read_text()
    finally:
        (data / "corpus.json").unlink()
        (experiment / "config.yaml").touch()
