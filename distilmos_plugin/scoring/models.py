"""From a model's name to a predictor."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path

from distilmos_plugin.errors import ModelError, suggest
from distilmos_plugin.progress import say
from distilmos_plugin.scoring import hub
from distilmos_plugin.scoring.ensemble import Ensemble
from distilmos_plugin.scoring.ensemble_release import assemble, is_ensemble, read_description
from distilmos_plugin.scoring.official import is_official, load_official
from distilmos_plugin.scoring.predictor import Predictor
from distilmos_plugin.scoring.public import is_public, load_public
from distilmos_plugin.scoring.release import load_release

BUNDLED = Path(__file__).parent / "assets"  # one release directory a model

_announced: set[str] = set()


@dataclass(frozen=True)
class Place:
    """Where a model is.

    Attributes:
        directory: that holds it.
        name: of a model that does not carry its own.
        source: where the directory came from, in words; empty for a local one.
    """

    directory: Path
    name: str | None = None
    source: str = ""


def bundled() -> list[str]:
    """Return the names of the models that come with the package."""
    return sorted(path.name for path in BUNDLED.iterdir() if path.is_dir()) if BUNDLED.is_dir() else []


def locate(name: str | os.PathLike) -> Place:
    """Return where the model of a name is, after fetching it if need be.

    Args:
        name: a bundled name; ``official:wavlm`` or ``official:w2v2``; ``hf:owner/repository[/folder][@revision]``; or a
            directory, of a release or in the layout of the authors' checkpoints. A folder that has a name of another kind is
            reached as ``./name``.

    Raises:
        ModelError: if there is no such model.
    """
    if name in bundled():
        return Place(BUNDLED / name)
    wanted = hub.reference(name) if isinstance(name, str) else None
    if wanted is not None:
        snapshot = hub.fetch(wanted)
        return Place(snapshot.directory, wanted.name.partition("@")[0], snapshot.source)
    path = Path(name)
    if path.is_dir():
        return Place(path)
    if path.exists():
        raise ModelError(f"model '{name}' is a file; name the directory that holds config.yaml and model.safetensors")
    known = ", ".join(bundled()) or "none"
    raise ModelError(
        f"no model '{name}'{suggest(str(name), bundled())} (known: {known}, which is bundled; a directory, such as "
        "exp/<experiment>/model; hf:owner/repository; official:wavlm; official:w2v2; public:dnsmos)"
    )


def load(name: str | os.PathLike, device: str = "auto", precision: str = "fp32") -> Predictor | Ensemble:
    """Load a model by its name; see :func:`distilmos_plugin.load`."""
    if is_public(name):
        return load_public(name, device, precision)
    place = locate(name)
    if is_ensemble(place.directory):
        identity, folders = read_description(place.directory)
        return assemble(identity, [load(folder, device, precision) for folder in folders], place.directory, place.source)
    if is_official(place.directory):
        model, config, release = load_official(place.directory, place.name)
    else:
        model, config, release = load_release(place.directory)
    return Predictor(model, config, release.name, release.digest, device, precision, release.about, place.source)


@functools.lru_cache(maxsize=2)
def cached(name: str) -> Predictor | Ensemble:
    """Load a model once in a process."""
    return load(name)


def announce(predictor: Predictor | Ensemble) -> None:
    """Say what a model is and where it came from; once in a process for each model."""
    label = f"{predictor.name}@{predictor.digest}"
    if label in _announced:
        return
    _announced.add(label)
    say(f"model {label}" + (f": {predictor.about}" if predictor.about else ""))
    if predictor.source:
        say(f"model {label} is {predictor.source}")
