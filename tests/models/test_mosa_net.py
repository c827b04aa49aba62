"""MOSA-Net and MTQ-Net: a filter bank that learns, frames where they belong, one score a target whatever the batch."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from distilmos_plugin.config import Config
from distilmos_plugin.errors import ConfigError
from distilmos_plugin.models import Labels, build_model, check_system
from distilmos_plugin.models.spectral import SincBank, SpectralConvolutions, Spectrogram, join_in_time, normalised
from distilmos_plugin.typed_yaml import parse

RATE = 16000
TARGETS = ["pesq", "stoi", "sdi"]
SIZES = {"size": 64, "taps": 31, "channels": [4, 6], "lstm_dim": 8, "hidden_dim": 8}
RANGES = {"pesq": {"low": 1, "high": 4.6}, "stoi": {"low": 0, "high": 1, "bounded": True}}


def config(system: str = "mosa_net", **keys) -> Config:
    """Return the configuration of a small system."""
    values = {"system": system, "targets": TARGETS, "model_conf": SIZES | {"label_ranges": RANGES}}
    return parse(Config, values | keys, "test")


def tone(hertz: float, samples: int = RATE) -> Tensor:
    return torch.sin(2 * math.pi * hertz / RATE * torch.arange(samples))


class TestFilterBank:
    def test_a_tone_is_loudest_in_the_filter_that_it_falls_into(self):
        bank, spectrogram = SincBank(129, 251, RATE), Spectrogram(256)
        lower, upper = bank.edges()
        for hertz in (300.0, 1000.0, 4000.0):
            frames = spectrogram.along(tone(hertz), 320, 200, 40)
            loudest = bank.magnitudes(frames, 256)[5:-5].mean(0).argmax()
            # 251 taps resolve about 4 * 16000 / 251 = 255 Hz
            assert lower[loudest] - 255 < hertz < upper[loudest] + 255

    def test_magnitudes_are_the_root_mean_square_of_the_filtered_frame(self):
        bank, spectrogram = SincBank(33, 31, RATE), Spectrogram(64)
        noise = torch.randn(RATE, generator=torch.Generator().manual_seed(0))
        frames = noise.unfold(0, 64, 320) * spectrogram.window
        filtered = torch.fft.irfft(torch.fft.rfft(frames)[:, None] * torch.fft.rfft(bank.filters(), n=64), n=64)
        spectrum = spectrogram.along(noise, 320, 32, len(frames))
        # the norms by which the two differ: a mean over 64 samples, and 1 / 64 of Parseval
        torch.testing.assert_close(bank.magnitudes(spectrum, 64), filtered.square().mean(-1).sqrt(), rtol=1e-4, atol=1e-6)

    def test_samples_are_the_convolution_with_each_filter(self):
        bank = SincBank(8, 31, RATE)
        noise = torch.randn(1000, generator=torch.Generator().manual_seed(0))
        found = bank.samples(noise, 256)
        assert found.shape == (4, 8)  # ceil(1000 / 256)
        padding = 3 * 256 + 31 - 1000  # negative: the last frame ends before the clip does, so nothing is padded
        assert padding < 0
        expected = bank.filters().detach().numpy() @ noise[512 : 512 + 31].numpy()
        np.testing.assert_allclose(found[2].detach().numpy(), expected, atol=1e-4)  # sums of 31 products

    @pytest.mark.parametrize("join", ["time", "frame"])
    def test_training_moves_the_edges(self, join: str, upstream, waveforms: list[Tensor]):
        conf = config(model_conf=SIZES | {"join": join})
        model = build_model(conf, upstream).train()
        before = [edge.detach().clone() for edge in model.bank.edges()]
        optimiser = torch.optim.Adam(model.bank.parameters(), lr=1e-2)
        labels = Labels({target: torch.ones(1) for target in TARGETS})
        model.loss(model(waveforms[3:]), labels)[0].backward()
        optimiser.step()
        moved = [(after - old).detach().abs() for after, old in zip(model.bank.edges(), before, strict=True)]
        # Adam's first step is lr: 1e-2 kHz. Upper edges at the Nyquist frequency stay there.
        assert moved[0].median().item() == pytest.approx(10.0, rel=0.01)
        assert (moved[1] > 1.0).float().mean() > 0.5

    def test_no_filter_reaches_beyond_the_nyquist_frequency(self):
        bank = SincBank(8, 31, RATE)
        with torch.no_grad():
            bank.edge.fill_(7.9)
            bank.band.fill_(3.0)
        lower, upper = bank.edges()
        assert (upper <= RATE / 2).all()
        assert (lower < upper).all()


class TestFrames:
    def test_frames_of_the_reference_are_centred_on_every_256th_sample(self):
        click = torch.zeros(4096)
        click[1024] = 1.0
        assert Spectrogram(512).centred(click, 256).sum(1).argmax() == 4
        assert len(Spectrogram(512).centred(click, 256)) == 17  # 4096 / 256 + 1

    def test_frames_beside_the_upstream_are_centred_on_its_frames(self):
        click = torch.zeros(8000)
        click[3 * 320 + 200] = 1.0  # the middle of the upstream's frame 3: 320 samples a frame, 400 under each
        frames = Spectrogram(256).along(click, 320, 200, 24)
        assert frames.shape == (24, 129)
        assert frames.sum(1).argmax() == 3

    def test_streams_are_joined_without_gaps(self):
        first = torch.arange(6.0).reshape(2, 3, 1), torch.tensor([3, 1])
        second = torch.arange(10.0, 14.0).reshape(2, 2, 1), torch.tensor([1, 2])
        frames, lengths = join_in_time([first, second])
        assert lengths.tolist() == [4, 3]
        assert frames[..., 0].tolist() == [[0, 1, 2, 10], [3, 12, 13, 0]]

    def test_convolutions_divide_frequencies_by_three_and_mind_the_end(self):
        layer = SpectralConvolutions(257, (1, 16, 32, 64, 128))
        assert layer.dim == 512  # 257 -> 86 -> 29 -> 10 -> 4, times 128: the reference's width
        small = SpectralConvolutions(33, (1, 2, 3))
        planes = torch.randn(2, 1, 9, 33, generator=torch.Generator().manual_seed(0))
        planes[1, :, 5:] = 0
        both = small(planes, torch.tensor([9, 5]))
        torch.testing.assert_close(both[1, :5], small(planes[1:, :, :5], torch.tensor([5]))[0])
        assert not both[1, 5:].any()

    def test_silence_is_not_divided_by_zero(self):
        assert not normalised([torch.zeros(8)])[0].any()


@pytest.mark.parametrize("join", ["time", "frame"])
def test_every_target_of_a_clip_scores_the_same_alone_and_beside_any_other(join: str, upstream, waveforms: list[Tensor]):
    model = build_model(config(model_conf=SIZES | {"join": join, "label_ranges": RANGES}), upstream).eval()
    with torch.no_grad():
        for head in model.heads.values():
            head.output.weight.mul_(20)  # clips shall differ by much more than the tolerance
        clips = [waveforms[0], *waveforms[2:]]  # 0.5, 3.3 and 1 s
        batch = model(clips).utterance
        each = [model([clip]).utterance for clip in clips]
    for target in TARGETS:
        alone = torch.cat([scores[target] for scores in each])
        torch.testing.assert_close(batch[target], alone, rtol=0, atol=1e-5)
        assert alone.std() > 1e-3


def test_scores_over_time_are_given_where_frames_follow_a_clock(upstream, waveforms: list[Tensor]):
    for join, frames in (("time", set()), ("frame", set(TARGETS))):
        model = build_model(config(model_conf=SIZES | {"join": join}), upstream)
        assert set(model.eval()(waveforms[2:]).frames) == frames
        assert set(model.train()(waveforms[2:]).frames) == set(TARGETS)  # the frame loss needs them


def test_label_ranges_are_of_each_target(upstream, waveforms: list[Tensor]):
    model = build_model(config(), upstream).eval()
    with torch.no_grad():
        for head in model.heads.values():
            head.output.weight.zero_()
            head.output.bias.fill_(1.0)
        scores = {target: value[0].item() for target, value in model(waveforms[:1]).utterance.items()}
    assert scores["pesq"] == pytest.approx(4.6, abs=1e-5)  # low + (high - low)
    assert scores["stoi"] == pytest.approx(1 / (1 + math.exp(-2)), abs=1e-5)  # bounded: a sigmoid of twice the output
    assert scores["sdi"] == 1.0  # no range: the output is the score


def test_the_default_sizes_are_the_authors(upstream):
    """Parameters on a HuBERT of width 1024, counted in the authors' code, less the three biases that a softmax undoes."""
    upstream.num_layers, upstream.dim = 24, 1024
    conf = parse(Config, {"system": "mosa_net", "targets": TARGETS}, "test")
    model = build_model(conf, upstream)
    parts = {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()}
    assert parts["convolutions"] == 489_312
    assert parts["projection"] == 524_800
    assert parts["lstm"] == 657_408
    assert parts["dense"] == 32_896
    assert parts["heads"] == 49_155 + 387 - 3
    assert parts["bank"] == 2 * 257


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"model_conf": {"taps": 30}}, "taps: expected an odd number up to size"),
        ({"model_conf": {"exponent": 0.3}}, "exponent: expected more than 0, and 1 with join: time"),
        ({"model_conf": {"channels": []}}, "channels"),
        (
            {"model_conf": {"label_ranges": {"peqs": {"low": 0, "high": 1}}}},
            "'peqs' is not among the targets, did you mean",
        ),
        ({"model_conf": {"label_ranges": {"pesq": {"low": 2, "high": 1}}}}, "pesq: expected low < high, found 2, 1"),
        ({"loss_conf": {"units": {"stoi": 0}}}, "units: stoi: expected more than 0, found 0"),
        ({"loss_conf": {"weights": {"mos": 2}}}, "weights: 'mos' is not among the targets"),
        ({"loss_conf": {"token_weight": 0.5}}, "mosa_net has no token heads"),
        ({"system": "mtq_net", "loss_conf": {"pseudo_targets": TARGETS}}, "none has true ones"),
    ],
)
def test_configurations_that_cannot_work(keys: dict, message: str):
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")):
        check_system(config(**keys))
