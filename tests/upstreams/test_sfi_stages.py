"""From an upstream to a distilled SFI upstream: resumable, done once, and of use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch.testing import assert_close

from distilmos_plugin.config import Config, DistilConfig, SFIConfig, UpstreamConfig, override
from distilmos_plugin.data.directory import DataDirectory, write_data_directory
from distilmos_plugin.errors import ConfigError, UpstreamError
from distilmos_plugin.upstreams.sfi import distillation, folder
from distilmos_plugin.upstreams.sfi.distillation import CHECKPOINT, distil, state_errors
from distilmos_plugin.upstreams.sfi.figures import draw
from distilmos_plugin.upstreams.sfi.stages import CONVERTED, DISTILLED, convert_stage, distil_stage
from distilmos_plugin.upstreams.upstream import load_upstream

from .material import noise


@pytest.fixture(scope="module")
def config(checkpoint) -> Config:
    return Config(
        system="sfi_ssl_mos",
        upstream="wavlm_local",
        upstream_conf=UpstreamConfig(ckpt=checkpoint("wavlm")),
        sfi_conf=SFIConfig(filter="gaussian", fit_steps=20),  # far enough from the upstream for distillation to show
        distil_conf=DistilConfig(rates=(16000, 24000), steps=12, batch_size=2, seconds=1.0, lr=3e-3),
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six clips at three rates."""
    root = tmp_path_factory.mktemp("data")
    wav = {}
    for number, rate in enumerate((16000, 24000, 48000) * 2):
        path = root / f"clip{number}.wav"
        soundfile.write(path, noise(rate, seed=number).numpy(), rate)
        wav[f"clip{number}"] = str(path)
    write_data_directory(root / "train", wav=wav, targets={"mos": dict.fromkeys(wav, 3.0)})
    return root / "train"


@pytest.fixture
def source(config: Config, tmp_path: Path) -> Path:
    convert_stage(config, tmp_path)
    return tmp_path / CONVERTED


def weights(path: Path) -> dict[str, torch.Tensor]:
    return folder.read(path)[1]


def test_stages_leave_what_is_complete_alone_and_follow_what_changes(config: Config, data: Path, tmp_path: Path, capsys):
    convert_stage(config, tmp_path)
    distil_stage(config, data, tmp_path)
    said = capsys.readouterr().err
    assert "off the first convolution of wavlm_local by" in said
    assert "hidden states at 24000 Hz: off the teacher's by" in said
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    assert len(times) == 2
    convert_stage(config, tmp_path)
    distil_stage(config, data, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in times} == times
    distil_stage(override(config, ["distil_conf.steps=1"]), data, tmp_path)
    changed = [path.parent.name for path in times if path.stat().st_mtime_ns != times[path]]
    assert changed == [DISTILLED]


def test_without_an_sfi_conf_nothing_is_made(config: Config, data: Path, tmp_path: Path):
    plain = override(config, ["sfi_conf=null"])
    convert_stage(plain, tmp_path / "sfi")
    distil_stage(plain, data, tmp_path / "sfi")
    assert not (tmp_path / "sfi").exists()


def test_distillation_brings_the_hidden_states_nearer_to_the_teachers(
    config: Config, data: Path, source: Path, tmp_path: Path
):
    conf = override(config, ["distil_conf.steps=40"]).distil_conf
    distil(source, DataDirectory.read(data), conf, tmp_path / "out")
    errors = folder.describe(tmp_path / "out").report["states_error"]
    for rate in conf.rates:
        assert errors["after"][rate] < 0.9 * errors["before"][rate]


def test_distillation_that_was_cut_off_ends_as_if_it_had_not_been(
    config: Config, data: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    directory = DataDirectory.read(data)
    distil(source, directory, config.distil_conf, tmp_path / "whole")
    loss = distillation._Lesson.loss

    def cut(lesson, step: int) -> torch.Tensor:
        if step == 7:
            raise KeyboardInterrupt
        return loss(lesson, step)

    monkeypatch.setattr(distillation._Lesson, "loss", cut)
    with pytest.raises(KeyboardInterrupt):
        distil(source, directory, config.distil_conf, tmp_path / "cut", checkpoint_seconds=0)
    monkeypatch.undo()
    assert not folder.is_sfi(tmp_path / "cut")
    distil(source, directory, config.distil_conf, tmp_path / "cut")
    for name, value in weights(tmp_path / "whole").items():
        assert_close(weights(tmp_path / "cut")[name], value, rtol=0, atol=0)
    assert not (tmp_path / "cut" / CHECKPOINT).exists()


def test_a_teacher_that_has_changed_is_refused(config: Config, data: Path, source: Path, tmp_path: Path):
    description, tensors = folder.read(source)
    folder.write(source, type(description)(**{**vars(description), "teacher_digest": "0" * 16}), tensors)
    with pytest.raises(UpstreamError, match="0000000000000000"):
        distil(source, DataDirectory.read(data), config.distil_conf, tmp_path / "out")


@pytest.mark.parametrize("setting", ["rates=[96000]", "rates=[]", "batch_size=0", "seconds=0", "steps=-1"])
def test_numbers_that_are_no_good_are_named(setting: str, config: Config, data: Path, source: Path, tmp_path: Path):
    wrong = override(config, [f"distil_conf.{setting}"])
    with pytest.raises(ConfigError, match=setting.split("=")[0]):
        distil(source, DataDirectory.read(data), wrong.distil_conf, tmp_path / "out")


def test_distilling_before_converting_is_one_sentence(config: Config, data: Path, tmp_path: Path):
    with pytest.raises(UpstreamError, match="convert one first"):
        distil_stage(config, data, tmp_path)


def test_an_upstream_is_off_itself_by_nothing_and_off_another_by_something(source: Path, load):
    clip = noise(16000).numpy()
    teacher = load("wavlm")
    assert state_errors(teacher, teacher, [(clip, 16000)], [16000]) == {16000: 0.0}
    student = load_upstream(str(source))
    assert 0.05 < state_errors(student, teacher, [(clip, 16000)], [16000])[16000] < 2


def test_pictures_are_drawn(source: Path, tmp_path: Path):
    image = pytest.importorskip("matplotlib.image")
    for path in draw(source, tmp_path / "pictures", rates=(8000, 48000)):
        assert np.ptp(image.imread(path)) > 0.5  # not one colour
