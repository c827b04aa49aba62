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
from distilmos_plugin.scoring.pseudo import pseudo_label, pseudo_stage
from distilmos_plugin.scoring.release import write_release
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


def test_a_stand_in_may_label_a_few_clips_only(data, teacher, config, tmp_path):
    conf = replace(config, pseudo_conf=PseudoConfig(stand_in=teacher, stand_in_clips=1))
    pseudo_stage(conf, data, tmp_path / "one")
    pseudo_stage(conf, data, tmp_path / "again")
    labels, again = (DataDirectory.read(tmp_path / name / "train").targets["stoi"] for name in ("one", "again"))
    assert sum(not math.isnan(value) for value in labels.values()) == 1
    assert labels == pytest.approx(again, nan_ok=True)
    pseudo_stage(replace(conf, pseudo_conf=PseudoConfig(stand_in=teacher)), data, tmp_path / "one")  # more: not current
    assert sum(not math.isnan(value) for value in DataDirectory.read(tmp_path / "one" / "train").targets["stoi"].values()) == 2


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
