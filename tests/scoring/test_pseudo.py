"""Labels that models give: whole data directories, resumed, current, and open about where their labels are from."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from distilmos_plugin.config import PseudoConfig
from distilmos_plugin.corpora import describe_labels
from distilmos_plugin.data.directory import DataDirectory, write_data_directory
from distilmos_plugin.errors import ConfigError, DataError
from distilmos_plugin.models import build_model
from distilmos_plugin.scoring.models import load
from distilmos_plugin.scoring.pseudo import pseudo_label, pseudo_stage, write_table
from distilmos_plugin.scoring.release import write_release
from distilmos_plugin.scoring.results import read_scores
from distilmos_plugin.training.card import describe_training
from distilmos_plugin.upstreams.upstream import load_upstream

from .material import speech, write


@pytest.fixture(scope="module")
def teacher(config, tmp_path_factory) -> str:
    """A released model of two targets, in no training of its own."""
    conf = replace(config, targets=("pesq", "stoi"))
    directory = tmp_path_factory.mktemp("exp") / "teacher" / "model"
    model = build_model(conf, load_upstream(conf.upstream, conf.upstream_conf))
    write_release(directory, model, conf, about="Random weights.")
    return str(directory)


@pytest.fixture
def data(tmp_path) -> Path:
    """Three clips with labels of ``pesq`` and ``sdi``; one is too short to score."""
    clips = {f"clip{number}": speech(seconds, seed=number) for number, seconds in enumerate((1.0, 0.5, 0.01))}
    wav = {key: write(tmp_path / "audio" / f"{key}.wav", samples) for key, samples in clips.items()}
    labels = {name: dict.fromkeys(wav, 1.5) for name in ("pesq", "sdi")}
    write_data_directory(tmp_path / "data" / "train", wav, labels, dict.fromkeys(wav, "system"))
    return tmp_path / "data"


def test_the_teachers_scores_take_the_place_of_labels(data, teacher, tmp_path):
    pseudo_label(data / "train", tmp_path / "new", [teacher])
    source, new = DataDirectory.read(data / "train"), DataDirectory.read(tmp_path / "new")
    assert new.wav == source.wav  # the same audio
    assert new.systems == source.systems
    assert new.targets["sdi"] == source.targets["sdi"]
    predictor = load(teacher, "cpu")
    for target in ("pesq", "stoi"):
        for key in ("clip0", "clip1"):
            # score files hold 6 decimals, and a score in a batch is the score alone to 1e-5
            assert new.targets[target][key] == pytest.approx(predictor.score(new.wav[key]).targets[target], abs=2e-5)
        assert math.isnan(new.targets[target]["clip2"])  # too short: no label
    assert source == DataDirectory.read(data / "train")


def test_the_new_directory_says_where_its_labels_are_from(data, teacher, tmp_path):
    pseudo_label(data / "train", tmp_path / "new", [teacher])
    labels = json.loads((tmp_path / "new" / "labels.json").read_text())
    assert set(labels) == {"pesq", "stoi"}
    sentence = describe_labels(tmp_path / "new")
    assert "neither ratings nor measurements: pesq, stoi: scores of teacher@" in sentence
    assert sentence in describe_training(DataDirectory.read(tmp_path / "new"))[1]["Training data"]
    assert describe_labels(data / "train") is None


def test_what_is_current_is_left_alone_and_what_is_not_is_made_again(data, teacher, tmp_path, capsys):
    output = tmp_path / "new"
    pseudo_label(data / "train", output, [teacher])
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*") if path.is_file()}
    pseudo_label(data / "train", output, [teacher])
    assert "nothing to do" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*") if path.is_file()} == before
    (output / ".complete.json").unlink()  # as if the run had been cut off before its end
    scores = next((output / "teachers").glob("*.jsonl"))
    lines = scores.read_bytes().splitlines(keepends=True)
    scores.with_name(scores.name + ".part").write_bytes(lines[0])
    scores.unlink()
    pseudo_label(data / "train", output, [teacher])
    assert scores.read_bytes() == b"".join(lines)


def test_of_two_teachers_for_one_target_the_last_counts(data, teacher, config, tmp_path):
    other = tmp_path / "other" / "model"
    conf = replace(config, targets=("stoi",), seed=1)
    write_release(other, build_model(conf, load_upstream(conf.upstream, conf.upstream_conf)), conf)
    pseudo_label(data / "train", tmp_path / "new", [teacher, str(other)])
    labels = json.loads((tmp_path / "new" / "labels.json").read_text())
    assert [labels[target].partition("@")[0] for target in ("pesq", "stoi")] == ["teacher", "other"]


def test_a_configuration_labels_training_sets_only_by_the_teacher(data, teacher, config, tmp_path):
    source = DataDirectory.read(data / "train")
    write_data_directory(data / "test", source.wav, source.targets)
    conf = replace(config, first_model=teacher, pseudo_conf=PseudoConfig(teacher="{first}"))
    pseudo_stage(conf, data, tmp_path / "new")
    assert DataDirectory.read(tmp_path / "new" / "train").targets["pesq"]["clip0"] != 1.5
    assert not (tmp_path / "new" / "test").exists()  # what is measured stays what is measured
    pseudo_stage(replace(conf, pseudo_conf=PseudoConfig(stand_in=teacher)), data, tmp_path / "all")
    assert DataDirectory.read(tmp_path / "all" / "test").targets["pesq"]["clip0"] != 1.5


def test_files_that_a_table_has_are_not_scored_again(data, teacher, config, tmp_path, capsys):
    pseudo_label(data / "train", tmp_path / "scored", [teacher])
    table = tmp_path / "table.tsv"
    write_table((tmp_path / "scored" / "teachers").glob("*.jsonl"), table)
    header, first, *others = table.read_text().splitlines()
    assert header.split("\t") == [load(teacher, "cpu").name + "@" + load(teacher, "cpu").digest, "pesq", "stoi"]
    digest, *_ = first.split("\t")
    table.write_text("\n".join([header, f"{digest}\t4.25\t0.5", *others]) + "\n")  # to tell them from scores made anew
    pseudo_label(data / "train", tmp_path / "new", [teacher], table=table)
    new, scored = (DataDirectory.read(tmp_path / name).targets["pesq"] for name in ("new", "scored"))
    (changed,) = [key for key in ("clip0", "clip1") if new[key] != scored[key]]
    assert new[changed] == 4.25
    assert len(read_scores(next((tmp_path / "new" / "teachers").glob("*.jsonl")))) == 1  # the clip that is too short

    wav = DataDirectory.read(data / "train").wav[changed]
    write(Path(wav), speech(1.5, seed=9))  # other audio under the same name
    pseudo_label(data / "train", tmp_path / "other", [teacher], table=table)
    assert DataDirectory.read(tmp_path / "other").targets["pesq"][changed] not in (4.25, scored[changed])
    table.write_text(table.read_text().replace(header.split("\t")[0], "another@123"))
    capsys.readouterr()
    pseudo_label(data / "train", tmp_path / "another", [teacher], table=table)
    assert "scores of another@123, not of" in capsys.readouterr().err
    with pytest.raises(DataError, match="no such table"):
        pseudo_label(data / "train", tmp_path / "none", [teacher], table=tmp_path / "none.tsv")


def test_the_table_of_mini_is_the_installed_dnsmos(config):
    """Files are told by digests of 64 digits, so what could be wrong is the model."""
    pytest.importorskip("speechmos", reason="the extra 'pseudo' is not installed")
    header, *rows = (Path(__file__).parents[2] / "egs/mini/dnsmos.tsv").read_text().splitlines()
    predictor = load("public:dnsmos-once", "cpu")
    assert header.split("\t") == [f"{predictor.name}@{predictor.digest}", "sig", "bak", "ovrl"]
    rows = [row.split("\t") for row in rows]
    assert len({digest for digest, *_ in rows}) == 1620  # clips of mini
    assert all(0.5 < float(value) < 5 for _, *scores in rows for value in scores)


def test_a_data_directory_is_never_overwritten(data, teacher, tmp_path):
    with pytest.raises(DataError, match="is the data directory itself"):
        pseudo_label(data / "train", data / "train", [teacher])
    source = DataDirectory.read(data / "train")
    write_data_directory(data / "other", source.wav, source.targets)
    with pytest.raises(DataError, match="a data directory that this did not write"):
        pseudo_label(data / "train", data / "other", [teacher])
    with pytest.raises(DataError, match="name at least one teacher"):
        pseudo_label(data / "train", tmp_path / "new", [])


def test_the_first_model_has_to_be_named(data, config, tmp_path):
    conf = replace(config, pseudo_conf=PseudoConfig(teacher="{first}"))
    with pytest.raises(ConfigError, match=r"pseudo_conf: teacher: '\{first\}' needs first_model"):
        pseudo_stage(conf, data, tmp_path / "new")


def test_without_pseudo_conf_there_is_nothing_to_do(data, config, tmp_path, capsys):
    pseudo_stage(config, data, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert "not asked for" in capsys.readouterr().err
