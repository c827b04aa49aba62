"""Reading the authors' DistilMOS checkpoints: a folder with ``model.pth.tar`` and ``model_cfg.yaml``."""

from __future__ import annotations

import hashlib
import os
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from distilmos_plugin import __version__
from distilmos_plugin.config import Config
from distilmos_plugin.errors import ConfigError, ModelError, UpstreamError
from distilmos_plugin.files import file_digest
from distilmos_plugin.models import MOSModel, build_model
from distilmos_plugin.models.official import Description, describe, load_state
from distilmos_plugin.scoring import release
from distilmos_plugin.typed_yaml import load_yaml
from distilmos_plugin.upstreams.surroundings import first_line
from distilmos_plugin.upstreams.upstream import rebuild_upstream

WEIGHTS, SETTINGS = "model.pth.tar", "model_cfg.yaml"


def is_official(directory: Path) -> bool:
    """Tell whether a folder has the official layout, whole or not, and is no release."""
    names = {path.name for path in directory.iterdir()}
    return not names.isdisjoint((WEIGHTS, SETTINGS)) and names.isdisjoint((release.CONFIG, release.WEIGHTS))


def load_official(directory: str | os.PathLike, name: str | None = None) -> tuple[MOSModel, Config, release.Release]:
    """Read a checkpoint in the layout of the authors' DistilMOS; either backbone.

    Args:
        directory: with ``model.pth.tar`` and ``model_cfg.yaml``.
        name: for signatures; None takes the folder's.

    Returns:
        As :func:`~.release.load_release`. The digest is over both files: strides stand in the settings alone.

    Raises:
        ModelError: naming file and key, if anything is missing, damaged, unexpected or of another shape.
    """
    directory = Path(os.path.abspath(directory))
    for file in (WEIGHTS, SETTINGS):
        if not (directory / file).is_file():
            raise ModelError(f"{directory}: no {file}; an official DistilMOS checkpoint has {WEIGHTS} and {SETTINGS}")
    tensors = _read_tensors(directory / WEIGHTS)
    settings = directory / SETTINGS
    try:
        values = load_yaml(settings)
        description = describe({} if values is None else values, tensors, str(settings))
    except ConfigError as error:
        raise ModelError(str(error)) from None
    try:
        model = _build(description)
    except (ConfigError, UpstreamError) as error:
        raise ModelError(f"{settings}: {error}") from None
    try:
        load_state(model, tensors)
    except ModelError as error:
        raise ModelError(f"{directory / WEIGHTS}: {error} (shapes follow from {SETTINGS})") from None
    digests = f"{file_digest(directory / WEIGHTS)} {file_digest(settings)}"
    found = release.Release(
        name=name or directory.name,
        about=_about(description),
        version=__version__,
        sha256=hashlib.sha256(digests.encode()).hexdigest(),
        upstream_digest="",
        architecture=description.architecture,
    )
    return model.eval().requires_grad_(False), description.config, found


def _build(description: Description) -> MOSModel:
    upstream = rebuild_upstream(description.config.upstream, description.architecture, description.config.upstream_conf)
    return build_model(description.config, upstream, token_layers=description.token_layers, clusters=description.clusters)


def _about(description: Description) -> str:
    strides = " ".join(map(str, description.config.model_conf["strides"]))
    return (
        f"DistilMOS (arXiv 2601.13700) on {description.backbone}, strides {strides}, for synthetic speech; the file states "
        "neither training data nor licence."
    )


def _read_tensors(path: Path) -> Mapping[str, Tensor]:
    """Return the state dict of a checkpoint, as the authors look for it: under ``model``, ``state_dict``, or flat."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path}: not a file of tensors and plain values, or damaged ({first_line(error)}); code in it is not run. If you "
            "trust it, read it with torch.load(..., weights_only=False) and save its state dict anew with torch.save"
        ) from None
    except (RuntimeError, EOFError, KeyError, ValueError, OSError) as error:
        raise ModelError(f"{path}: damaged or incomplete ({first_line(error)}); fetch it again") from None
    if isinstance(content, dict):
        for tensors in (content.get("model"), content.get("state_dict"), content):
            if isinstance(tensors, dict) and tensors and all(map(_is_named_tensor, tensors.items())):
                return tensors
    raise ModelError(f"{path}: no state dict under 'model' or 'state_dict', and not one itself")


def _is_named_tensor(item: tuple[object, object]) -> bool:
    name, value = item
    return isinstance(name, str) and isinstance(value, Tensor)
