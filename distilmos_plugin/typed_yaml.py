"""YAML to typed, frozen objects, and back.

An unknown or misspelt key, a wrong type or an unknown choice is a :class:`ConfigError` that names the file, the key and the
nearest known key.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from distilmos_plugin.errors import ConfigError, suggest

Parsed = TypeVar("Parsed")

IN_WORDS = {
    float: "a number",
    int: "a whole number",
    bool: "true or false",
    str: "text",
    Mapping: "a mapping of keys to values",
}


def load_yaml(path: str | Path) -> Any:
    """Read YAML with ``safe_load``; a missing or broken file is a :class:`ConfigError` that names it."""
    try:
        with open(path, encoding="utf-8") as file:
            return yaml.safe_load(file)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from None


def to_dict(config: Any) -> dict[str, Any]:
    """Return a configuration object as plain dictionaries, lists and scalars: what YAML and JSON can hold."""

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: plain(item) for key, item in value.items()}
        return [plain(item) for item in value] if isinstance(value, list | tuple) else value

    return plain(dataclasses.asdict(config))


def parse(cls: type[Parsed], mapping: Any, where: str) -> Parsed:
    """Build the frozen dataclass ``cls`` from a mapping, checking every key and type.

    Args:
        cls: dataclass whose fields name the allowed keys, with their types and defaults.
        mapping: what YAML gave; None counts as empty.
        where: file (and section) that error messages name.

    Raises:
        ConfigError: naming ``where`` and the key.
    """
    if mapping is None:
        mapping = {}
    if not isinstance(mapping, Mapping):
        raise ConfigError(f"{where}: expected a mapping of keys to values, found {mapping!r:.60}")
    hints = typing.get_type_hints(cls)
    fields = {item.name: item for item in dataclasses.fields(cls)}
    values = {}
    for key, value in mapping.items():
        if key not in fields:
            raise ConfigError(f"{where}: unknown key '{key}'{suggest(str(key), fields)} (known: {', '.join(fields)})")
        values[key] = _convert(hints[key], value, f"{where}: {key}")
    required = dataclasses.MISSING
    missing = [
        name
        for name, item in fields.items()
        if name not in values and item.default is required and item.default_factory is required
    ]
    if missing:
        raise ConfigError(f"{where}: missing key '{missing[0]}'")
    return cls(**values)


def _convert(hint: Any, value: Any, where: str) -> Any:
    """Return ``value`` as the type ``hint`` (a field's annotation), or raise a ConfigError naming ``where``."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        return _convert(next(item for item in arguments if item is not type(None)), value, where)
    if origin is Literal:
        if value not in arguments:
            raise ConfigError(
                f"{where}: '{value}' is not one of {', '.join(map(str, arguments))}{suggest(str(value), arguments)}"
            )
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{where}: expected a list, found {value!r}")
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else arguments
        if len(kinds) != len(value):
            raise ConfigError(f"{where}: expected {len(kinds)} values, found {len(value)}")
        return tuple(_convert(kind, item, f"{where}[{i}]") for i, (kind, item) in enumerate(zip(kinds, value, strict=True)))
    if dataclasses.is_dataclass(hint):
        return value if isinstance(value, hint) else parse(hint, value, where)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is float and isinstance(value, str):  # YAML 1.1 reads 1e-4 as text
        try:
            return float(value)
        except ValueError:
            pass
    expected = Mapping if origin is not None and issubclass(origin, Mapping) else hint
    if not isinstance(value, expected) or (isinstance(value, bool) and hint is not bool):
        raise ConfigError(f"{where}: expected {IN_WORDS.get(expected, expected)}, found {value!r}")
    if expected is Mapping and arguments[1] is not Any:
        return {key: _convert(arguments[1], item, f"{where}: {key}") for key, item in value.items()}
    return value
