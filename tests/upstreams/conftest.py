"""Upstreams of every family, from checkpoints written once."""

from __future__ import annotations

import pytest

from distilmos_plugin.config import UpstreamConfig
from distilmos_plugin.upstreams.upstream import Upstream, load_upstream

from .material import KINDS, write_checkpoint


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory):
    """kind -> checkpoint path, written once."""
    folder, written = tmp_path_factory.mktemp("checkpoints"), {}

    def get(kind: str) -> str:
        if kind not in written:
            written[kind] = write_checkpoint(kind, folder)
        return str(written[kind])

    return get


@pytest.fixture(scope="session")
def load(checkpoint):
    """(kind, options) -> upstream in evaluation mode; kind is one of ``KINDS`` or a name that needs no checkpoint."""

    def get(kind: str, **options) -> Upstream:
        ckpt = checkpoint(kind) if kind in KINDS else None
        return load_upstream(KINDS.get(kind, kind), UpstreamConfig(ckpt=ckpt, **options)).eval()

    return get
