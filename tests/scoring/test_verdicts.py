"""Bad audio: a status or a flag, never a plain number, never the end of a run."""

import os
import threading

import numpy as np
import pytest
import torch

from distilmos_plugin.errors import ModelError
from distilmos_plugin.scoring.predictor import Predictor

from .material import RATE, make_model, speech, write


def pcm16(path, samples, rate=RATE):
    return write(path, samples, rate, subtype="PCM_16")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One file of every kind."""
    folder = tmp_path_factory.mktemp("verdicts")
    tone = speech(1.0)
    pcm16(folder / "good.wav", tone)
    pcm16(folder / "inverted.wav", -tone)
    pcm16(folder / "one_sample.wav", tone[:1])
    pcm16(folder / "399_samples.wav", tone[:399])
    pcm16(folder / "400_samples.wav", tone[:400])
    pcm16(folder / "no_samples.wav", tone[:0])
    pcm16(folder / "zeros.wav", np.zeros(RATE))
    pcm16(folder / "dc.wav", np.full(RATE, 0.5))
    pcm16(folder / "minus_60_dbfs.wav", tone * 1e-3 / np.sqrt(np.mean(tone**2)))
    pcm16(folder / "clipped.wav", np.clip(tone * 8, -1, 1))
    pcm16(folder / "8_channels.wav", np.stack([tone] * 8, axis=1))
    pcm16(folder / "192_khz.wav", speech(1.0, 192000), 192000)
    pcm16(folder / "nan.wav", tone)
    write(folder / "nan.wav", np.where(np.arange(RATE) == 9000, np.nan, tone))
    write(folder / "inf.wav", np.where(np.arange(RATE) == 9000, np.inf, tone))
    whole = (folder / "good.wav").read_bytes()
    (folder / "truncated.wav").write_bytes(whole[: len(whole) // 2])
    (folder / "bad_header.wav").write_bytes(whole[:8] + b"\xff" * 28 + whole[36:])
    (folder / "no_bytes.wav").write_bytes(b"")
    (folder / "text.wav").write_text("This is no audio.\n" * 100)
    (folder / "wrong_ending.mp3").write_bytes(whole)
    (folder / "folder.wav").mkdir()
    (folder / "loop.wav").symlink_to("loop.wav")
    os.mkfifo(folder / "pipe.wav")
    pcm16(folder / "ünïcødé 中文.wav", tone)
    pcm16(folder / "line\nend.wav", tone)
    return folder


VERDICTS = {
    "good.wav": ("ok", ()),
    "inverted.wav": ("ok", ()),
    "one_sample.wav": ("too_short", None),
    "399_samples.wav": ("too_short", None),
    "400_samples.wav": ("ok", ()),
    "no_samples.wav": ("empty", ()),
    "zeros.wav": ("ok", ("silent",)),
    "dc.wav": ("ok", ("silent",)),
    "minus_60_dbfs.wav": ("ok", ("low_level",)),
    "clipped.wav": ("ok", ("clipped",)),
    "8_channels.wav": ("ok", ("stereo_downmixed",)),
    "192_khz.wav": ("ok", ("resampled",)),
    "nan.wav": ("non_finite", ()),
    "inf.wav": ("non_finite", ()),
    "truncated.wav": ("unreadable", ()),
    "bad_header.wav": ("unreadable", ()),
    "no_bytes.wav": ("empty", ()),
    "text.wav": ("unreadable", ()),
    "wrong_ending.mp3": ("ok", ()),
    "folder.wav": ("unreadable", ()),
    "loop.wav": ("unreadable", ()),
    "pipe.wav": ("unreadable", ()),
    "missing.wav": ("unreadable", ()),
    "ünïcødé 中文.wav": ("ok", ()),
    "line\nend.wav": ("ok", ()),
}


def test_every_file_has_its_verdict_in_one_run(predictor, folder):
    scores = list(predictor.score_many([folder / name for name in VERDICTS]))
    found = {name: (score.status, score.flags) for name, score in zip(VERDICTS, scores, strict=True)}
    expected = {name: (status, found[name][1] if flags is None else flags) for name, (status, flags) in VERDICTS.items()}
    assert found == expected
    for name, score in zip(VERDICTS, scores, strict=True):
        assert (score.mos is not None) == score.ok == (score.reason is None), name
        assert score.ok or os.path.splitext(name)[0].split("\n")[0] in score.reason


@pytest.mark.parametrize("name", ["good.wav", "nan.wav", "text.wav", "folder.wav", "399_samples.wav"])
def test_a_file_has_the_same_verdict_alone(predictor, folder, name):
    assert predictor.score(folder / name).status == VERDICTS[name][0]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_unreadable(predictor, tmp_path):
    path = pcm16(tmp_path / "closed.wav", speech(1.0))
    path.chmod(0)
    assert predictor.score(path).status == "unreadable"


def test_arrays_are_judged_as_files_are(predictor):
    tone = speech(1.0)
    cases = {"empty": tone[:0], "too_short": tone[:200], "non_finite": np.where(tone > 0.4, np.nan, tone)}
    assert {predictor.score(samples, RATE).status: None for samples in cases.values()} == dict.fromkeys(cases)
    assert predictor.score(np.zeros(RATE), RATE).flags == ("silent",)


def test_a_shortness_is_judged_at_the_models_rate(predictor):
    # 399 samples at 8 kHz are 50 ms, two frames; 1000 at 48 kHz are 21 ms, none.
    assert predictor.score(speech(1.0, 8000)[:399], 8000).status == "ok"
    short = predictor.score(speech(1.0, 48000)[:1000], 48000)
    assert (short.status, short.sample_rate) == ("too_short", 48000)
    assert "20.8 ms, the model needs 25 ms (400 samples at 16000 Hz)" in short.reason


def test_a_file_that_vanishes_during_the_run_is_unreadable(predictor, tmp_path):
    paths = [pcm16(tmp_path / f"{i}.wav", speech(0.2, seed=i)) for i in range(100)]
    scores = predictor.score_many(paths, batch_seconds=1)
    first = next(scores)
    for path in paths[1:]:
        path.unlink()
    rest = list(scores)
    assert first.ok
    assert len(rest) == 99
    assert rest[-1].status == "unreadable"
    assert "no such file" in rest[-1].reason


def test_a_long_file_that_goes_bad_during_the_run_is_unreadable(predictor, tmp_path):
    # 100 s: more than the windows of one batch and the one that is read ahead, so that the cut meets the reader for certain.
    path = pcm16(tmp_path / "long.wav", np.tile(speech(10.0), 10))
    started = threading.Event()
    predict = predictor.predict

    class Cut(Predictor):
        def predict(self, waveforms, rates, frames=False):
            if not started.is_set():
                started.set()
                os.truncate(path, 44 + 2 * RATE * 10)
            return predict(waveforms, rates, frames)

    score = next(Cut(predictor.model, predictor.config).score_many([path], batch_seconds=20))
    assert started.is_set()
    assert score.status == "unreadable"


def test_a_model_that_gives_no_number_gives_no_score(config):
    model = make_model(config)
    with torch.no_grad():
        model.linear.bias.fill_(torch.nan)
    score = Predictor(model, config).score(speech(1.0), RATE)
    assert (score.status, score.mos) == ("non_finite", None)
    assert "the model's score is not a finite number" in score.reason


def test_lack_of_memory_is_no_verdict_on_a_clip(config):
    model = make_model(config)

    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    model.decoder.register_forward_pre_hook(full)
    predictor = Predictor(model, config)
    with pytest.raises(ModelError, match="out of memory on cpu with 1 clips, 1 s of audio"):
        predictor.score(speech(1.0), RATE)
    with pytest.raises(ModelError):
        list(predictor.score_many([speech(1.0)], RATE))


def test_a_fault_of_the_program_is_not_swallowed(predictor):
    class Odd:
        shape = (16000,)

    with pytest.raises(Exception, match="shape"):
        predictor.score(Odd(), RATE)
