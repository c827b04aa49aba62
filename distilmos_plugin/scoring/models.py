"""From a model's name to a predictor."""

from __future__ import annotations

import functools
import os
from pathlib import Path

from distilmos_plugin.errors import ModelError, suggest
from distilmos_plugin.scoring.predictor import Predictor
from distilmos_plugin.scoring.release import load_release

BUNDLED = Path(__file__).parent / "assets"  # one release directory a model


def bundled() -> list[str]:
    """Return the names of the models that come with the package."""
    return sorted(path.name for path in BUNDLED.iterdir() if path.is_dir()) if BUNDLED.is_dir() else []


def locate(name: str | os.PathLike) -> Path:
    """Return the release directory that a model name means.

    Args:
        name: a bundled name, or a directory; a folder that has a bundled model's name is reached as ``./name``.

    Raises:
        ModelError: if there is no such model.
    """
    if name in bundled():
        return BUNDLED / name
    path = Path(name)
    if path.is_dir():
        return path
    if path.exists():
        raise ModelError(f"model '{name}' is a file; name the directory that holds config.yaml and model.safetensors")
    known = ", ".join(bundled()) or "none"
    raise ModelError(
        f"no model '{name}'{suggest(str(name), bundled())}: neither a bundled model ({known}) nor a "
        "directory, such as exp/<experiment>/model"
    )


def load(name: str | os.PathLike, device: str = "auto", precision: str = "fp32") -> Predictor:
    """Load a model by its name; see :func:`distilmos_plugin.load`."""
    model, config, release = load_release(locate(name))
    return Predictor(model, config, release.name, release.digest, device, precision, release.about)


@functools.lru_cache(maxsize=2)
def cached(name: str) -> Predictor:
    """Load a model once in a process."""
    return load(name)
