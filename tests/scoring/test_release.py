"""Released models: whole, strict, harmless."""

import pickle
import re
import shutil

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

import distilmos_plugin
from distilmos_plugin.config import Config
from distilmos_plugin.errors import ModelError, UpstreamError
from distilmos_plugin.files import file_digest
from distilmos_plugin.models import build_model
from distilmos_plugin.scoring import models
from distilmos_plugin.scoring.predictor import Predictor
from distilmos_plugin.scoring.release import load_release, write_release
from distilmos_plugin.typed_yaml import parse
from distilmos_plugin.upstreams.upstream import load_upstream

from .material import RATE, speech


@pytest.fixture
def copy(release, tmp_path):
    """A release to damage."""
    return shutil.copytree(release, tmp_path / "model")


def change_weights(directory, change):
    """Change the tensors, with a digest that fits."""
    tensors = load_file(directory / "model.safetensors")
    change(tensors)
    save_file(tensors, directory / "model.safetensors")
    change_config(directory, lambda values: values["release"].update(sha256=file_digest(directory / "model.safetensors")))


def change_config(directory, change):
    values = yaml.safe_load((directory / "config.yaml").read_text())
    change(values)
    (directory / "config.yaml").write_text(yaml.safe_dump(values))


def test_a_released_model_scores_as_the_model_that_was_released(release, predictor):
    loaded = distilmos_plugin.load(str(release), device="cpu")
    # Bit for bit: the weights are stored in full, and the arithmetic is the same.
    assert loaded.score(speech(2.0), RATE).mos == predictor.score(speech(2.0), RATE).mos
    assert not loaded.model.training
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())


def test_one_clip_is_scored_in_one_call_and_the_model_is_kept(release, predictor):
    score = distilmos_plugin.score(speech(2.0), RATE, model=str(release))
    assert score.mos == pytest.approx(predictor.score(speech(2.0), RATE).mos, abs=1e-5)  # on whichever device there is
    assert models.cached(str(release)) is models.cached(str(release))


def test_the_signature_names_the_experiment_and_the_weights_file(release):
    digest = file_digest(release / "model.safetensors")[:12]
    assert f"|model:small_distilmos@{digest}|" in models.load(release, "cpu").signature


def test_a_release_needs_no_checkpoint_and_no_place(release, tmp_path, predictor):
    moved = shutil.copytree(release, tmp_path / "elsewhere")
    change_config(moved, lambda values: values["upstream_conf"].update(ckpt="/nowhere/small.pt"))
    assert models.load(moved, "cpu").score(speech(2.0), RATE).mos == predictor.score(speech(2.0), RATE).mos


def test_the_folder_has_its_three_files_and_a_readable_card(release):
    assert sorted(path.name for path in release.iterdir()) == ["README.md", "config.yaml", "model.safetensors"]
    modes = {path.stat().st_mode for path in release.iterdir()}
    assert len(modes) == 1  # whoever may read the configuration may read the weights
    card = (release / "README.md").read_text()
    assert card.startswith("# small_distilmos\n\nRandom weights, for tests.\n")
    assert "## Data\n\nnone" in card
    values = yaml.safe_load((release / "config.yaml").read_text())
    assert values["model_conf"]["hidden_dim"] == 32
    assert values["release"]["versions"]["torch"] == torch.__version__.split("+")[0]


def test_listeners_come_back_and_token_heads_which_scoring_does_not_use_are_left_out(config, tmp_path):
    changes = {"loss_conf": {"token_weight": 0.5}, "single_ratings": 2}
    config = parse(Config, {**vars(config), **changes, "model_conf": {**config.model_conf, "listeners": True}}, "test")
    upstream = load_upstream(config.upstream, config.upstream_conf)
    model = build_model(config, upstream, token_layers=(1, 2), clusters=20, num_listeners=3)
    write_release(tmp_path / "model", model, config, name="tokens", num_listeners=3)
    loaded, _, release = load_release(tmp_path / "model")
    assert release.num_listeners == 3
    expected = {name: value for name, value in model.state_dict().items() if not name.startswith("predictors.")}
    assert len(expected) < len(model.state_dict())
    assert loaded.state_dict().keys() == expected.keys()
    assert all(torch.equal(value, expected[key]) for key, value in loaded.state_dict().items())
    assert Predictor(loaded, config).score(speech(1.0), RATE).mos == Predictor(model, config).score(speech(1.0), RATE).mos


def test_a_missing_and_an_unexpected_key_are_named(copy):
    def change(tensors):
        tensors["linear.wieght"] = tensors.pop("linear.weight")

    change_weights(copy, change)
    with pytest.raises(ModelError, match=r"1 missing: linear\.weight; 1 unexpected: linear\.wieght"):
        load_release(copy)


def test_a_tensor_of_another_shape_is_named(copy):
    change_weights(copy, lambda tensors: tensors.update({"linear.weight": torch.zeros(2, 32)}))
    with pytest.raises(ModelError, match=r"linear\.weight is torch\.float32 \[2, 32\], expected torch\.float32 \[1, 32\]"):
        load_release(copy)


def test_damaged_weights_are_recognised_by_their_digest(copy):
    data = bytearray((copy / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (copy / "model.safetensors").write_bytes(data)
    with pytest.raises(ModelError, match="damaged, or the two are of different models"):
        load_release(copy)


class Malicious:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code from a model file was run')",))


def test_a_pickle_in_place_of_the_weights_is_not_run(copy):
    for content in (pickle.dumps(Malicious()), b"", b"\x10" * 64):
        (copy / "model.safetensors").write_bytes(content)
        digest = file_digest(copy / "model.safetensors")
        change_config(copy, lambda values, digest=digest: values["release"].update(sha256=digest))
        with pytest.raises(ModelError, match="not readable as safetensors"):
            load_release(copy)


def test_a_yaml_tag_is_not_run(copy):
    text = (copy / "config.yaml").read_text()
    (copy / "config.yaml").write_text(text + "evil: !!python/object/apply:os._exit [1]\n")
    with pytest.raises(ModelError, match=r"config\.yaml: not readable as YAML"):
        load_release(copy)


def test_code_in_the_upstreams_description_is_not_run(copy):
    def change(values):
        values["release"]["architecture"]["cfg"]["conv_feature_layers"] = "__import__('os')._exit(1)"

    change_config(copy, change)
    with pytest.raises(UpstreamError, match="conv_feature_layers"):
        load_release(copy)


@pytest.mark.parametrize("name", ["config.yaml", "model.safetensors"])
def test_a_missing_file_is_named(copy, name):
    (copy / name).unlink()
    with pytest.raises(ModelError, match=re.escape(f"no {name}")):
        load_release(copy)


def test_a_training_configuration_is_no_release(copy):
    change_config(copy, lambda values: values.pop("release"))
    with pytest.raises(ModelError, match="no section 'release'"):
        load_release(copy)


def test_an_experiment_named_in_place_of_its_model_is_told_where_the_model_is(copy):
    experiment = copy.parent  # holds model/ and, as training leaves it, its own config.yaml
    (experiment / "config.yaml").write_text("system: distilmos\n")
    with pytest.raises(ModelError, match=re.escape(f"the model of this experiment is {experiment / 'model'}")):
        load_release(experiment)


def test_a_misspelt_key_is_an_error(copy):
    change_config(copy, lambda values: values["scoring_conf"].update(window_secs=values["scoring_conf"].pop("window_seconds")))
    with pytest.raises(ModelError, match="unknown key 'window_secs', did you mean 'window_seconds'"):
        load_release(copy)


def test_an_interrupted_release_leaves_the_old_one(copy, model):
    before = {path.name: path.read_bytes() for path in copy.iterdir()}
    with pytest.raises(TypeError):  # fails after the weights have been written
        write_release(copy, model, None)
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == before
    assert [path.name for path in copy.parent.iterdir()] == ["model"]


def test_unknown_model_names_are_explained(tmp_path):
    with pytest.raises(ModelError, match="no model 'nowhere' \\(known: mini"):
        models.load("nowhere")
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="is a file; name the directory"):
        models.load(tmp_path / "model.safetensors")
