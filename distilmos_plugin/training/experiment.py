"""The experiment directory: what it was made from, whether it is finished, what it has recorded."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import math
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from distilmos_plugin import __version__
from distilmos_plugin.config import Config
from distilmos_plugin.data.directory import DataDirectory
from distilmos_plugin.errors import ConfigError, TrainingError, some
from distilmos_plugin.files import atomic_write, fingerprint, stamp_is_current, write_stamp
from distilmos_plugin.typed_yaml import load_yaml, parse, to_dict

CONFIG, HISTORY, CHECKPOINTS, MODEL = "config.yaml", "history.jsonl", "checkpoints", "model"
SECTION = "experiment"  # of config.yaml: what stands beside the configuration
VERSIONED = ("torch", "lightning", "espnet", "s3prl", "numpy", "soxr", "entmax")
RESUMABLE = ("state-*.pt", "checkpoint*.pth")  # what training goes on from: our loop's, and ESPnet's


def data_fingerprint(directory: DataDirectory) -> str:
    """Return 16 digits that change with clips, labels, systems, ratings or lengths, not with where the audio lies."""
    contents = [directory.keys, directory.targets, directory.systems, directory.ratings, directory.num_samples]
    return fingerprint(contents if directory.domains is None else [*contents, directory.domains])


@dataclass(frozen=True)
class Experiment:
    """An experiment directory.

    Attributes:
        directory: of the experiment.
        config: resolved.
        inputs: what else the model depends on: name -> fingerprint.
    """

    directory: Path
    config: Config
    inputs: Mapping[str, str]

    @property
    def model(self) -> Path:
        """The released model."""
        return self.directory / MODEL

    def finished(self) -> bool:
        """Tell whether training has ended here, from this configuration and these inputs."""
        return (self.model / "model.safetensors").is_file() and stamp_is_current(self.directory, self._origin())

    def finish(self) -> None:
        """Record that training has ended."""
        write_stamp(self.directory, self._origin())

    def _origin(self) -> dict[str, Any]:
        return {"config": to_dict(self.config), "inputs": dict(self.inputs)}

    def check(self) -> None:
        """Refuse a directory that was begun with something else, unless there is nothing yet to go on from.

        Raises:
            TrainingError: naming the keys that differ, with both values.
        """
        path = self.directory / CONFIG
        begun = self.model.exists() or any(any((self.directory / CHECKPOINTS).glob(name)) for name in RESUMABLE)
        if not path.is_file() or not begun:
            return
        try:
            values = load_yaml(path)
            section = values.pop(SECTION)
            found = to_dict(parse(Config, values, str(path))) | {"inputs": section["inputs"]}
        except (ConfigError, AttributeError, KeyError, TypeError) as error:
            raise TrainingError(
                f"{path}: not the configuration of an experiment ({error}); choose another directory"
            ) from None
        wanted = to_dict(self.config) | {"inputs": dict(self.inputs)}
        differences = [f"{key}: {old!r} there, {new!r} now" for key, old, new in _differences(found, wanted)]
        if differences:
            raise TrainingError(
                f"{self.directory} was begun with another configuration or other data: {some(differences)}; "
                "choose another directory (--tag), or remove this one"
            )

    def write_config(self) -> None:
        """Write the resolved configuration, with the versions and inputs that it ran with."""
        versions = {"python": platform.python_version()}
        for name in VERSIONED:
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # only one of the trainers need be there
                versions[name] = importlib.metadata.version(name)
        section = {"version": __version__, "versions": versions, "inputs": dict(self.inputs)}
        with atomic_write(self.directory / CONFIG) as file:
            yaml.safe_dump(to_dict(self.config) | {SECTION: section}, file, sort_keys=False, allow_unicode=True)

    def write_history(self, history: list[dict[str, Any]]) -> None:
        """Write one JSON line an epoch; what is not a finite number becomes null."""
        with atomic_write(self.directory / HISTORY) as file:
            for entry in history:
                file.write(json.dumps(_finite(entry), ensure_ascii=False) + "\n")

    def read_history(self) -> list[dict[str, Any]]:
        """Return what :meth:`write_history` wrote; nothing if it was never called."""
        path = self.directory / HISTORY
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


def _differences(old: Any, new: Any, key: str = "") -> list[tuple[str, Any, Any]]:
    """Return ``(dotted key, old, new)`` wherever two nested mappings differ."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        names = [*old, *(name for name in new if name not in old)]
        return [d for name in names for d in _differences(old.get(name), new.get(name), f"{key}.{name}" if key else str(name))]
    return [] if old == new else [(key, old, new)]


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
