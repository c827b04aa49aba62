"""Loading, freezing, cutting and rebuilding upstreams."""

import random
import sys

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from distilmos_plugin.config import UpstreamConfig
from distilmos_plugin.errors import UpstreamError
from distilmos_plugin.upstreams import list_upstreams, load_upstream, rebuild_upstream, show_upstream

from .material import EXACT_KINDS, KINDS, noise, without_dropout


def states(upstream, clip):
    with torch.inference_mode():
        return upstream([clip]).states


def test_the_bundled_upstream_loads_offline_through_s3prls_own_expert():
    upstream = load_upstream("tiny")
    assert type(upstream.expert).__module__ == "s3prl.upstream.wavlm.expert"
    assert (upstream.sample_rate, upstream.hop, upstream.min_samples) == (16000, 320, 400)
    assert upstream.num_layers == len(upstream.expert.model.encoder.layers)
    assert sum(parameter.numel() for parameter in upstream.parameters()) <= 2_000_000


@pytest.mark.parametrize("kind", [*KINDS, "tiny", "fbank"])
def test_there_is_one_hidden_state_more_than_layers_in_float32(kind, load):
    upstream = load(kind)
    found = states(upstream, noise(16000))
    assert len(found) == upstream.num_layers + 1
    assert {(state.shape, state.dtype) for state in found} == {((1, found[0].shape[1], upstream.dim), torch.float32)}


@pytest.mark.parametrize("kind", ["wavlm", "hf_wav2vec2"])
def test_every_weight_is_saved_under_one_name(kind, load):
    tensors = load(kind).state_dict()
    assert len({tensor.data_ptr() for tensor in tensors.values()}) == len(tensors)


@pytest.mark.parametrize("kind", ["tiny", "wavlm", "wav2vec2", "hubert", "hf_wav2vec2", "wav2vec2_conformer", "fbank"])
def test_nobody_elses_random_numbers_are_drawn_or_reseeded(kind, load):
    def draw():
        return random.random(), np.random.random(), torch.rand(()).item()

    def seed():
        random.seed(1), np.random.seed(2), torch.manual_seed(3)

    seed()
    expected = draw()
    seed()
    upstream = load(kind)
    upstream.train()
    without_dropout(upstream)
    upstream([noise(4000), noise(3000)])
    upstream.eval()([noise(4000), noise(3000)])
    assert draw() == expected


@pytest.mark.parametrize("kind", ["wavlm", "hf_wav2vec2"])
def test_training_mode_drops_no_layer_and_masks_nothing(kind, load):
    upstream = load(kind)
    expected = states(upstream, noise(48000))
    upstream.train()
    without_dropout(upstream)
    for _ in range(5):  # layer drop of 0.1 and SpecAugment would show in most of these
        assert all(torch.equal(a, b) for a, b in zip(states(upstream, noise(48000)), expected, strict=True))


def test_gradients_reach_the_waveforms_of_a_frozen_upstream_where_that_is_asked_for(load):
    upstream = load("wavlm", trainable=False)
    clips = [noise(4000).requires_grad_(), noise(3000).requires_grad_()]
    with upstream.gradient_to_waveforms():
        upstream(clips).states[-1].square().sum().backward()
    assert all(clip.grad.abs().max() > 0 for clip in clips)
    assert not upstream(clips).states[-1].requires_grad
    with pytest.raises(UpstreamError, match="no gradient"), load("hf_wav2vec2").gradient_to_waveforms():
        pass


def test_a_frozen_upstream_stays_in_evaluation_mode_and_gets_no_gradient(load):
    upstream = load("wavlm", trainable=False).train()
    assert upstream.training
    assert not any(module.training for module in upstream.expert.modules())
    assert not upstream([noise(4000)]).states[-1].requires_grad


@pytest.mark.parametrize("kind", EXACT_KINDS)
@pytest.mark.parametrize("train_front_end", [False, True])
def test_every_parameter_that_is_trained_gets_a_gradient_and_no_other(kind, train_front_end, load):
    upstream = load(kind, train_front_end=train_front_end).train()
    front_end = upstream.expert.model.feature_extractor
    sum(state.square().sum() for state in upstream([noise(8000), noise(5000)]).states).backward()
    trained = {name for name, parameter in upstream.named_parameters() if parameter.requires_grad}
    reached = {name for name, parameter in upstream.named_parameters() if parameter.grad is not None}
    assert trained == reached
    assert any("encoder.layers.0" in name for name in trained)
    assert any("feature_extractor" in name for name in trained) == train_front_end == front_end.training


@pytest.mark.parametrize("kind", EXACT_KINDS)
def test_layers_that_are_cut_change_nothing_below(kind, load):
    whole, cut = load(kind), load(kind, num_layers=2)
    expected, found = states(whole, noise(8000)), states(cut, noise(8000))
    assert cut.num_layers == 2
    assert len(cut.state_dict()) < len(whole.state_dict())
    assert cut.digest == whole.digest  # still the same upstream: its code books fit
    assert len(found) == 3
    assert all(torch.equal(a, b) for a, b in zip(found, expected[:3], strict=True))


def test_all_layers_of_a_pre_norm_model_keep_the_final_norm(load):
    expected, found = states(load("wavlm_large"), noise(8000)), states(load("wavlm_large", num_layers=3), noise(8000))
    assert torch.equal(found[-1], expected[-1])


def test_more_layers_than_there_are_is_an_error(load):
    with pytest.raises(UpstreamError, match="has 3 layers"):
        load("wavlm", num_layers=4)


@pytest.mark.parametrize("kind", ["wavlm", "hubert", "wav2vec2_large", "hf_wav2vec2"])
def test_gradient_checkpointing_changes_neither_states_nor_gradients(kind, load):
    def run(upstream):
        found = upstream([noise(8000), noise(5000)]).states
        sum(state.square().mean() for state in found).backward()
        return found, {name: value.grad for name, value in upstream.named_parameters() if value.grad is not None}

    plain, recomputed = run(load(kind)), run(load(kind, gradient_checkpointing=True))
    assert all(torch.equal(a, b) for a, b in zip(plain[0], recomputed[0], strict=True))
    assert plain[1].keys() == recomputed[1].keys()
    assert all(torch.equal(plain[1][name], recomputed[1][name]) for name in plain[1])


@pytest.mark.parametrize("kind", [*KINDS, "tiny", "fbank"])
@pytest.mark.parametrize("num_layers", [None, 1])
def test_rebuilding_from_plain_values_and_a_state_dict_equals_loading(kind, num_layers, load):
    if kind == "fbank" and num_layers:
        pytest.skip("filter banks have no layers")
    loaded = load(kind, num_layers=num_layers)
    architecture = yaml.safe_load(yaml.safe_dump(loaded.architecture))  # what a released config.yaml holds
    rebuilt = rebuild_upstream(loaded.name, architecture, UpstreamConfig(num_layers=num_layers)).eval()
    if list(rebuilt.parameters()):
        assert all(parameter.isnan().all() for parameter in rebuilt.parameters())  # nothing works by accident before loading
    rebuilt.load_state_dict(loaded.state_dict())
    assert (rebuilt.digest, rebuilt.architecture) == (loaded.digest, loaded.architecture)
    for a, b in zip(states(rebuilt, noise(8000)), states(loaded, noise(8000)), strict=True):
        assert torch.equal(a, b)


def test_an_architecture_holds_no_path_of_the_authors_disk(load):
    assert "author" not in str(load("wav2vec2").architecture)
    assert "checkpoints" not in str(load("hf_wav2vec2").architecture)


def test_the_digest_is_of_the_weights_and_of_their_use_not_of_the_file(checkpoint, tmp_path):
    content = torch.load(checkpoint("wavlm"))
    digest = load_upstream("wavlm_local", UpstreamConfig(ckpt=checkpoint("wavlm"))).digest

    def changed(**cfg):
        torch.save({"model": content["model"], "cfg": {**content["cfg"], **cfg}}, tmp_path / "x.pt")
        return load_upstream("wavlm_local", UpstreamConfig(ckpt=str(tmp_path / "x.pt"))).digest

    assert len(digest) == 16
    assert changed(dropout=0.3) == digest
    assert changed(normalize=True) != digest
    content["model"]["layer_norm.bias"] = content["model"]["layer_norm.bias"] + 1e-4
    assert changed() != digest


def test_a_half_precision_checkpoint_runs_in_float32(checkpoint, tmp_path):
    content = torch.load(checkpoint("wavlm"))
    torch.save({**content, "model": {name: value.half() for name, value in content["model"].items()}}, tmp_path / "half.pt")
    upstream = load_upstream("wavlm_local", UpstreamConfig(ckpt=str(tmp_path / "half.pt"))).eval()
    assert states(upstream, noise(4000))[-1].dtype == torch.float32


def test_transformers_and_s3prl_states_of_an_upstream_have_the_same_meaning(load, tmp_path, checkpoint):
    """The same weights through wav2vec2_local and hf_wav2vec2_custom give the same states, also beside a longer clip."""
    source = torch.load(checkpoint("wav2vec2"))
    target = load("hf_wav2vec2")
    renamed = {_hf_key(name): value for name, value in source["model_weight"].items()}
    missing = target.expert.model.load_state_dict(renamed, strict=False).missing_keys
    assert missing in ([], ["masked_spec_embed"])
    source["task_cfg"]["normalize"] = True
    torch.save(source, tmp_path / "native.pt")
    native = load_upstream("wav2vec2_local", UpstreamConfig(ckpt=str(tmp_path / "native.pt"))).eval()
    clips = [noise(16000), noise(9001)]
    with torch.inference_mode():
        a, b = native(clips), target(clips)
    length = int(a.lengths[1])
    for ours, theirs in zip(a.states, b.states, strict=True):
        # Both normalise the waveform, with 1e-5 and 1e-7 added to its variance of some 0.01: 5e-4 of its level.
        assert_close(ours[1, :length], theirs[1, :length], rtol=5e-3, atol=5e-3)


def _hf_key(name: str) -> str:
    parts = {
        "post_extract_proj": "feature_projection.projection",
        "pos_conv.0.weight_g": "pos_conv_embed.conv.parametrizations.weight.original0",
        "pos_conv.0.weight_v": "pos_conv_embed.conv.parametrizations.weight.original1",
        "pos_conv.0.bias": "pos_conv_embed.conv.bias",
        "self_attn_layer_norm": "layer_norm",
        "self_attn": "attention",
        "fc1": "feed_forward.intermediate_dense",
        "fc2": "feed_forward.output_dense",
        "0.2.": "0.layer_norm.",
        "mask_emb": "masked_spec_embed",
    }
    if name.startswith("layer_norm."):
        return f"feature_projection.{name}"
    if name.startswith("feature_extractor") and ".0.weight" in name:
        return name.replace(".0.weight", ".conv.weight")
    for old, new in parts.items():
        if old in name:
            return name.replace(old, new)
    return name


# --- errors ----------------------------------------------------------------------------------------------------------


def test_a_clip_below_the_receptive_field_is_refused_by_its_length(load):
    with pytest.raises(UpstreamError, match=r"at least 400 samples .* found 399"):
        load("tiny")([noise(16000), noise(399)])


@pytest.mark.parametrize(
    ("name", "ckpt", "message"),
    [
        ("wavlm_bse", None, "did you mean 'wavlm_base'"),
        ("wavlm_local", None, "needs a checkpoint"),
        ("wavlm_local", "nowhere.pt", "nowhere.pt: no such checkpoint file"),
        ("tiny", "x.pt", "brings its own weights"),
        ("wavlm_base", "x.pt", "brings its own weights"),
        ("byol_s_default", None, "torchaudio"),
        ("hf_hubert_custom", "./nowhere", "no such folder"),
    ],
)
def test_what_cannot_be_loaded_is_one_sentence(name, ckpt, message):
    with pytest.raises(UpstreamError, match=message):
        load_upstream(name, UpstreamConfig(ckpt=ckpt))


@pytest.mark.parametrize("content", [b"not a checkpoint", b"PK\x03\x04 cut short", b""])
def test_a_file_that_is_no_checkpoint_is_named(content, tmp_path):
    path = tmp_path / "broken.pt"
    path.write_bytes(content)
    with pytest.raises(UpstreamError, match=r"broken\.pt"):
        load_upstream("wavlm_local", UpstreamConfig(ckpt=str(path)))


def test_a_checkpoint_of_another_family_names_the_missing_key(checkpoint):
    with pytest.raises(UpstreamError, match="key 'task_cfg' is missing"):
        load_upstream("hubert_local", UpstreamConfig(ckpt=checkpoint("wavlm")))


def test_a_checkpoint_with_weights_of_another_size_says_so(checkpoint, tmp_path):
    content = torch.load(checkpoint("wavlm"))
    torch.save({**content, "cfg": {**content["cfg"], "encoder_layers": 2}}, tmp_path / "x.pt")
    with pytest.raises(UpstreamError, match="does not load"):
        load_upstream("wavlm_local", UpstreamConfig(ckpt=str(tmp_path / "x.pt")))


class Marker:
    """Pickles to a call, as a hostile checkpoint would."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_a_checkpoint_that_would_run_code_is_refused_and_runs_none(checkpoint, tmp_path):
    content = torch.load(checkpoint("wavlm"))
    torch.save({**content, "cfg": {**content["cfg"], "x": Marker(str(tmp_path / "ran"))}}, tmp_path / "pickle.pt")
    text = f"[open({str(tmp_path / 'ran')!r}, 'w')]"  # s3prl evaluates this text
    torch.save({**content, "cfg": {**content["cfg"], "conv_feature_layers": text}}, tmp_path / "eval.pt")
    for name in ("pickle.pt", "eval.pt"):
        with pytest.raises(UpstreamError):
            load_upstream("wavlm_local", UpstreamConfig(ckpt=str(tmp_path / name)))
    architecture = load_upstream("tiny").architecture
    architecture["cfg"]["conv_feature_layers"] = text
    with pytest.raises(UpstreamError):
        rebuild_upstream("tiny", architecture)
    assert not (tmp_path / "ran").exists()


def test_a_folder_without_its_preprocessor_is_refused_before_s3prl_asks_the_network(checkpoint, tmp_path):
    for file in ("config.json", "model.safetensors"):
        (tmp_path / file).symlink_to(f"{checkpoint('hf_wav2vec2')}/{file}")
    with pytest.raises(UpstreamError, match=r"has no preprocessor_config\.json"):
        load_upstream("hf_wav2vec2_custom", UpstreamConfig(ckpt=str(tmp_path)))


def test_a_folder_that_lacks_a_weight_is_refused_where_transformers_would_make_one_up(checkpoint, tmp_path):
    for file in ("config.json", "preprocessor_config.json"):
        (tmp_path / file).symlink_to(f"{checkpoint('hf_wav2vec2')}/{file}")
    weights = load_file(f"{checkpoint('hf_wav2vec2')}/model.safetensors")
    del weights["encoder.layers.1.final_layer_norm.bias"]
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(UpstreamError, match=r"lacks weights .* encoder\.layers\.1\.final_layer_norm\.bias"):
        load_upstream("hf_wav2vec2_custom", UpstreamConfig(ckpt=str(tmp_path)))


def test_a_pretraining_checkpoint_of_transformers_loads_without_a_word(checkpoint, tmp_path, capfd):
    for file in ("config.json", "preprocessor_config.json"):
        (tmp_path / file).symlink_to(f"{checkpoint('hf_wav2vec2')}/{file}")
    weights = load_file(f"{checkpoint('hf_wav2vec2')}/model.safetensors")
    save_file({**weights, "quantizer.codevectors": torch.zeros(2)}, tmp_path / "model.safetensors", {"format": "pt"})
    capfd.readouterr()
    load_upstream("hf_wav2vec2_custom", UpstreamConfig(ckpt=str(tmp_path)))
    assert capfd.readouterr() == ("", "")


def test_an_address_without_a_network_is_one_sentence():
    with pytest.raises(UpstreamError, match="cannot be read or downloaded"):
        load_upstream("wav2vec2_url", UpstreamConfig(ckpt="http://127.0.0.1:9/x.pt"))  # port 9 discards


def test_torchaudio_that_does_not_load_is_one_sentence(monkeypatch):
    for module in [name for name in sys.modules if name.startswith(("s3prl.upstream.baseline", "torchaudio"))]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "torchaudio", None)  # what an import finds is an ImportError
    with pytest.raises(UpstreamError, match="torchaudio, which does not load beside torch"):
        load_upstream("mfcc")


def test_gradient_checkpointing_of_an_upstream_without_layers_is_refused():
    with pytest.raises(UpstreamError, match="gradient_checkpointing"):
        load_upstream("fbank", UpstreamConfig(gradient_checkpointing=True))


# --- the command line's functions ------------------------------------------------------------------------------------


def test_showing_an_upstream_that_runs_offline_gives_its_dimensions():
    facts = show_upstream("tiny")
    assert facts["layers"] == load_upstream("tiny").num_layers
    assert facts["batching"] == "exact"
    assert "layers" not in show_upstream("wavlm_large")  # it would be downloaded


def test_every_offline_upstream_of_the_list_loads():
    offline = [entry for entry in list_upstreams() if entry.needs == "nothing" and not entry.broken]
    assert {"tiny", "fbank", "mfcc", "mel", "linear", "spectrogram"} <= {entry.name for entry in offline}
    for entry in offline:
        assert load_upstream(entry.name).exact == (entry.batching == "exact")
