"""Released models: a folder with ``config.yaml``, ``model.safetensors`` and a model card, ``README.md``.

The folder is all that scoring needs: the upstream's structure is in the configuration and its weights are among the model's.
No code from it is ever run: YAML is read by ``safe_load``, weights by safetensors.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from distilmos_plugin import __version__
from distilmos_plugin.config import Config
from distilmos_plugin.errors import ConfigError, ModelError
from distilmos_plugin.files import atomic_directory, file_digest
from distilmos_plugin.models import MOSModel, build_model
from distilmos_plugin.models.weights import copy_weights
from distilmos_plugin.typed_yaml import load_yaml, parse, to_dict
from distilmos_plugin.upstreams.upstream import rebuild_upstream

CONFIG, WEIGHTS, CARD = "config.yaml", "model.safetensors", "README.md"
DIGEST_DIGITS = 12
VERSIONED = ("torch", "s3prl", "numpy", "soxr", "soundfile", "entmax", "safetensors")


@dataclass(frozen=True)
class Release:
    """The ``release`` section of a released ``config.yaml``: what the model is, beyond its configuration.

    Attributes:
        name: of the model, as it stands in signatures.
        about: one line: trained on what, meant for what, under which licence.
        version: of this package that wrote it.
        sha256: of the weights file.
        upstream_digest: of the upstream that training started from.
        architecture: of the upstream, enough to rebuild it without its checkpoint.
        num_listeners: that the model knows, with listener conditioning.
        domains: corpora that the model knows, in the order of their numbers, with domain conditioning.
        versions: of Python and the libraries that wrote it.
    """

    name: str
    about: str
    version: str
    sha256: str
    upstream_digest: str
    architecture: Mapping[str, Any]
    num_listeners: int = 0
    domains: tuple[str, ...] = ()
    versions: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """First digits of the weights file's SHA-256, as they stand in signatures."""
        return self.sha256[:DIGEST_DIGITS]


def write_release(
    directory: str | os.PathLike,
    model: MOSModel,
    config: Config,
    *,
    name: str | None = None,
    about: str = "",
    num_listeners: int = 0,
    domains: tuple[str, ...] = (),
    card: Mapping[str, Any] | None = None,
) -> Release:
    """Write a model as a release directory, whole or not at all; an existing one is replaced.

    What only training uses, such as token heads, is left out.

    Args:
        directory: to write.
        model: on any device, in any mode; it is not changed.
        config: the experiment's.
        name: a short name for signatures; None takes the experiment's: the name of ``directory``, or of its parent if the
            directory is called ``model``.
        about: one line for users of the model: trained on what, meant for what, under which licence.
        num_listeners: what :func:`~distilmos_plugin.models.build_model` was given.
        domains: corpora with domain conditioning; their number is what it was given.
        card: sections of the model card, title -> text or mapping: training data, licence, intended use, measured figures ...
    """
    directory = Path(os.path.abspath(directory))
    name = name or (directory.parent.name if directory.name == "model" else directory.name)
    with atomic_directory(directory) as folder:
        # Clones: safetensors refuses tensors that share memory, and a model may tie weights.
        tensors = {key: value.detach().cpu().contiguous().clone() for key, value in model.scoring_state().items()}
        save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
        release = Release(
            name=name,
            about=" ".join(about.split()),
            version=__version__,
            sha256=file_digest(folder / WEIGHTS),
            upstream_digest=model.upstream.digest,
            architecture=model.upstream.architecture,
            num_listeners=num_listeners,
            domains=domains,
            versions={"python": platform.python_version()}
            | {package: importlib.metadata.version(package) for package in VERSIONED},
        )
        values = to_dict(config) | {"release": to_dict(release)}
        (folder / CONFIG).write_text(
            yaml.safe_dump(values, sort_keys=False, allow_unicode=True), encoding="utf-8", newline="\n"
        )
        shutil.copymode(folder / CONFIG, folder / WEIGHTS)  # safetensors makes a file that only its owner can read
        (folder / CARD).write_text(_card(release, config, model, card or {}), encoding="utf-8", newline="\n")
    return release


def _card(release: Release, config: Config, model: MOSModel, sections: Mapping[str, Any]) -> str:
    millions = sum(value.numel() for value in model.scoring_state().values()) / 1e6
    lines = [
        f"# {release.name}",
        "",
        *([release.about, ""] if release.about else []),
        f"Predicts {', '.join(config.targets)} of speech without a reference. System `{config.system}` on the upstream "
        f"`{config.upstream}`, {millions:.1f} M parameters, written by distilmos-plugin {release.version}.",
        "",
        "```python",
        "import distilmos_plugin as dm",
        'dm.load("path/to/this/folder").score("a.wav")' + (".mos" if "mos" in config.targets else ".targets"),
        "```",
    ]
    for title, content in sections.items():
        lines += ["", f"## {title}", ""]
        if isinstance(content, Mapping):
            lines += ["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in content.items())]
        else:
            lines.append(str(content).rstrip())
    return "\n".join(lines) + "\n"


def load_release(directory: str | os.PathLike) -> tuple[MOSModel, Config, Release]:
    """Read a release directory.

    Returns:
        The model on the CPU, in evaluation mode, its parameters without gradients; its configuration; what it is.

    Raises:
        ModelError: naming file and key, if anything is missing, damaged, unexpected or of another shape.
    """
    directory = Path(directory)
    config, release = _read_config(directory)
    path = directory / WEIGHTS
    if not path.is_file():
        raise ModelError(f"{directory}: no {WEIGHTS}; a released model has {CONFIG} and {WEIGHTS}")
    found = file_digest(path)
    if found != release.sha256:
        raise ModelError(
            f"{path}: sha256 {found[:DIGEST_DIGITS]}..., but {CONFIG} was written with {release.digest}...: "
            "the file is damaged, or the two are of different models"
        )
    upstream = rebuild_upstream(config.upstream, dict(release.architecture), config.upstream_conf)
    model = build_model(config, upstream, num_listeners=release.num_listeners, num_domains=len(release.domains))
    _load_weights(model, path)
    return model.eval().requires_grad_(False), config, release


def _read_config(directory: Path) -> tuple[Config, Release]:
    path = directory / CONFIG
    if not path.is_file():
        raise ModelError(f"{directory}: no {CONFIG}; a released model has {CONFIG} and {WEIGHTS}")
    try:
        values = load_yaml(path)
        if not isinstance(values, dict) or "release" not in values:
            released = directory / "model"
            hint = f"; the model of this experiment is {released}" if (released / CONFIG).is_file() else ""
            raise ModelError(f"{path}: no section 'release': a configuration, not a released model's{hint}")
        section = values.pop("release")
        return parse(Config, values, str(path)), parse(Release, section, f"{path}: release")
    except ConfigError as error:
        raise ModelError(str(error)) from None


def _load_weights(model: MOSModel, path: Path) -> None:
    """Load all weights, strictly: every name and shape must be the model's."""
    try:
        with safe_open(path, framework="pt") as file:
            copy_weights(model.state_dict(), file.keys(), file.get_tensor)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: not readable as safetensors: {error}") from None
