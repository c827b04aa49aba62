"""The authors' checkpoints: the scores are those of their network, and anything that does not fit is named."""

import pickle
import re

import pytest
import torch
import yaml

from distilmos_plugin.errors import ModelError
from distilmos_plugin.scoring import models
from distilmos_plugin.scoring.official import load_official
from distilmos_plugin.scoring.release import load_release, write_release

from ..models.official_layout import Size, layout, random_state, reference
from .material import RATE, speech

BACKBONES = ("wavlm", "w2v2")
SIZE = Size(layers=3)
SAMPLES = (400, 1999, 16000, 30321)


def write_official(folder, backbone, state, size=SIZE, wrap=lambda state: {"model": state, "epoch": 3}, **settings):
    """Write a checkpoint in the official layout."""
    folder.mkdir(exist_ok=True)
    torch.save(wrap(state), folder / "model.pth.tar")
    (folder / "model_cfg.yaml").write_text(yaml.safe_dump(size.yaml(backbone, **settings)))
    return folder


def weights(backbone, size=SIZE):
    return random_state(layout(backbone, size))


@pytest.fixture
def folder(tmp_path):
    return write_official(tmp_path / "wavlm", "wavlm", weights("wavlm"))


@pytest.mark.parametrize("strides", [(1, 1, 1), (2, 1, 1), (2, 3, 2)])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_scores_are_those_of_the_published_network(backbone, strides, tmp_path):
    size = Size(layers=3, kernels=(5, 3, 3) if strides != (2, 3, 2) else (7, 5, 3))
    state = weights(backbone, size)
    folder = write_official(tmp_path / backbone, backbone, state, size, downsample_strides=list(strides))
    predictor = models.load(folder, "cpu")
    clips = [speech(2.0)[:count] for count in SAMPLES]
    together = predictor.predict(clips, [16000] * len(clips), frames=True)
    for clip, (scores, curves) in zip(clips, together, strict=True):
        mos, frames = reference(state, backbone, size, strides, torch.from_numpy(clip))
        assert len(curves["mos"]) == len(frames)
        # float32, and sums in another order: 1e-6 was measured.
        assert scores["mos"] == pytest.approx(mos, abs=1e-5)
        assert torch.from_numpy(curves["mos"]).numpy() == pytest.approx(frames.numpy(), abs=1e-5)


def test_the_clips_above_do_not_all_have_one_score():
    scores = [reference(weights("wavlm"), "wavlm", SIZE, (1, 1, 1), torch.from_numpy(speech(2.0)[:n]))[0] for n in SAMPLES]
    assert max(scores) - min(scores) > 0.01


@pytest.mark.parametrize("wrap", [lambda s: {"model": s}, lambda s: {"state_dict": s, "model": "wavlm"}, lambda s: s])
def test_the_state_dict_is_found_where_the_authors_look(wrap, tmp_path):
    write_official(tmp_path / "wavlm", "wavlm", weights("wavlm"), wrap=wrap)
    assert models.load(tmp_path / "wavlm", "cpu").score(speech(1.0), RATE).ok


def test_either_naming_of_the_weight_normalised_convolution_loads(tmp_path):
    old = weights("w2v2")
    new = {
        name.replace(".weight_g", ".parametrizations.weight.original0").replace(
            ".weight_v", ".parametrizations.weight.original1"
        ): tensor
        for name, tensor in old.items()
    }
    assert old.keys() != new.keys()
    found = [
        models.load(write_official(tmp_path / "w2v2", "w2v2", state), "cpu").score(speech(1.0), RATE) for state in (old, new)
    ]
    assert found[0].mos == found[1].mos


def test_weights_in_half_precision_are_computed_with_in_full(folder):
    torch.save(
        {name: value.half() if value.is_floating_point() else value for name, value in weights("wavlm").items()},
        folder / "model.pth.tar",
    )
    model, *_ = load_official(folder)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_the_signature_tells_strides_apart_which_the_weights_do_not(tmp_path):
    digests = set()
    for name, strides in (("a", [1, 1, 1]), ("b", [2, 1, 1])):
        write_official(tmp_path / name, "wavlm", weights("wavlm"), downsample_strides=strides)
        predictor = models.load(tmp_path / name, "cpu")
        assert f"|model:{name}@{predictor.digest}|" in predictor.signature
        assert f"strides {' '.join(map(str, strides))}" in predictor.about
        digests.add(predictor.digest)
    assert len(digests) == 2


def test_the_token_heads_are_read_and_the_model_can_be_released(folder, tmp_path):
    model, config, _ = load_official(folder)
    assert len(model.predictors) == SIZE.layers
    write_release(tmp_path / "release", model, config, name="converted")
    loaded, *_ = load_release(tmp_path / "release")
    expected = model.scoring_state()
    assert loaded.state_dict().keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in loaded.state_dict().items())


def broken(folder, change):
    state = weights("wavlm")
    change(state)
    torch.save({"model": state}, folder / "model.pth.tar")
    with pytest.raises(ModelError) as raised:
        models.load(folder, "cpu")
    return str(raised.value)


def test_a_missing_and_an_unexpected_tensor_are_named_as_the_file_names_them(folder):
    def rename(state):
        state["ssl.encoder.layers.1.fc3.bias"] = state.pop("ssl.encoder.layers.1.fc1.bias")

    message = broken(folder, rename)
    assert "1 missing: ssl.encoder.layers.1.fc1.bias; 1 unexpected: ssl.encoder.layers.1.fc3.bias" in message
    assert "model.pth.tar" in message


@pytest.mark.parametrize(
    "name", ["decoder.batch_norm.running_mean", "weighted_sum.layer_weights", "predictors.1.layers.4.bias"]
)
def test_tensors_that_take_no_part_in_scoring_must_be_there_and_fit(name, folder):
    assert f"1 missing: {name}" in broken(folder, lambda state: state.pop(name))
    assert f"{name} is torch.float32 [3, 3], expected" in broken(folder, lambda state: state.update({name: torch.zeros(3, 3)}))


def test_code_books_of_different_sizes_are_refused(folder):
    message = broken(folder, lambda state: state.update({"predictors.2.layers.4.weight": torch.zeros(100, SIZE.hidden)}))
    assert "predictors.2.layers.4.weight is torch.float32 [100, 20], expected torch.float32 [200, 20]" in message


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"downsample_kernels": [7, 3, 3]}, "dw.weight is torch.float32 [20, 1, 5], expected torch.float32 [20, 1, 7]"),
        ({"downsample_kernels": [4, 3, 3]}, "model_cfg.yaml: model_conf: kernels: [4, 3, 3] must be odd"),
        ({"downsample_strides": [2, 1]}, "model_cfg.yaml: model_conf: 3 kernels and 2 strides"),
        ({"hidden_dim": 24}, "is torch.float32 [20"),
        ({"target_layers": [1, 2]}, "6 unexpected: predictors.2.layers.0.bias"),
        ({"target_layers": "all"}, "model_cfg.yaml: target_layers: expected a list"),
        ({"wavlm_cfg": {"conv_feature_layers": "__import__('os')._exit(1)"}}, "conv_feature_layers"),
    ],
)
def test_settings_that_do_not_fit_the_weights_are_refused(settings, message, tmp_path):
    write_official(tmp_path / "wavlm", "wavlm", weights("wavlm"), **settings)
    with pytest.raises(ModelError, match=re.escape(message)):
        models.load(tmp_path / "wavlm", "cpu")


@pytest.mark.parametrize("name", ["model.pth.tar", "model_cfg.yaml"])
def test_a_missing_file_is_named(name, folder):
    (folder / name).unlink()
    with pytest.raises(ModelError, match=re.escape(f"no {name}; an official DistilMOS checkpoint has")):
        models.load(folder)


def test_a_download_that_was_cut_off_is_recognised(folder):
    content = (folder / "model.pth.tar").read_bytes()
    for length in (0, 100, len(content) // 2, len(content) - 1):
        (folder / "model.pth.tar").write_bytes(content[:length])
        with pytest.raises(ModelError, match=r"model\.pth\.tar: (damaged|not a file of tensors and plain values, or damaged)"):
            models.load(folder)


class Malicious:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code from a model file was run')",))


def test_code_in_the_files_is_not_run(folder):
    for content in (pickle.dumps({"model": Malicious()}, protocol=2), None):
        if content is None:
            torch.save({"model": Malicious()}, folder / "model.pth.tar")
        else:
            (folder / "model.pth.tar").write_bytes(content)
        with pytest.raises(ModelError, match="code in it is not run"):
            models.load(folder)
    (folder / "model_cfg.yaml").write_text("strides: !!python/object/apply:os._exit [1]\n")
    torch.save(weights("wavlm"), folder / "model.pth.tar")
    with pytest.raises(ModelError, match=r"model_cfg\.yaml: not readable as YAML"):
        models.load(folder)


def test_a_file_without_a_state_dict_is_refused(folder):
    for content in ({"epoch": 3}, [torch.zeros(1)], {}, {"model": {1: torch.zeros(1)}}):
        torch.save(content, folder / "model.pth.tar")
        with pytest.raises(ModelError, match="no state dict under 'model' or 'state_dict'"):
            models.load(folder)
