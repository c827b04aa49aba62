"""s3prl's expert classes: created from a checkpoint, or rebuilt from a plain description.

A *family* is a way to describe an architecture. ``wavlm``, ``hubert``, ``wav2vec2``, ``hf_hubert`` and ``hf_wav2vec2`` can be
rebuilt offline without their checkpoint; every other upstream is of the family ``other`` and is created by its name.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import os
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn

from distilmos_plugin.errors import UpstreamError
from distilmos_plugin.upstreams import huggingface, resolver
from distilmos_plugin.upstreams.frames import Convolution, parse_convolutions
from distilmos_plugin.upstreams.sfi import folder, front_end
from distilmos_plugin.upstreams.surroundings import Uninitialised, explained, first_line, undisturbed

SAMPLE_RATE = 16000  # Hz, of every s3prl upstream

CHECKPOINT_KEYS = {
    "wavlm": ("cfg", "model"),
    "hubert": ("task_cfg", "model_cfg", "model_weight", "dictionaries_symbols"),
    "wav2vec2": ("task_cfg", "model_cfg", "model_weight"),
}
"""What a checkpoint file of a native family holds (``s3prl/upstream/*/expert.py`` and ``convert.py``)."""


def create(name: str, ckpt: str | None) -> tuple[nn.Module, dict[str, Any]]:
    """Create an expert with its weights, float32 on the CPU, and describe it.

    Args:
        name: registered upstream name, or ``tiny``.
        ckpt: checkpoint file, directory, address or Hugging Face id, for names that need one.

    Returns:
        the expert (``list of [samples] -> dict`` with ``hidden_states``) and its architecture: plain values, ``family`` first.

    Raises:
        UpstreamError: if the name is unknown, the checkpoint is missing or unfit, or something that it needs is broken.
    """
    entry = resolver.entry(name)
    if entry.needs == "nothing" and folder.is_sfi(name):
        if ckpt:
            raise UpstreamError(f"upstream '{name}' brings its own weights; remove ckpt")
        return _create_sfi(name)
    if entry.broken:
        raise UpstreamError(f"upstream '{name}' cannot be used here: it {entry.broken}")
    if entry.needs == "checkpoint" and not ckpt:
        raise UpstreamError(f"upstream '{name}' needs a checkpoint: set upstream_conf: ckpt")
    if entry.needs != "checkpoint" and ckpt:
        raise UpstreamError(
            f"upstream '{name}' brings its own weights; remove ckpt, or use a name that ends in _local or _custom"
        )
    family = resolver.FAMILIES.get(entry.package, "other")
    with undisturbed(), explained(name, ckpt):
        hubconf = _import_hubconf(name, entry)
        if family == "other":
            expert = getattr(hubconf, name)(**({"ckpt": ckpt} if ckpt else {}))
            architecture = {"family": "other"}
        elif family.startswith("hf_"):
            expert, description = huggingface.create(hubconf, name, family, str(ckpt))
            architecture = {"family": family, **description}
        else:
            path = resolver.ASSETS / "tiny.pt" if name == resolver.TINY else _locate(hubconf, name, ckpt)
            checkpoint, on_cpu = _read(path, family)
            architecture = _describe(family, checkpoint)
            with Uninitialised():
                expert = hubconf._UpstreamExpert(os.fspath(path) if on_cpu else _serialised(checkpoint))
    return expert.float().eval(), architecture


def rebuild(name: str, architecture: Mapping[str, Any], ckpt: str | None) -> nn.Module:
    """Create an expert without its weights: every parameter is NaN until a ``state_dict`` is loaded.

    An upstream of the family ``other`` is created by name, with its own weights.

    Raises:
        UpstreamError: if the description does not fit.
    """
    family = architecture.get("family")
    if family == "other":
        if ckpt and ckpt.startswith(("http://", "https://")):
            raise UpstreamError(f"upstream '{name}': the checkpoint of a released model is not downloaded from {ckpt}")
        return create(name, ckpt)[0]
    if family not in resolver.FAMILIES.values():
        raise UpstreamError(f"upstream '{name}': the model names an unknown family of upstreams, {family!r}")
    with undisturbed(), explained(name, None), Uninitialised():
        hubconf = _import_hubconf(name, resolver.UpstreamEntry(name, f"s3prl.upstream.{family}.hubconf", "nothing", "exact"))
        if family.startswith("hf_"):
            expert = huggingface.skeleton(hubconf, architecture)
        else:
            expert = hubconf._UpstreamExpert(_serialised(_skeleton_checkpoint(family, architecture)))
        if front_end.KEY in architecture:
            front_end.install(expert.model, architecture[front_end.KEY], SAMPLE_RATE)
    with torch.no_grad():
        for parameter in expert.parameters():
            parameter.fill_(torch.nan)
    return expert.float().eval()


def _create_sfi(name: str) -> tuple[nn.Module, dict[str, Any]]:
    """Create the expert of an SFI upstream's folder."""
    description, weights = folder.read(name)
    expert = rebuild(name, description.architecture, None)
    with explained(name, None):
        expert.load_state_dict(weights, strict=True)
    return expert, dict(description.architecture)


def convolutions(architecture: Mapping[str, Any]) -> list[Convolution] | None:
    """Return the front end's convolutions, or None for the family ``other``."""
    if architecture["family"] == "other":
        return None
    if architecture["family"].startswith("hf_"):
        config = architecture["config"]
        return [(int(k), int(s)) for k, s in zip(config["conv_kernel"], config["conv_stride"], strict=True)]
    return parse_convolutions(architecture["cfg"]["conv_feature_layers"])


def can_be_exact(architecture: Mapping[str, Any]) -> bool:
    """Tell whether nothing but the front end and the mask carries padding into valid frames.

    Conformer layers convolve over time without a mask, stacked positional convolutions (data2vec's) widen into the padding,
    and a batch norm before the positional convolution turns zeroed padding into something else.
    """
    if architecture["family"] == "other":
        return False
    if architecture["family"].startswith("hf_"):
        return not architecture["config"].get("conv_pos_batch_norm", False)
    cfg = architecture["cfg"]
    return (
        cfg.get("layer_type", "transformer") == "transformer"
        and cfg.get("pos_conv_depth", 1) == 1
        and cfg.get("crop_seq_to_multiple", 1) == 1
    )


def digest(architecture: Mapping[str, Any], expert: nn.Module, part: nn.Module | None = None) -> str:
    """Return 16 hexadecimal digits of the SHA-256 over what the upstream computes: its parameters, and how they are used.

    Equal weights have equal digests, whatever name or file format they came by. With a part of the expert only that part's
    parameters count.
    """
    use = {"convolutions": convolutions(architecture), "normalize": normalizes(architecture), "pre_norm": is_pre_norm(expert)}
    use |= {front_end.KEY: architecture[front_end.KEY]} if front_end.KEY in architecture else {}
    sha = hashlib.sha256(json.dumps(use, sort_keys=True).encode())
    for name, value in sorted((part or expert).state_dict().items()):
        sha.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        sha.update(np.ascontiguousarray(value.cpu().numpy()).data)
    return sha.hexdigest()[:16]


def is_pre_norm(expert: nn.Module) -> bool:
    """Tell whether s3prl's last hidden state, and only that one, has passed the encoder's final LayerNorm."""
    encoder = getattr(getattr(expert, "model", None), "encoder", None)
    return bool(getattr(encoder, "layer_norm_first", False))


def normalizes(architecture: Mapping[str, Any]) -> bool | None:
    """Tell whether each waveform is brought to mean 0 and variance 1 first; None for the family ``other``."""
    if architecture["family"] == "wavlm":
        return bool(architecture["cfg"]["normalize"])
    if architecture["family"] in ("hubert", "wav2vec2"):
        return bool(architecture["task_cfg"]["normalize"])
    return bool(architecture["preprocessor"]["do_normalize"]) if "preprocessor" in architecture else None


# --- native families -------------------------------------------------------------------------------------------------


def _import_hubconf(name: str, entry: resolver.UpstreamEntry) -> ModuleType:
    module = entry.module or "s3prl.upstream.wavlm.hubconf"
    try:
        return importlib.import_module(module)
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        try:
            importlib.import_module("torchaudio")
        except (ImportError, OSError, RuntimeError) as cause:
            raise UpstreamError(
                f"upstream '{name}' needs torchaudio, which does not load beside torch {torch.__version__} "
                f"({first_line(cause)}): pip install 'torch==2.11.*' 'torchaudio==2.11.*'"
            ) from error
        raise UpstreamError(f"upstream '{name}' does not import: {module}: {first_line(error)}") from error


def _locate(hubconf: ModuleType, name: str, ckpt: str | None) -> str:
    """Return the checkpoint file that a name stands for, downloading it if it is not in s3prl's cache.

    The address is a constant inside the hubconf function, which would go on to load the file. A copy of the module's functions
    is called, in which the expert class gives back the path.
    """
    scope = dict(vars(hubconf))
    for key, value in vars(hubconf).items():
        if isinstance(value, FunctionType) and value.__module__ == hubconf.__name__:
            scope[key] = FunctionType(value.__code__, scope, key, value.__defaults__)
            scope[key].__kwdefaults__ = value.__kwdefaults__
    scope["_UpstreamExpert"] = lambda ckpt, *_, **__: ckpt
    return os.fspath(scope[name](**({"ckpt": ckpt} if ckpt else {})))


def _read(path: str | Path, family: str) -> tuple[dict[str, Any], bool]:
    """Read a checkpoint file of tensors and plain values only, to the CPU; tell whether it was written from there.

    A zip file's tensors are mapped, not read: this costs milliseconds.
    """
    locations: set[str] = set()

    def to_cpu(storage: torch.UntypedStorage, location: str) -> torch.UntypedStorage:
        locations.add(location)
        return storage

    try:
        checkpoint = torch.load(path, map_location=to_cpu, weights_only=True, mmap=zipfile.is_zipfile(path))
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError) as error:
        raise UpstreamError(
            f"{path}: not a checkpoint that torch.load reads with weights_only=True; convert a fairseq file with "
            f"s3prl's load_and_convert_fairseq_ckpt"
        ) from error
    missing = [key for key in CHECKPOINT_KEYS[family] if not isinstance(checkpoint, dict) or key not in checkpoint]
    if missing:
        raise UpstreamError(f"{path}: not a checkpoint of the {family} family: key '{missing[0]}' is missing")
    return checkpoint, locations <= {"cpu"}


def _describe(family: str, checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Return the architecture of a native checkpoint. What s3prl evaluates as code is parsed first, and so is checked."""
    if family == "wavlm":
        known = vars(_models(family).WavLMConfig())
        architecture = {"family": family, "cfg": {**known, **_only(known, checkpoint["cfg"])}}
    else:
        models = _models(family)
        config_class = models.HubertConfig if family == "hubert" else models.Wav2Vec2Config
        task = {"normalize": False, "sample_rate": 16000}
        architecture = {
            "family": family,
            "cfg": _only(config_class.__dataclass_fields__, checkpoint["model_cfg"]),
            "task_cfg": {**task, **_only(task, checkpoint["task_cfg"])},
        }
        architecture["cfg"].setdefault("conv_feature_layers", config_class.__dataclass_fields__["conv_feature_layers"].default)
    if family == "hubert":
        architecture["dictionaries"] = [item and len(item) for item in checkpoint["dictionaries_symbols"]]
    parse_convolutions(architecture["cfg"]["conv_feature_layers"])
    return architecture


def _models(family: str) -> ModuleType:
    names = {"wavlm": "wavlm.WavLM", "hubert": "hubert.hubert_model", "wav2vec2": "wav2vec2.wav2vec2_model"}
    return importlib.import_module(f"s3prl.upstream.{names[family]}")


def _only(known: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the known keys of a configuration as plain values."""
    return {key: _plain(value) for key, value in values.items() if key in known}


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _serialised(checkpoint: Mapping[str, Any]) -> io.BytesIO:
    """Return a checkpoint as the file that s3prl's expert loads: it takes anything that ``torch.load`` takes."""
    file = io.BytesIO()
    torch.save(dict(checkpoint), file)
    file.seek(0)
    return file


def _skeleton_checkpoint(family: str, architecture: Mapping[str, Any]) -> dict[str, Any]:
    """Return a checkpoint of the architecture whose weights are single numbers, expanded: a few kB for any size."""
    models, cfg = _models(family), dict(architecture["cfg"])
    parse_convolutions(cfg["conv_feature_layers"])
    if family == "wavlm":
        model = models.WavLM(models.WavLMConfig(cfg))
        return {"cfg": cfg, "model": _expanded(model)}
    if family == "wav2vec2":
        model = models.Wav2Vec2Model(models.Wav2Vec2Config(**cfg))
        return {"task_cfg": dict(architecture["task_cfg"]), "model_cfg": cfg, "model_weight": _expanded(model)}
    task, symbols = dict(architecture["task_cfg"]), [size and [""] * size for size in architecture["dictionaries"]]
    model = models.HubertModel(models.HubertConfig(**cfg), models.HubertPretrainingConfig(**task), symbols)
    return {"task_cfg": task, "model_cfg": cfg, "model_weight": _expanded(model), "dictionaries_symbols": symbols}


def _expanded(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: torch.zeros((), dtype=value.dtype).expand(value.shape) for name, value in model.state_dict().items()}
