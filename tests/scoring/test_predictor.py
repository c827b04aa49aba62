"""One file, one score: whatever it is scored with, and however it comes."""

import io
import random
import threading

import numpy as np
import pytest
import soundfile
import torch
from scipy.signal import resample_poly

from distilmos_plugin import __version__
from distilmos_plugin.audio import AudioProblem
from distilmos_plugin.config import override
from distilmos_plugin.data.directory import write_data_directory
from distilmos_plugin.errors import ConfigError, DataError
from distilmos_plugin.scoring.collect import Clip, collect
from distilmos_plugin.scoring.predictor import Predictor, choose_device

from .material import RATE, make_model, speech, with_windows, write

SAME = 1e-5  # MOS points: float32 sums in another order; the scale of the test model's scores is that of MOS


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Clips of 0.4 to 20 s at several rates."""
    folder = tmp_path_factory.mktemp("clips")
    lengths = [2.0, 20.0, 0.4, 3.3, 2.01, 7.0, 1.234567, 5.5]
    rates = [16000, 16000, 8000, 22050, 44100, 16000, 48000, 24000]
    return [
        write(folder / f"{i}.wav", speech(seconds, rate, i), rate)
        for i, (seconds, rate) in enumerate(zip(lengths, rates, strict=True))
    ]


@pytest.fixture(scope="module")
def alone(predictor, clips):
    return {str(path): predictor.score(path).mos for path in clips}


def test_scores_of_the_test_model_differ_far_more_than_the_tolerance(alone):
    assert np.std(list(alone.values())) > 1000 * SAME


def test_a_clip_has_one_score_alone_and_with_a_long_clip(predictor, clips, alone):
    scores = list(predictor.score_many(clips[:2], batch_seconds=1000))
    assert [score.mos for score in scores] == pytest.approx([alone[str(path)] for path in clips[:2]], abs=SAME)


@pytest.mark.parametrize(("batch_seconds", "workers"), [(1, 1), (10, 2), (1000, 4)])
def test_a_clip_has_one_score_in_any_order_batch_and_number_of_readers(predictor, clips, alone, batch_seconds, workers):
    paths = list(clips)
    random.Random(workers).shuffle(paths)
    scores = list(predictor.score_many(paths, batch_seconds=batch_seconds, workers=workers))
    assert [score.path for score in scores] == [str(path) for path in paths]
    assert [score.mos for score in scores] == pytest.approx([alone[str(path)] for path in paths], abs=SAME)


def test_a_clip_has_one_score_by_every_entry(predictor, clips, alone, tmp_path):
    path = clips[3]
    samples, rate = soundfile.read(path, dtype="float32")
    directory = write_data_directory(tmp_path / "set", {"utt1": path, "utt2": clips[1]})
    given = [
        predictor.score(str(path)),
        predictor.score(path.read_bytes()),
        predictor.score(io.BytesIO(path.read_bytes())),
        predictor.score(samples, rate),
        predictor.score(torch.from_numpy(samples), sample_rate=rate),
        predictor.score(samples.astype(np.float64)[None], rate),
        predictor.score(np.stack([samples, samples]), rate),
        next(predictor.score_many([(samples, rate)])),
        next(predictor.score_many([samples, samples], rate)),
        next(predictor.score_many(directory.wav)),
        next(predictor.score_many(collect([tmp_path / "set"]))),
        next(predictor.score_many([Clip("key", path)])),
    ]
    assert [score.mos for score in given] == pytest.approx([alone[str(path)]] * len(given), abs=SAME)
    assert {score.signature for score in given} == {predictor.signature}


def test_integer_samples_are_scaled_by_their_width(predictor):
    samples = (speech(1.0) * 32767).astype(np.int16)
    expected = predictor.score(samples / np.float32(32768), RATE).mos
    assert predictor.score(samples, RATE).mos == pytest.approx(expected, abs=SAME)
    assert predictor.score(samples.astype(np.int32) << 16, RATE).mos == pytest.approx(expected, abs=SAME)


def test_the_sampling_rate_of_a_file_hardly_matters(predictor):
    sound = speech(3.0, 16000)
    ratios = {24000: (3, 2), 44100: (441, 160), 48000: (3, 1)}
    scores = [predictor.score(sound, 16000).mos]
    scores += [predictor.score(resample_poly(sound, up, down), rate).mos for rate, (up, down) in ratios.items()]
    # Two resamplers with other transition bands; resampling along the wrong axis, or not at all, moves the score by tenths.
    assert np.ptp(scores) < 0.002
    assert abs(predictor.score(sound, 24000).mos - scores[0]) > 0.02


def test_results_come_in_order_and_the_source_is_read_only_a_little_ahead(predictor):
    taken = []

    def endless():
        while True:
            taken.append(len(taken))
            yield speech(0.2, seed=len(taken) % 5), RATE

    scores = predictor.score_many(endless(), batch_seconds=2)
    assert [next(scores).key for _ in range(30)] == [str(i) for i in range(30)]
    scores.close()
    assert len(taken) < 200
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("distilmos-read")]


def test_little_of_what_the_model_computes_is_padding(model, config):
    batches = []

    class Recorder(Predictor):
        def predict(self, waveforms, rates, frames=False):
            batches.append([len(waveform) for waveform in waveforms])
            return super().predict(waveforms, rates, frames)

    lengths = np.random.default_rng(0).uniform(0.5, 8.0, 60)
    scores = list(Recorder(model, config).score_many([speech(seconds)[: round(seconds * RATE)] for seconds in lengths], RATE))
    assert [score.duration for score in scores] == pytest.approx(lengths, abs=1 / RATE)
    padded = sum(max(batch) * len(batch) for batch in batches)
    assert sum(map(sum, batches)) > 0.85 * padded
    assert len(batches) < 30  # batches all the same: 60 clips in 25 s each, of like length


def test_threads_share_a_predictor(predictor, clips, alone):
    found = {}

    def run(path):
        found[str(path)] = predictor.score(path).mos

    threads = [threading.Thread(target=run, args=(path,)) for path in clips]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == pytest.approx(alone, abs=SAME)


def test_a_live_model_keeps_its_state(config):
    model = make_model(config).train()
    model.decoder.eval()
    modes = [module.training for module in model.modules()]
    wanted = [parameter.requires_grad for parameter in model.parameters()]
    predictor = Predictor(model, config)
    first, second = (predictor.score(speech(1.0), RATE).mos for _ in range(2))
    predictor.differentiable([torch.from_numpy(speech(1.0))], RATE)
    assert first == second  # evaluation mode: no dropout
    assert [module.training for module in model.modules()] == modes
    assert [parameter.requires_grad for parameter in model.parameters()] == wanted


def test_scoring_leaves_random_generators_and_settings_alone(predictor):
    torch.set_float32_matmul_precision("high")
    before = (random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state())
    predictor.score(speech(1.0), RATE)
    after = (random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state())
    assert before[0] == after[0]
    assert np.array_equal(before[1], after[1])
    assert torch.equal(before[2], after[2])
    assert torch.get_float32_matmul_precision() == "high"
    torch.set_float32_matmul_precision("highest")


def test_the_signature_says_what_makes_a_score(predictor, model, config):
    assert predictor.signature == f"distilmos|model:small@{'0' * 12}|v:{__version__}|rate:16000|window:30s/15s|prec:fp32"
    whole = Predictor(model, with_windows(config, float("inf"), float("inf")), "a model|x", "1", precision="bf16")
    assert whole.signature == f"distilmos|model:a_model_x@1|v:{__version__}|rate:16000|window:none|prec:bf16"


def test_bf16_is_near_fp32(model, config, predictor):
    # bfloat16 has 8 bits: hidden states move by about a hundredth, and the test model's head multiplies that by 10.
    score = Predictor(model, config, precision="bf16").score(speech(2.0), RATE).mos
    assert score == pytest.approx(predictor.score(speech(2.0), RATE).mos, abs=0.5)


def test_frame_scores_are_those_of_the_clip_alone(predictor, clips):
    alone = predictor.score(clips[0], frames=True)
    together = next(predictor.score_many(clips[:2], batch_seconds=1000, frames=True))
    assert (alone.frames.unit, alone.frames.hop, alone.frames.length) == ("frame", 0.02, 0.025)
    assert len(alone.frames.targets["mos"]) == 99  # 32000 samples, one frame each 320 from 400 on
    assert together.frames.targets["mos"] == pytest.approx(
        alone.frames.targets["mos"], abs=10 * SAME
    )  # not averaged over frames
    assert np.mean(alone.frames.targets["mos"]) == pytest.approx(alone.mos, abs=SAME)
    assert predictor.score(clips[0]).frames is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["scoring_conf.hop_seconds=70.0"], "hop_seconds 70"),
        (["scoring_conf.batch_seconds=0.0"], "batch_seconds 0"),
        (["scoring_conf.window_seconds=0.03", "scoring_conf.hop_seconds=0.02"], "shorter than one frame"),
    ],
)
def test_impossible_windows_are_refused(model, config, changes, message):
    with pytest.raises(ConfigError, match=message):
        Predictor(model, override(config, changes))


def test_wrong_calls_are_errors_not_scores(predictor, model, config, clips):
    with pytest.raises(DataError, match="needs its sample rate"):
        predictor.score(speech(1.0))
    with pytest.raises(DataError, match="brings its own"):
        predictor.score(clips[0], sample_rate=16000)
    with pytest.raises(DataError, match="takes a list"):
        predictor.score_many("a.wav")
    with pytest.raises(ConfigError, match="workers"):
        predictor.score_many([], workers=0)
    with pytest.raises(ConfigError, match="did you mean 'bf16'"):
        Predictor(model, config, precision="bf61")


def test_devices_are_named_and_checked():
    assert choose_device("auto").type in ("cuda", "mps", "cpu")
    with pytest.raises(ConfigError, match="not one of auto, cpu, cuda"):
        choose_device("gpu")
    with pytest.raises(ConfigError, match="not available here"):
        choose_device("cuda:99")


class TestDifferentiable:
    def test_scores_are_those_of_scoring(self, predictor):
        waveforms = [torch.from_numpy(speech(1.0)), torch.from_numpy(speech(1.7, seed=1))]
        scores = predictor.differentiable(waveforms, RATE)
        assert scores.tolist() == pytest.approx([predictor.score(w, RATE).mos for w in waveforms], abs=SAME)

    def test_another_rate_is_resampled_nearly_as_in_scoring(self, predictor):
        waveform = torch.from_numpy(speech(2.0, 24000))
        score = predictor.differentiable(waveform[None], 24000)
        assert score.tolist() == pytest.approx(
            [predictor.score(waveform, 24000).mos], abs=0.02
        )  # they differ at the clip's ends

    @pytest.mark.parametrize("rate", [16000, 22050])
    def test_the_gradient_is_the_slope_of_the_score(self, predictor, rate):
        waveform = torch.from_numpy(speech(0.5, rate)).requires_grad_()
        predictor.differentiable([waveform], rate).sum().backward()
        direction = waveform.grad / waveform.grad.norm()
        # Central difference along the gradient; the step moves the score by 0.02: float32 errs by 1e-6.
        step = 0.01 / waveform.grad.norm()
        with torch.no_grad():
            up, down = (predictor.differentiable([waveform + sign * step * direction], rate).item() for sign in (1, -1))
        assert (up - down) / (2 * step.item()) == pytest.approx(waveform.grad.norm().item(), rel=0.02)

    def test_parameters_collect_no_gradient(self, config):
        model = make_model(config)
        waveform = torch.from_numpy(speech(0.5)).requires_grad_()
        Predictor(model, config).differentiable([waveform], RATE).sum().backward()
        assert waveform.grad.abs().max() > 0
        assert all(parameter.grad is None for parameter in model.parameters())

    def test_a_clip_below_one_frame_is_an_error(self, predictor):
        with pytest.raises(AudioProblem, match="needs 25 ms"):
            predictor.differentiable([torch.zeros(399)], RATE)
