"""Public predictors behind the one scoring path: the numbers of their own packages, and plain words where they cannot run."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from distilmos_plugin.errors import ConfigError, MissingExtra, ModelError, UpstreamError
from distilmos_plugin.scoring import models, public
from distilmos_plugin.scoring.run import score_paths

from .material import RATE, speech, write


@pytest.fixture(scope="module")
def dnsmos():
    pytest.importorskip("onnxruntime")
    pytest.importorskip("speechmos")
    return models.load("public:dnsmos")


def test_dnsmos_gives_what_speechmos_gives(dnsmos):
    pytest.importorskip("librosa")
    pytest.importorskip("requests")
    from speechmos import dnsmos as theirs

    samples = speech(2.4)  # doubled to 9.6 s, one window: each takes 0.4 s
    expected = theirs.run(samples, RATE)
    score = dnsmos.score(samples, RATE)
    assert set(score.targets) == {"sig", "bak", "ovrl"}
    for target, value in score.targets.items():
        # the same network on the same samples, averaged in float64 by both
        assert value == pytest.approx(expected[f"{target}_mos"], abs=1e-5)


def test_windows_are_counted_as_speechmos_counts_them(dnsmos):
    heard = []
    network = dnsmos.model

    class Recorder:
        def run(self, outputs, inputs):
            heard.append(inputs["input_1"])
            return [np.zeros((1, 3), dtype=np.float32)]

    session, network.session = network.session, Recorder()
    try:
        for seconds, expected in ((1.0, 7), (3.0, 3), (9.01, 1), (11.5, 2)):  # 1 s is doubled to 16 s
            heard.clear()
            network.hear(torch.zeros(round(seconds * RATE)))
            assert (seconds, len(heard)) == (seconds, expected)
            assert {window.shape for window in heard} == {(1, public.DNSMOS_SAMPLES)}
    finally:
        network.session = session


def test_heard_once_a_short_clip_is_repeated_and_scored_in_one_window(dnsmos):
    once = models.load("public:dnsmos-once")
    clip = speech(2.4)
    repeated = np.tile(clip, 4)[: public.DNSMOS_SAMPLES]
    assert once.score(clip, RATE).targets == pytest.approx(dnsmos.score(repeated, RATE).targets, abs=1e-5)
    assert once.signature != dnsmos.signature  # two definitions, two signatures


def test_a_public_predictor_is_scored_like_any_model(dnsmos, tmp_path):
    clips = [write(tmp_path / "a.wav", speech(2.4)), write(tmp_path / "short.wav", speech(0.05))]
    outcome = score_paths(clips, model="public:dnsmos-once", output=tmp_path / "scores.csv")
    assert dict(outcome.status) == {"ok": 1, "too_short": 1}
    header, *rows = (tmp_path / "scores.csv").read_text().splitlines()
    assert header.split(",")[2:5] == ["sig", "bak", "ovrl"]
    assert rows[1].split(",")[2:5] == ["", "", ""]
    assert "model:public:dnsmos-once@" in rows[0]
    with pytest.raises(UpstreamError, match="no gradient"):
        dnsmos.differentiable(torch.zeros(1, RATE), RATE)


def test_distillmos_gives_what_its_package_gives(capsys):
    package = pytest.importorskip("distillmos")
    samples = speech(2.0)
    score = models.load("public:distillmos", "cpu").score(samples, RATE)
    assert "loaded" not in capsys.readouterr().out  # standard output is for results
    with torch.no_grad():
        expected = package.ConvTransformerSQAModel().eval()(torch.from_numpy(samples)[None]).item()
    assert score.mos == pytest.approx(expected, abs=1e-5)


def test_what_cannot_be_loaded_is_said_in_words(monkeypatch, tmp_path):
    with pytest.raises(ModelError, match="no public predictor 'public:dnsmoss', did you mean 'public:dnsmos'"):
        models.load("public:dnsmoss")
    with pytest.raises(ConfigError, match="public:dnsmos runs in fp32 only, found 'bf16'"):
        models.load("public:dnsmos", precision="bf16")
    empty = type("Spec", (), {"submodule_search_locations": [str(tmp_path)]})
    monkeypatch.setattr(public, "find_spec", lambda name: empty)
    with pytest.raises(ModelError, match=r"the installed speechmos has no dnsmos_models/sig_bak_ovr\.onnx"):
        models.load("public:dnsmos")
    monkeypatch.setattr(public, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'distilmos-plugin\[pseudo\]'"):
        models.load("public:dnsmos")
