"""SSL-Layer-MOS and SA-SSL-MOS: any length, any batch; the published network where the length is fixed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from distilmos_plugin.config import Config, UpstreamConfig
from distilmos_plugin.errors import ConfigError
from distilmos_plugin.models import Labels, MOSModel, build_model, check_system
from distilmos_plugin.models.resampling import resample
from distilmos_plugin.models.sa_ssl_mos import SPECTROGRAM_RATE, log_spectrograms
from distilmos_plugin.typed_yaml import parse
from distilmos_plugin.upstreams.upstream import Upstream, load_upstream

from .published_layer_mos import Published

CONF = {"layers": [2], "channels": [12, 8, 8], "hidden_dims": [8], "label_range": [1, 5]}
SPECTROGRAM = {"spectrogram_channels": [4, 4, 6, 6], "bands": 3}


def config(system: str = "sa_ssl_mos", **keys) -> Config:
    """Return the configuration of a small system, with further keys of ``model_conf``."""
    values = {"system": system, "model_conf": CONF | (SPECTROGRAM if system == "sa_ssl_mos" else {}) | keys}
    return parse(Config, values | {"upstream_conf": {"trainable": False}, "loss_conf": {"type": "gaussian_nll"}}, "test")


@pytest.fixture
def upstream(checkpoint: str) -> Upstream:
    return load_upstream("wavlm_local", UpstreamConfig(ckpt=checkpoint, trainable=False))


@pytest.fixture
def clips(waveforms: list[Tensor]) -> list[Tensor]:
    """0.5, 3.3 and 1.007 s at 48 kHz, and the shortest clip that the upstream takes: 25 ms."""
    short = [waveforms[0], *waveforms[2:], waveforms[0][:400]]
    return [resample(waveform, 16000, SPECTROGRAM_RATE) for waveform in short]


def trained(model: MOSModel, clips: list[Tensor]) -> MOSModel:
    """Take a few steps, so that neither weights nor running statistics are the initial ones."""
    optimiser = torch.optim.Adam([value for value in model.parameters() if value.requires_grad], lr=1e-2)
    labels = Labels({"mos": torch.linspace(1.5, 4.5, len(clips))})
    rates = [SPECTROGRAM_RATE] * len(clips)
    for _ in range(5):
        loss, _, _ = model.train().loss(model(clips, rates=rates), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval()


@pytest.mark.parametrize(
    ("system", "keys"),
    [("ssl_layer_mos", {}), ("sa_ssl_mos", {}), ("sa_ssl_mos", {"spectrogram_pooling": "mean_max", "spectrogram_hop": 320})],
)
def test_score_and_deviation_are_the_same_alone_and_beside_any_other(system: str, keys, upstream, clips: list[Tensor]):
    model = trained(build_model(config(system, **keys), upstream), clips)
    rates = [SPECTROGRAM_RATE] * len(clips)
    with torch.no_grad():
        batch = model(clips, rates=rates)
        for number, clip in enumerate(clips):
            alone = model([clip], rates=rates[:1])
            # 1e-5 MOS: float32 rounding, and what the product promises.
            torch.testing.assert_close(batch.utterance["mos"][number], alone.utterance["mos"][0], rtol=0, atol=1e-5)
            torch.testing.assert_close(batch.scale["mos"][number], alone.scale["mos"][0], rtol=0, atol=1e-5)
    assert batch.utterance["mos"].unique().numel() == len(clips)


def test_training_statistics_are_those_of_the_frames_joined_end_to_end(upstream, clips: list[Tensor]):
    """Batch norm over a padded batch would see the padding."""
    model = build_model(config(), upstream).train()
    norm = model.spm.norms[0]
    spectrograms, lengths = log_spectrograms(clips)
    maps = model.spm.convs[0](spectrograms[:, None])
    frames = torch.cat([clip[:, :length] for clip, length in zip(maps, lengths.tolist(), strict=True)], dim=1)
    model.spm(spectrograms, lengths)
    # 0.1 is torch's momentum; float32 sums over 240,000 values.
    torch.testing.assert_close(norm.running_mean, 0.1 * frames.mean(dim=(1, 2)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("targets", [("mos",), ("sig", "bak")])
def test_every_trained_parameter_gets_a_gradient_and_the_upstream_none(targets, upstream, clips: list[Tensor]):
    model = build_model(replace(config(), targets=targets), upstream).train()
    labels = Labels({target: torch.full((len(clips),), 2.0) for target in targets})
    model.loss(model(clips), labels)[0].backward()
    without = {name for name, value in model.named_parameters() if value.grad is None}
    assert without == {name for name, _ in model.named_parameters() if name.startswith("upstream.")}


def test_only_the_system_with_a_spectrogram_hears_what_lies_above_8_khz(upstream):
    time = torch.arange(2 * SPECTROGRAM_RATE) / SPECTROGRAM_RATE
    low = 0.1 * torch.sin(2 * torch.pi * 440 * time)
    fade = torch.hann_window(len(time))  # a sudden start would be heard as a click, of all frequencies
    high = low + 0.1 * fade * torch.sin(2 * torch.pi * 15000 * time)
    scores = {}
    for system in ("ssl_layer_mos", "sa_ssl_mos"):
        model = build_model(config(system), upstream).eval()
        with torch.no_grad():
            scores[system] = model([low, high], rates=[SPECTROGRAM_RATE] * 2).utterance["mos"]
    # float32 rounding of other samples, through random weights, against what is heard
    assert abs(scores["ssl_layer_mos"].diff().item()) < 1e-4
    assert abs(scores["sa_ssl_mos"].diff().item()) > 1e-3


def test_the_rates_that_the_systems_ask_for(upstream):
    layer, spectral = (build_model(config(system), upstream) for system in ("ssl_layer_mos", "sa_ssl_mos"))
    assert [layer.input_rate(rate) for rate in (8000, 16000, 44100)] == [16000] * 3
    assert [spectral.input_rate(rate) for rate in (8000, 16000, 44100)] == [48000] * 3


def test_with_a_fixed_length_it_is_the_published_network(upstream, waveforms: list[Tensor]):
    conf = {"layers": [2], "label_range": [-2, 2], "fixed_seconds": 2.0}
    conf |= {"channels": [128, 32, 32], "hidden_dims": [64, 32], "spectrogram_channels": [32, 32, 64, 64], "bands": 1}
    model = build_model(config(**conf), upstream).eval()
    clips = [waveforms[0].repeat(4)[:32000], waveforms[2][:32000]]
    states = upstream(clips).states[2]
    theirs = Published(upstream.dim, states.shape[1]).eval()
    _copy(theirs, model)
    at_48k = [resample(clip, 16000, SPECTROGRAM_RATE) for clip in clips]
    with torch.no_grad():
        spectrograms, _ = log_spectrograms(at_48k)
        heard = [resample(clip, SPECTROGRAM_RATE, 16000) for clip in at_48k]
        mean, variance = theirs(upstream(heard).states[2].transpose(1, 2), spectrograms[:, None])
        ours = model(at_48k)
    torch.testing.assert_close(ours.utterance["mos"], mean, rtol=1e-5, atol=1e-5)  # the same sums in another order
    torch.testing.assert_close(ours.scale["mos"].square(), variance, rtol=1e-5, atol=0)


def _copy(theirs: nn.Module, model: MOSModel) -> None:
    """Give both networks the same random weights."""
    generator = torch.Generator().manual_seed(3)
    for branch in ("fpm", "spm"):
        ours, published = getattr(model, branch), getattr(theirs, branch)
        convs = [part for part in published if isinstance(part, nn.Conv1d | nn.Conv2d)]
        norms = [part for part in published if isinstance(part, nn.LayerNorm | nn.BatchNorm2d)]
        for mine, other in zip([*ours.convs, *ours.norms], [*convs, *norms], strict=True):
            for name, value in other.state_dict().items():
                if value.is_floating_point():
                    value.add_(0.2 * torch.rand(value.shape, generator=generator) - 0.1)
                mine.state_dict()[name].copy_(value)
    for name in ("mu_head", "var_head"):
        getattr(model, name).load_state_dict(getattr(theirs, name).state_dict())


def test_the_published_sizes(upstream):
    """Counted in the authors' code for 10 s and a layer of width 1,920."""
    upstream.dim = 1920
    conf = {"layers": [1], "fixed_seconds": 10.0, "channels": [128, 32, 32], "hidden_dims": [64, 32]}
    conf |= {"spectrogram_channels": [32, 32, 64, 64], "bands": 1}
    model = build_model(config(**conf), upstream)
    counts = {name: sum(value.numel() for value in part.parameters()) for name, part in model.named_children()}
    assert (counts["fpm"], counts["spm"]) == (1_418_752, 65_376)
    assert counts["mu_head"] + counts["var_head"] == 86_274


def test_a_fixed_length_repeats_short_clips_and_cuts_long_ones(upstream, waveforms: list[Tensor]):
    model = build_model(config("ssl_layer_mos", fixed_seconds=2.0), upstream).eval()
    short, long = waveforms[0], waveforms[2]
    with torch.no_grad():
        scores = model([short, short.repeat(4), long, long[:32000]]).utterance["mos"]
    torch.testing.assert_close(scores[0::2], scores[1::2], rtol=0, atol=1e-6)


def test_the_spectrogram_by_hand():
    """A tone of amplitude a on a bin, under a Hann window of N: magnitude a N / 4; beyond it nothing but the floor."""
    time = torch.arange(SPECTROGRAM_RATE) / SPECTROGRAM_RATE
    spectrograms, lengths = log_spectrograms([0.5 * torch.sin(2 * torch.pi * 3000 * time), torch.zeros(4800)])
    assert lengths.tolist() == [301, 31]
    assert spectrograms[0, 150].argmax() == 20  # 3000 / 150
    assert 10 ** spectrograms[0, 150, 20].item() == pytest.approx(0.5 * 320 / 4, rel=1e-4)
    assert (spectrograms[1, :31] == -7).all()
    assert not spectrograms[1, 31:].any()
    assert log_spectrograms([torch.zeros(4800)], least=1e-4)[0].min().item() == -4


@pytest.mark.parametrize(
    ("system", "keys", "message"),
    [
        ("ssl_layer_mos", {"model_conf": {}}, "reads one layer"),
        ("sa_ssl_mos", {"upstream_conf": {"trainable": True}}, "frozen upstream"),
        ("sa_ssl_mos", {"loss_conf": {"token_weight": 1.0}}, "neither tokens nor frame scores"),
        ("sa_ssl_mos", {"model_conf": CONF | {"listeners": True}, "single_ratings": 1}, "listeners: true has not"),
        ("sa_ssl_mos", {"model_conf": CONF | {"bands": 54}}, "expected 1 to 53"),
        ("ssl_mos", {"model_conf": {}, "loss_conf": {"type": "gaussian_nll"}}, "ssl_mos has not"),
    ],
)
def test_options_that_contradict_each_other_are_refused(system: str, keys: dict, message: str):
    base = {"upstream_conf": {"trainable": False}, "model_conf": CONF, "loss_conf": {"type": "gaussian_nll"}}
    with pytest.raises(ConfigError, match=message):
        check_system(parse(Config, {"system": system} | base | keys, "test"))


def test_a_length_that_the_poolings_do_not_leave_a_frame_of_is_refused(upstream):
    with pytest.raises(ConfigError, match="too short"):
        build_model(config("ssl_layer_mos", fixed_seconds=0.5), upstream)


def test_without_the_gaussian_loss_there_is_no_deviation(upstream, waveforms: list[Tensor]):
    values = {"system": "ssl_layer_mos", "model_conf": CONF, "upstream_conf": {"trainable": False}}
    model = build_model(parse(Config, values, "test"), upstream)
    assert model.var_head is None
    assert model(waveforms[:1]).scale == {}
