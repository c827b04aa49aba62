"""What the authors' settings and tensors are in this package, without any file."""

import pytest

from distilmos_plugin.errors import ConfigError
from distilmos_plugin.models.official import describe

from .official_layout import Size, layout, random_state

BACKBONES = ("wavlm", "w2v2")


def tensors(backbone):
    return random_state(layout(backbone, Size()))


def test_the_layout_has_as_many_tensors_as_the_published_one():
    assert len(layout("wavlm", Size())) == 122 + 248
    assert len(layout("w2v2", Size())) == 122 + 211


def test_an_empty_file_of_settings_means_the_authors_defaults():
    found = describe({}, tensors("wavlm"))
    assert found.config.model_conf == {"hidden_dim": 256, "kernels": [5, 3, 3], "strides": [1, 1, 1]}
    cfg = found.architecture["cfg"]
    assert (cfg["encoder_layers"], cfg["encoder_embed_dim"], cfg["num_buckets"], cfg["max_distance"]) == (12, 768, 320, 800)
    assert cfg["gru_rel_pos"]
    assert cfg["relative_position_embedding"]
    assert (found.token_layers, found.clusters) == (tuple(range(1, 13)), 200)


def test_the_tensors_tell_the_backbone_whatever_the_settings_say():
    for backbone in BACKBONES:
        for said in ({}, {"ssl_backbone": "WavLM"}, {"ssl_backbone": "w2v2"}):
            assert describe(said, tensors(backbone)).backbone == backbone


def test_without_telling_tensors_the_settings_tell_the_backbone():
    assert describe({"ssl_backbone": "W2V2"}, {}).backbone == "w2v2"
    with pytest.raises(ConfigError, match="ssl_backbone: 'hubert' is not one of wavlm, w2v2"):
        describe({"ssl_backbone": "hubert"}, {})


def test_waveforms_are_not_normalised_whatever_the_encoders_configuration_says():
    assert describe({"wavlm_cfg": {"normalize": True}}, tensors("wavlm")).architecture["cfg"]["normalize"] is False
    assert describe({}, tensors("w2v2")).architecture["preprocessor"]["do_normalize"] is False


def test_settings_that_shape_nothing_are_passed_over():
    found = describe({"lr": 1e-4, "wavlm_path": "/home/author/WavLM-Base+.pt", "wavlm_cfg": None}, tensors("wavlm"))
    assert found == describe({}, tensors("wavlm"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"downsample_strides": "2"}, "downsample_strides: expected a list, found '2'"),
        ({"hidden_dim": "256"}, "hidden_dim: expected a whole number, found '256'"),
        ({"hidden_dim": 0}, "hidden_dim: expected 1 or more, found 0"),
        ({"wavlm_cfg": "WavLM-Base.pt"}, "wavlm_cfg: expected a mapping"),
        ({"wavlm_cfg": {"encoder_layers": "12"}}, "wavlm_cfg: encoder_layers: expected a whole number"),
        ({"wavlm_cfg": {"encoder_attention_heads": 0}}, "a width of 768 cannot be split over 0 attention heads"),
        ({"wavlm_cfg": {"layer_norm_first": True}}, "layer_norm_first: true is not supported"),
        (["wavlm"], "expected a mapping of keys to values, found list"),
    ],
)
def test_a_wrong_setting_is_named(settings, message):
    with pytest.raises(ConfigError, match=message):
        describe(settings, tensors("wavlm"))
