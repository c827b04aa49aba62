"""Whole systems: scores that depend on the clip alone, options that have an effect, losses that leave the rest alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from distilmos_plugin.config import Config, UpstreamConfig
from distilmos_plugin.errors import ConfigError, TokenError
from distilmos_plugin.models import SYSTEMS, Extent, Labels, MOSModel, build_model, check_system
from distilmos_plugin.typed_yaml import parse
from distilmos_plugin.upstreams.upstream import load_upstream

SMALL = {
    "ssl_mos": {},
    "ssl_mos frame": {"head": "frame", "hidden_dim": 8, "label_range": [1, 5], "bounded": True},
    "distilmos": {"hidden_dim": 8},
    "distilmos strides": {"hidden_dim": 8, "strides": [2, 1, 2], "label_range": [1, 5]},
    "mosa_net": {"join": "frame", "size": 64, "taps": 31, "exponent": 0.3, "channels": [4, 6], "lstm_dim": 8},
}
CLUSTERS = 7


def config(name: str, **keys) -> Config:
    """Return the configuration of a small system, with further keys."""
    system = name.split()[0]
    return parse(Config, {"system": system, "model_conf": SMALL[name]} | keys, name)


def labels_for(model: MOSModel, waveforms: list[Tensor], layers: int = 3, listeners: Tensor | None = None) -> Labels:
    """Return labels, tokens and ratings for the clips."""
    generator = torch.Generator().manual_seed(1)
    lengths = model.upstream.frame_lengths(torch.tensor([len(clip) for clip in waveforms]))
    tokens = torch.randint(CLUSTERS, (len(waveforms), int(lengths.max()), layers), generator=generator)
    for clip, length in zip(tokens, lengths, strict=True):
        clip[length:] = -1
    mos = torch.rand(len(waveforms), generator=generator) * 4 + 1
    ratings = None if listeners is None else (mos[:, None] + 0.5).expand(listeners.shape).masked_fill(listeners < 0, torch.nan)
    return Labels({"mos": mos}, tokens, listeners, ratings)


def step(model: MOSModel, waveforms: list[Tensor], labels: Labels, steps: int = 3) -> list[float]:
    """Take optimiser steps as training does; return the losses."""
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    model.train()
    losses = []
    for number in range(steps):
        torch.manual_seed(number)
        loss, _, _ = model.loss(model(waveforms, labels.listeners), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("name", SMALL)
def test_a_clip_scores_the_same_alone_and_beside_any_other(name: str, upstream, waveforms: list[Tensor]):
    model = build_model(config(name), upstream)
    # Weights and running statistics shall not be the initial ones.
    step(model, waveforms[2:], labels_for(model, waveforms[2:]), steps=2)
    model.eval()
    with torch.no_grad():
        batch = model(waveforms)
        for number, waveform in enumerate(waveforms):  # 0.5 s next to 20 s
            alone = model([waveform])
            # 1e-5 MOS: float32 rounding over a few hundred frames, and what the product promises
            torch.testing.assert_close(batch.utterance["mos"][number], alone.utterance["mos"][0], rtol=0, atol=1e-5)
            for target, frames in alone.frames.items():
                length = int(alone.frame_lengths)
                torch.testing.assert_close(batch.frames[target][number, :length], frames[0], rtol=0, atol=1e-5)
                assert not batch.frames[target][number, length:].any()


@pytest.mark.parametrize("name", SMALL)
def test_a_few_steps_lower_the_loss(name: str, upstream, waveforms: list[Tensor]):
    weight = 0.5 if name.startswith("distilmos") else 0.0
    model = build_model(config(name, loss_conf={"token_weight": weight}), upstream, token_layers=(1, 2, 3), clusters=CLUSTERS)
    losses = step(model, waveforms[2:], labels_for(model, waveforms[2:]), steps=8)
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("name", SMALL)
def test_every_trained_parameter_gets_a_gradient(name: str, upstream, waveforms: list[Tensor]):
    """Else several devices could not train it together."""
    keys = {"loss_conf": {"token_weight": 0.5}} if name.startswith("distilmos") else {}
    model = build_model(config(name, **keys), upstream, token_layers=(1, 2, 3), clusters=CLUSTERS).train()
    model.loss(model(waveforms[2:]), labels_for(model, waveforms[2:]))[0].backward()
    without = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert without == []


def test_the_default_sizes_of_distilmos_are_the_authors(upstream):
    """Parameters of the heads on an encoder of 12 layers of 768, counted in the authors' code, less its two unused parts."""
    upstream.num_layers, upstream.dim = 12, 768  # the heads read nothing else of it
    conf = parse(Config, {"system": "distilmos", "loss_conf": {"token_weight": 1.0}}, "test")
    model = build_model(conf, upstream, token_layers=tuple(range(1, 13)), clusters=200)
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children() if name != "upstream"}
    layer_weights, unused_norm = 12, 2 * 256
    assert counts == {
        "weighted_sum": 590_616 - layer_weights,
        "feature_processor": 398_336,
        "decoder": 1_381_888 - unused_norm,
        "linear": 257,
        "predictors": 2_195_808,
    }


def test_without_token_loss_distilmos_trains_to_the_same_bits_as_a_model_without_token_heads(
    checkpoint: str, waveforms: list[Tensor]
):
    states = []
    for token_layers in ((), (1, 2, 3)):
        conf = config("distilmos", loss_conf={"token_weight": 0.0})
        upstream = load_upstream("wavlm_local", UpstreamConfig(ckpt=checkpoint))
        # past build_model, which would leave the heads out: here they are there, and idle
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = SYSTEMS["distilmos"](
                upstream, ("mos",), check_system(conf), conf.loss_conf, Extent(token_layers, CLUSTERS)
            )
        step(model, waveforms[2:], labels_for(model, waveforms[2:]))
        states.append({name: value for name, value in model.state_dict().items() if not name.startswith("predictors")})
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_the_token_heads_leave_the_initial_values_of_all_else_alone(upstream):
    plain = build_model(config("distilmos"), upstream)
    heads = build_model(config("distilmos", loss_conf={"token_weight": 0.5}), upstream, token_layers=(1,), clusters=CLUSTERS)
    assert len(heads.predictors) == 1
    assert all(torch.equal(value, heads.state_dict()[name]) for name, value in plain.state_dict().items())


def test_initial_values_follow_the_seed_and_take_nobodys_random_numbers(upstream):
    before = torch.random.get_rng_state()
    first, again, other = (build_model(config("distilmos", seed=seed), upstream).linear.weight for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_tokens_are_thinned_by_the_strides(upstream, waveforms: list[Tensor]):
    conf = config("distilmos strides", loss_conf={"token_weight": 1.0})
    model = build_model(conf, upstream, token_layers=(1, 2, 3), clusters=CLUSTERS).train()
    labels = labels_for(model, waveforms[2:])
    prediction = model(waveforms[2:])
    _, stats, _ = model.loss(prediction, labels)
    logits = prediction.auxiliary["token_logits"]
    kept = labels.tokens[:, ::4]
    valid = kept >= 0
    assert logits.shape[:2] == kept.shape[:2]
    assert valid[..., 0].sum(dim=1).tolist() == prediction.frame_lengths.tolist()
    torch.testing.assert_close(stats["loss_token"], torch.nn.functional.cross_entropy(logits[valid], kept[valid]))


def test_tokens_of_another_frame_rate_are_refused(upstream, waveforms: list[Tensor]):
    conf = config("distilmos", loss_conf={"token_weight": 1.0})
    model = build_model(conf, upstream, token_layers=(1, 2, 3), clusters=CLUSTERS).train()
    labels = labels_for(model, waveforms[2:])
    with pytest.raises(TokenError, match="extract the tokens again"):
        model.loss(model(waveforms[2:]), replace(labels, tokens=labels.tokens[:, ::2]))


def test_the_label_range_is_the_effective_range(upstream, waveforms: list[Tensor]):
    """What the network gives is spread over the configured range, 2x + 3 for [1, 5], and bounded if that is asked for."""
    scores = {}
    for key, options in {
        "raw": {},
        "range": {"label_range": [1, 5]},
        "bounded": {"label_range": [1, 5], "bounded": True},
        "percent": {"label_range": [0, 100], "bounded": True},
    }.items():
        model = build_model(config("ssl_mos", model_conf=options), upstream).eval()
        torch.nn.init.constant_(model.linear.bias, 3.0)
        scores[key] = model(waveforms[:1]).utterance["mos"]
    torch.testing.assert_close(scores["range"], 2 * scores["raw"] + 3)
    torch.testing.assert_close(scores["bounded"], 2 * scores["raw"].tanh() + 3)
    torch.testing.assert_close(scores["percent"], 50 * scores["raw"].tanh() + 50)
    assert scores["range"].item() > 5 > scores["bounded"].item()


def test_layers_choose_what_is_read(upstream, waveforms: list[Tensor]):
    first, last = (
        build_model(config("ssl_mos", model_conf={"layers": [layer]}), upstream).eval()(waveforms[:1]).utterance["mos"]
        for layer in (1, 3)
    )
    assert not torch.allclose(first, last)


class TestListeners:
    """Listener conditioning."""

    LISTENERS = torch.tensor([[1, 3], [2, -1]])

    def model(self, upstream, name: str = "distilmos") -> MOSModel:
        conf = config(name, single_ratings=2, model_conf=SMALL[name] | {"listeners": True})
        return build_model(conf, upstream, num_listeners=4)

    @pytest.mark.parametrize("name", ["ssl_mos", "distilmos"])
    def test_rows_of_the_mean_listener_and_of_those_who_rated_move_and_no_other(
        self, name: str, upstream, waveforms: list[Tensor]
    ):
        model = self.model(upstream, name)
        before = model.listener_embedding.weight.detach().clone()
        step(model, waveforms[2:], labels_for(model, waveforms[2:], listeners=self.LISTENERS), steps=2)
        moved = (model.listener_embedding.weight != before).any(dim=1)
        assert moved.tolist() == [True, True, True, True, False]

    def test_without_ratings_only_the_mean_listener_is_trained(self, upstream, waveforms: list[Tensor]):
        model = self.model(upstream)
        step(model, waveforms[2:], labels_for(model, waveforms[2:]), steps=1)
        assert model.listener_embedding.weight.any(dim=1).tolist() == [True, False, False, False, False]

    def test_scores_are_the_mean_listeners_and_listeners_differ(self, upstream, waveforms: list[Tensor]):
        model = self.model(upstream).eval()
        torch.nn.init.normal_(model.listener_embedding.weight)
        with torch.no_grad():
            prediction = model(waveforms[2:], self.LISTENERS)
            torch.testing.assert_close(prediction.utterance["mos"], model(waveforms[2:]).utterance["mos"])
        scores = prediction.auxiliary["listener_scores"]
        assert len(set(scores.flatten().tolist())) == 4  # three listeners, and 0 where nobody rated
        assert scores[1, 1] == 0

    def test_the_encoder_runs_once_a_batch(self, upstream, waveforms: list[Tensor]):
        calls = []
        upstream.register_forward_hook(lambda *_: calls.append(1))
        self.model(upstream)(waveforms[2:], self.LISTENERS)
        assert len(calls) == 1

    def test_a_clip_scores_the_same_alone_and_in_a_batch(self, upstream, waveforms: list[Tensor]):
        model = self.model(upstream).eval()
        torch.nn.init.normal_(model.listener_embedding.weight)
        with torch.no_grad():
            batch, alone = model(waveforms).utterance["mos"][0], model(waveforms[:1]).utterance["mos"][0]
        torch.testing.assert_close(batch, alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"system": "distilmoss"}, "did you mean 'distilmos'"),
        ({"system": "distilmos", "model_conf": {"hiden_dim": 8}}, "did you mean 'hidden_dim'"),
        ({"system": "distilmos", "model_conf": {"kernels": [4, 3, 3]}}, "must be odd"),
        ({"system": "distilmos", "model_conf": {"kernels": [5, 3]}}, "2 kernels and 3 strides"),
        ({"system": "distilmos", "model_conf": {"strides": [0, 1, 1]}}, "1 or more"),
        ({"system": "ssl_mos", "model_conf": {"bounded": True}}, "needs a label_range"),
        ({"system": "ssl_mos", "model_conf": {"label_range": [5, 1]}}, r"expected \[lowest, highest\]"),
        ({"system": "ssl_mos", "model_conf": {"listeners": True}}, "single_ratings"),
        ({"system": "ssl_mos", "single_ratings": 2}, "listeners: true"),
        ({"system": "ssl_mos", "loss_conf": {"token_weight": 0.5}}, "no token heads"),
        ({"system": "ssl_mos", "loss_conf": {"frame_weight": 0.5}}, "no frame scores"),
        ({"system": "ssl_mos", "targets": []}, "at least one"),
    ],
)
def test_contradictions_are_refused_before_anything_is_loaded(keys: dict, message: str):
    with pytest.raises(ConfigError, match=message):
        check_system(parse(Config, keys, "test"))


def test_a_layer_that_the_upstream_does_not_have_is_refused(upstream):
    with pytest.raises(ConfigError, match="has 1 to 3"):
        build_model(config("ssl_mos", model_conf={"layers": [4]}), upstream)
