"""A real, small upstream and system with random weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from distilmos_plugin.config import Config
from distilmos_plugin.models import MOSModel
from distilmos_plugin.scoring.predictor import Predictor
from distilmos_plugin.scoring.release import write_release
from distilmos_plugin.typed_yaml import parse

from .material import make_model


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """DistilMOS on a WavLM of 2 layers and width 48; the group norm of "base" models, which makes batching hard."""
    from s3prl.upstream.wavlm.WavLM import WavLM, WavLMConfig

    sizes = {"encoder_layers": 2, "encoder_embed_dim": 48, "encoder_ffn_embed_dim": 96, "encoder_attention_heads": 4}
    sizes |= {"conv_feature_layers": "[(32,10,5)] + [(32,3,2)] * 4 + [(32,2,2)] * 2", "conv_pos": 16, "conv_pos_groups": 4}
    sizes |= {"relative_position_embedding": True, "num_buckets": 32, "max_distance": 80, "gru_rel_pos": True}
    cfg = vars(WavLMConfig()) | sizes
    with torch.random.fork_rng():
        torch.manual_seed(0)
        upstream = WavLM(WavLMConfig(cfg))
    path = tmp_path_factory.mktemp("upstream") / "small.pt"
    torch.save({"cfg": cfg, "model": upstream.state_dict()}, path)
    values = {
        "system": "distilmos",
        "upstream": "wavlm_local",
        "upstream_conf": {"ckpt": str(path)},
        "model_conf": {"hidden_dim": 32, "label_range": [1, 5]},
        "scoring_conf": {"batch_seconds": 25.0, "window_seconds": 30.0, "hop_seconds": 15.0},
    }
    return parse(Config, values, "test")


@pytest.fixture(scope="session")
def model(config: Config) -> MOSModel:
    return make_model(config)


@pytest.fixture(scope="session")
def predictor(model: MOSModel, config: Config) -> Predictor:
    return Predictor(model, config, "small", "0" * 12)


@pytest.fixture(scope="session")
def release(model: MOSModel, config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("exp") / "small_distilmos" / "model"
    write_release(directory, model, config, about="Random weights, for tests.", card={"Data": "none"})
    return directory
