"""A small upstream with random weights, and clips from half a second to twenty."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from distilmos_plugin.config import UpstreamConfig
from distilmos_plugin.upstreams.upstream import Upstream, load_upstream

RATE = 16000  # Hz
SECONDS = (0.5, 20.0, 3.3, 1.007)


@pytest.fixture(autouse=True, scope="package")
def _one_thread():
    """One thread: on models this small more only wait for each other, badly so beside other work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A WavLM of three layers with random weights, in s3prl's format."""
    from s3prl.upstream.wavlm.WavLM import WavLM, WavLMConfig

    cfg = WavLMConfig(
        {
            "encoder_layers": 3,
            "encoder_embed_dim": 24,
            "encoder_ffn_embed_dim": 32,
            "encoder_attention_heads": 2,
            "conv_feature_layers": "[(8,10,5)] + [(8,3,2)] * 4 + [(8,2,2)] * 2",
            "conv_pos": 8,
            "conv_pos_groups": 2,
            "relative_position_embedding": True,
            "gru_rel_pos": True,
        }
    )
    path = tmp_path_factory.mktemp("upstream") / "wavlm.pt"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        torch.save({"cfg": vars(cfg), "model": WavLM(cfg).state_dict()}, path)
    return str(path)


@pytest.fixture
def upstream(checkpoint: str) -> Upstream:
    """The checkpoint, loaded anew for each test."""
    return load_upstream("wavlm_local", UpstreamConfig(ckpt=checkpoint))


@pytest.fixture(scope="session")
def waveforms() -> list[Tensor]:
    """Tones whose loudness moves, under noise: float32, 16 kHz."""
    generator = np.random.default_rng(0)
    clips = []
    for seconds in SECONDS:
        time = np.arange(int(seconds * RATE)) / RATE
        tone = np.sin(2 * np.pi * generator.uniform(100, 300) * time) * (1 + np.sin(2 * np.pi * 3 * time)) / 4
        clips.append(torch.tensor(tone + 0.05 * generator.standard_normal(len(time)), dtype=torch.float32))
    return clips
