"""s3prl's Hugging Face experts: ``hf_wav2vec2_custom`` and ``hf_hubert_custom``."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from distilmos_plugin.errors import UpstreamError

CONFIG, PREPROCESSOR = "config.json", "preprocessor_config.json"

VOLATILE = ("_name_or_path", "transformers_version", "dtype", "torch_dtype", "architectures")
"""Keys of a configuration that say where and with what it was written, not what the model is."""

PREPROCESSING = ("feature_size", "sampling_rate", "padding_value", "do_normalize", "return_attention_mask")
"""Settings of the feature extractor that act on a waveform."""


def create(hubconf: ModuleType, name: str, ckpt: str) -> tuple[nn.Module, dict[str, Any]]:
    """Create s3prl's expert from a folder or a Hugging Face id, and describe it."""
    folder = _folder(name, ckpt)
    with _without_progress_bar():
        expert = getattr(hubconf, name)(str(folder))
    config = json.loads(expert.model.config.to_json_string(use_diff=False))
    return expert, {
        "config": {key: value for key, value in config.items() if key not in VOLATILE},
        "preprocessor": {key: getattr(expert.extracter, key) for key in PREPROCESSING},
    }


def skeleton(hubconf: ModuleType, architecture: Mapping[str, Any]) -> nn.Module:
    """Return s3prl's expert around a model without weights; its constructor only knows folders with weights."""
    import transformers

    kind = transformers.HubertModel if architecture["family"] == "hf_hubert" else transformers.Wav2Vec2Model
    expert = hubconf._UpstreamExpert.__new__(hubconf._UpstreamExpert)
    nn.Module.__init__(expert)
    expert.extracter = transformers.Wav2Vec2FeatureExtractor(**architecture["preprocessor"])
    expert.model = kind(kind.config_class(**architecture["config"]))
    return expert


def _folder(name: str, ckpt: str) -> Path:
    """Return the local folder of a model, downloaded first if ``ckpt`` is an id such as ``facebook/wav2vec2-base``.

    Without ``preprocessor_config.json`` s3prl's expert would silently take another model's, from the network.
    """
    folder = Path(ckpt)
    if not folder.is_dir():
        if folder.is_absolute() or ckpt.startswith(".") or ckpt.count("/") != 1:
            raise UpstreamError(f"upstream '{name}': no such folder, and not a Hugging Face id: {ckpt}")
        folder = _downloaded(ckpt)
    for file, writer in ((CONFIG, "the model"), (PREPROCESSOR, "its Wav2Vec2FeatureExtractor")):
        if not (folder / file).is_file():
            raise UpstreamError(f"upstream '{name}': {folder} has no {file}; it is written by save_pretrained of {writer}")
    return folder


def _downloaded(repository: str) -> Path:
    from huggingface_hub import snapshot_download

    folder = Path(snapshot_download(repository, allow_patterns=["*.json", "*.safetensors"]))
    if any(folder.glob("*.safetensors")):
        return folder
    return Path(snapshot_download(repository, allow_patterns=["*.json", "pytorch_model*.bin"]))


@contextlib.contextmanager
def _without_progress_bar() -> Iterator[None]:
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
