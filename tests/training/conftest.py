"""A corpus and an upstream that train in a second."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from distilmos_plugin.config import Config
from distilmos_plugin.typed_yaml import parse

from .material import write_corpus, write_upstream


@pytest.fixture(autouse=True, scope="package")
def _one_thread():
    """One thread: on models so small more only wait for each other, and the last bits follow their number."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``train`` with 16 clips and ``dev`` with 8."""
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder / "train", clips=16)
    write_corpus(folder / "dev", clips=8, seed=1)
    return folder


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The upstream's checkpoint."""
    return str(write_upstream(tmp_path_factory.mktemp("upstream") / "wavlm.pt"))


@pytest.fixture(scope="session")
def config(checkpoint: str) -> Config:
    """Three epochs of four steps; the upstream is trained and has dropout."""
    return parse(
        Config,
        {
            "system": "ssl_mos",
            "upstream": "wavlm_local",
            "upstream_conf": {"ckpt": checkpoint},
            "model_conf": {"label_range": [1, 5]},
            "batch_size": 4,
            "max_epoch": 3,
            "keep_nbest_models": 2,
            "num_workers": 0,
        },
        "test",
    )
