"""Faithful miniatures of corpora as they lie on disk after the download, with real audio.

Each module here has ``MINIATURES``: name of the corpus -> :class:`.material.Miniature`.
"""

from __future__ import annotations

import importlib
import pkgutil

from tests.corpora.miniatures.material import Miniature

MINIATURES: dict[str, Miniature] = {}
for _module in pkgutil.iter_modules(__path__):
    MINIATURES |= getattr(importlib.import_module(f"{__name__}.{_module.name}"), "MINIATURES", {})
