"""Errors that a user can act on.

Every error of this package that is the user's to mend derives from :class:`DistilmosError`. The command line prints its
message as one line and exits with status 2, so a message names the file, the key, what was found, what was expected and
what to do. Anything else that is raised is a fault of this package and keeps its traceback.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType


class DistilmosError(Exception):
    """Base of every error that the user can mend."""


class ConfigError(DistilmosError):
    """A configuration file has an unknown key, a wrong type or a value out of range."""


class DataError(DistilmosError):
    """A data directory, a label file or a score file is incomplete or inconsistent."""


class UpstreamError(DistilmosError):
    """An upstream is unknown, cannot be loaded or does not fit what it is used with."""


class TokenError(DistilmosError):
    """A code book or a token archive is damaged, collapsed or belongs to another upstream."""


class ModelError(DistilmosError):
    """A released model cannot be found, read or trusted."""


class TrainingError(DistilmosError):
    """Training cannot start or cannot go on."""


class MissingExtra(DistilmosError, ModuleNotFoundError):
    """An optional dependency is not installed; the message is the command that installs it."""


def require(module: str, extra: str) -> ModuleType:
    """Import an optional dependency.

    Args:
        module: dotted name to import, for example ``"faiss"``.
        extra: the extra of this package that brings it, for example ``"train"``.

    Raises:
        MissingExtra: if the module, or something that it needs, is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"{error.name} is not installed; it comes with: pip install 'distilmos-plugin[{extra}]'", name=error.name
        ) from error


def suggest(name: str, known: Iterable[str]) -> str:
    """Return ``", did you mean 'x'?"`` for a near match of ``name``, else an empty string."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f", did you mean '{close[0]}'?" if close else ""


def some(items: Iterable[object], limit: int = 5) -> str:
    """Return the first few items as text, with the count of those left out."""
    listed = list(items)
    text = ", ".join(str(item) for item in listed[:limit])
    return f"{text} and {len(listed) - limit} more" if len(listed) > limit else text
