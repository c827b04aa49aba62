"""SFI-SSL-MOS: one clip has one score at any rate, and a release holds all that scoring needs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soxr
import torch
from torch import Tensor
from torch.testing import assert_close

from distilmos_plugin.config import Config, SFIConfig, UpstreamConfig
from distilmos_plugin.errors import ConfigError
from distilmos_plugin.models import MOSModel, build_model
from distilmos_plugin.scoring.predictor import Predictor
from distilmos_plugin.scoring.release import load_release, write_release
from distilmos_plugin.typed_yaml import parse
from distilmos_plugin.upstreams.sfi import folder
from distilmos_plugin.upstreams.sfi.conversion import convert
from distilmos_plugin.upstreams.upstream import load_upstream

CONFIG = {"system": "sfi_ssl_mos", "sfi_conf": {"fit_steps": 0}, "single_ratings": 1, "model_conf": {"listeners": True}}


@pytest.fixture(scope="module")
def sfi_folder(checkpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sfi") / "converted"
    folder.write(path, *convert("wavlm_local", checkpoint, SFIConfig(fit_steps=0)))
    return path


@pytest.fixture
def model(sfi_folder: Path) -> MOSModel:
    return build_model(config(), load_upstream(str(sfi_folder)), num_listeners=3).eval()


def config(**keys) -> Config:
    return parse(Config, CONFIG | keys, "test")


def at(rate: int, waveform: Tensor, native: int = 16000) -> Tensor:
    return torch.from_numpy(soxr.resample(waveform.numpy(), native, rate, quality="VHQ"))


def test_a_clip_scores_alike_at_every_rate_that_holds_its_band(model: MOSModel, waveforms: list[Tensor]):
    """A random head hardly tells clips apart, so the yardstick is what ignoring the rate does to its score."""
    clip = at(12000, waveforms[2])
    with torch.no_grad():
        ignored = model([at(48000, clip, 12000)], rates=[16000]).utterance["mos"]
        scores = torch.cat([model([at(r, clip, 12000)], rates=[r]).utterance["mos"] for r in (16000, 22050, 24000, 48000)])
    assert (scores.max() - scores.min()) < 0.05 * (ignored - scores[0]).abs()


def test_clips_of_several_rates_score_in_a_batch_as_they_do_alone(model: MOSModel, waveforms: list[Tensor]):
    rates = [8000, 16000, 22050, 48000]
    clips = [at(rate, clip) for rate, clip in zip(rates, waveforms, strict=True)]
    with torch.no_grad():
        batch = model(clips, rates=rates).utterance["mos"]
        for score, clip, rate in zip(batch, clips, rates, strict=True):
            # float32 in another order, and what the product promises
            assert_close(score, model([clip], rates=[rate]).utterance["mos"][0], rtol=0, atol=1e-5)


def test_clips_are_wanted_at_their_own_rate_within_8_to_48_khz(model: MOSModel, checkpoint: str):
    assert [model.input_rate(rate) for rate in (4000, 8000, 22050, 48000, 96000)] == [8000, 8000, 22050, 48000, 48000]
    plain = build_model(config(sfi_conf=None), load_upstream("wavlm_local", UpstreamConfig(ckpt=checkpoint)))
    assert [plain.input_rate(rate) for rate in (8000, 48000)] == [16000, 16000]


def test_frames_are_averaged_before_tanh(model: MOSModel, waveforms: list[Tensor]):
    """As in the authors' code; the mean of the frames' scores is another number."""
    with torch.no_grad():
        model.linear[2].weight.mul_(20)
        prediction = model(waveforms[:1])
        raw = ((prediction.frames["mos"][0] - 3) / 2).atanh()
    assert_close(prediction.utterance["mos"][0], 2 * raw.mean().tanh() + 3, rtol=0, atol=1e-4)  # atanh near 1


def test_a_release_scores_offline_without_the_folder(model: MOSModel, waveforms: list[Tensor], tmp_path: Path):
    conf = config(upstream="a/folder/that/is/gone")
    write_release(tmp_path / "model", model, conf, num_listeners=3)
    loaded, read, release = load_release(tmp_path / "model")
    assert release.architecture["sfi"]["filter"] == "neural"
    sound = at(24000, waveforms[2]).numpy()
    before, after = (Predictor(item, read).score(sound, sample_rate=24000) for item in (model, loaded))
    assert after.mos == before.mos
    assert "resampled" not in after.flags
    assert "resampled" in Predictor(loaded, read).score(np.repeat(sound, 4), sample_rate=96000).flags


def test_an_upstream_of_one_rate_is_refused_where_an_sfi_upstream_is_asked_for(checkpoint: str):
    with pytest.raises(ConfigError, match=r"run\.sh stage 2"):
        build_model(config(), load_upstream("wavlm_local", UpstreamConfig(ckpt=checkpoint)))
