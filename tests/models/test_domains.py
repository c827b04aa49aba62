"""Domain conditioning: one embedding a corpus, beside the one for any corpus that scoring uses; with listeners and without."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from distilmos_plugin.config import Config
from distilmos_plugin.errors import ConfigError
from distilmos_plugin.models import Labels, MOSModel, build_model
from distilmos_plugin.typed_yaml import parse

DOMAINS = torch.tensor([2, 1])
LISTENERS = torch.tensor([[1, 3], [2, -1]])
MOS = torch.tensor([2.0, 4.0])


def build(upstream, system: str = "distilmos", listeners: bool = False, **keys) -> MOSModel:
    sizes = {"distilmos": {"hidden_dim": 8}, "ssl_mos": {}}[system]
    values = {"system": system, "model_conf": sizes | {"domains": True, "listeners": listeners}}
    config = parse(Config, values | {"single_ratings": 2 if listeners else 0} | keys, system)
    return build_model(config, upstream, num_listeners=4, num_domains=3)


@pytest.mark.parametrize("system", ["ssl_mos", "distilmos"])
@pytest.mark.parametrize("listeners", [False, True], ids=["alone", "with listeners"])
def test_rows_of_any_corpus_and_of_those_in_the_batch_move_and_no_other(
    system: str, listeners: bool, upstream, waveforms: list[Tensor]
):
    model = build(upstream, system, listeners).train()
    ratings = torch.tensor([[2.0, 3.0], [4.0, torch.nan]]) if listeners else None
    labels = Labels({"mos": MOS}, None, LISTENERS if listeners else None, ratings, DOMAINS)
    loss, stats, _ = model.loss(model(waveforms[2:], labels.listeners, domains=DOMAINS), labels)
    loss.backward()
    assert "loss_domain" in stats
    assert model.domain_embedding.weight.grad.any(dim=1).tolist() == [True, True, True, False]
    if listeners:
        assert model.listener_embedding.weight.grad.any(dim=1).tolist() == [True, True, True, True, False]


def test_scores_are_those_of_any_corpus_and_corpora_differ(upstream, waveforms: list[Tensor]):
    model = build(upstream, listeners=True).eval()
    for embedding in (model.domain_embedding, model.listener_embedding):
        torch.nn.init.normal_(embedding.weight)
    with torch.no_grad():
        plain = model(waveforms[2:])
        full = model(waveforms[2:], LISTENERS, domains=DOMAINS)
        listeners = model(waveforms[2:], LISTENERS)
        swapped = model(waveforms[2:], domains=DOMAINS.flip(0))
    torch.testing.assert_close(full.utterance["mos"], plain.utterance["mos"])
    torch.testing.assert_close(full.frames["mos"], plain.frames["mos"])
    torch.testing.assert_close(full.auxiliary["listener_scores"], listeners.auxiliary["listener_scores"])
    assert "domain_scores" not in plain.auxiliary
    scores = full.auxiliary["domain_scores"]
    assert scores.shape == (2, 1)
    assert (scores[:, 0] - plain.utterance["mos"]).abs().min() > 1e-3
    assert (scores - swapped.auxiliary["domain_scores"]).abs().min() > 1e-3


def test_before_training_every_corpus_is_alike(upstream, waveforms: list[Tensor]):
    model = build(upstream).eval()
    with torch.no_grad():
        prediction = model(waveforms[2:], domains=DOMAINS)
    torch.testing.assert_close(prediction.auxiliary["domain_scores"][:, 0], prediction.utterance["mos"])


def test_the_encoder_runs_once_a_batch(upstream, waveforms: list[Tensor]):
    calls = []
    upstream.register_forward_hook(lambda *_: calls.append(1))
    build(upstream, listeners=True)(waveforms[2:], LISTENERS, domains=DOMAINS)
    assert len(calls) == 1


def test_the_loss_in_the_domain_is_weighted_and_leaves_out_missing_labels(upstream, waveforms: list[Tensor]):
    model = build(upstream, loss_conf={"domain_weight": 0.5}).eval()
    labels = Labels({"mos": torch.tensor([2.0, torch.nan])}, domains=DOMAINS)
    prediction = model(waveforms[2:], domains=DOMAINS)
    loss, stats, _ = model.loss(prediction, labels)
    assert stats["loss_domain"].item() == pytest.approx((prediction.auxiliary["domain_scores"][0, 0].item() - 2.0) ** 2)
    assert loss.item() == pytest.approx((stats["loss_mos"] + 0.5 * stats["loss_domain"]).item())


def test_without_domains_a_model_is_as_it_was(upstream, waveforms: list[Tensor]):
    config = parse(Config, {"system": "ssl_mos"}, "test")
    model = build_model(config, upstream, num_domains=3).eval()
    assert not [name for name in model.state_dict() if "domain" in name]
    with torch.no_grad():
        assert "domain_scores" not in model(waveforms[2:], domains=DOMAINS).auxiliary


def test_a_predicted_deviation_does_not_go_with_domains():
    config = parse(Config, {"system": "sa_ssl_mos", "loss_conf": {"type": "gaussian_nll"}}, "test")
    with pytest.raises(ConfigError, match="which domains: true has not"):
        build_model(replace(config, model_conf={"domains": True}), upstream=None)
