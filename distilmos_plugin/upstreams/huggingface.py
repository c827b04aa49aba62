"""s3prl's Hugging Face experts: ``hf_wav2vec2_custom`` and ``hf_hubert_custom``."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from distilmos_plugin.errors import UpstreamError, some

CONFIG, PREPROCESSOR = "config.json", "preprocessor_config.json"

VOLATILE = ("_name_or_path", "transformers_version", "dtype", "torch_dtype", "architectures")
"""Keys of a configuration that say where and with what it was written, not what the model is."""

UNUSED = ("masked_spec_embed", "adapter")
"""Parts of a model that act in pre-training, or behind the last hidden state."""

PREPROCESSING = ("feature_size", "sampling_rate", "padding_value", "do_normalize", "return_attention_mask")
"""Settings of the feature extractor that act on a waveform."""


def create(hubconf: ModuleType, name: str, family: str, ckpt: str) -> tuple[nn.Module, dict[str, Any]]:
    """Create s3prl's expert from a folder or a Hugging Face id, and describe it.

    Raises:
        UpstreamError: if something is missing in the folder, a weight included; transformers would make one up.
    """
    from transformers import Wav2Vec2FeatureExtractor

    folder = _folder(name, ckpt)
    with _quiet():
        model, info = _model_class(family).from_pretrained(folder, output_loading_info=True)
    missing = sorted(key for key in info["missing_keys"] if not key.startswith(UNUSED))
    if missing:
        raise UpstreamError(f"upstream '{name}': {folder} lacks weights of a {type(model).__name__}: {some(missing, 3)}")
    expert = _expert(hubconf, Wav2Vec2FeatureExtractor.from_pretrained(folder), model)
    config = json.loads(model.config.to_json_string(use_diff=False))
    return expert, {
        "config": {key: value for key, value in config.items() if key not in VOLATILE},
        "preprocessor": {key: getattr(expert.extracter, key) for key in PREPROCESSING},
    }


def skeleton(hubconf: ModuleType, architecture: Mapping[str, Any]) -> nn.Module:
    """Return s3prl's expert around a model without weights."""
    from transformers import Wav2Vec2FeatureExtractor

    kind = _model_class(architecture["family"])
    model = kind(kind.config_class(**architecture["config"]))
    return _expert(hubconf, Wav2Vec2FeatureExtractor(**architecture["preprocessor"]), model)


def _model_class(family: str) -> type:
    import transformers

    return transformers.HubertModel if family == "hf_hubert" else transformers.Wav2Vec2Model


def _expert(hubconf: ModuleType, extracter: Any, model: nn.Module) -> nn.Module:
    """Return s3prl's expert of these parts. Its constructor loads both again, and takes others where one is missing."""
    expert = hubconf._UpstreamExpert.__new__(hubconf._UpstreamExpert)
    nn.Module.__init__(expert)
    expert.extracter, expert.model = extracter, model
    return expert


def _folder(name: str, ckpt: str) -> Path:
    """Return the local folder of a model, downloaded first if ``ckpt`` is an id such as ``facebook/wav2vec2-base``.

    ``preprocessor_config.json`` says whether waveforms are normalised; there is no default that is right for all.
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
def _quiet() -> Iterator[None]:
    """Keep transformers from drawing bars and listing the parts of a checkpoint that only pre-training used."""
    from transformers.utils import logging

    shown, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if shown:
            logging.enable_progress_bar()
