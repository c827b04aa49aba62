"""The import hook by which VERSA gets the metric: nothing happens before VERSA itself is imported.

An enabled environment (``distilmos versa enable``) imports this module at every start of Python, so it needs the standard
library only and does no work. What it adds to VERSA is in :mod:`.versa_patches`.
"""

from __future__ import annotations

import sys
from types import ModuleType

WATCHED = ("versa.scorer_shared", "versa.metric_discovery", "versa.metric_registry")
"""Modules of VERSA that make registries; the first is in every generation, the others since July 2026."""


class VersaFinder:
    """Finds the watched modules as they would be found without it, and has them patched once they have run."""

    def find_spec(self, name: str, path: object = None, target: ModuleType | None = None):
        """Return the module's own spec, with a loader that patches the module; None for any other module."""
        if name not in WATCHED:
            return None
        for finder in sys.meta_path:
            if isinstance(finder, VersaFinder) or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                if hasattr(spec.loader, "exec_module"):
                    spec.loader = _PatchingLoader(spec.loader)
                return spec
        return None


class _PatchingLoader:
    """Runs a module with its own loader, leaves that loader in place, then patches the module."""

    def __init__(self, loader: object) -> None:
        self._loader = loader

    def __getattr__(self, name: str):
        return getattr(self._loader, name)

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        _patch(module)


def install() -> None:
    """Watch for VERSA in this process; modules of it that are imported already are patched now. A second call does nothing."""
    if not any(isinstance(finder, VersaFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, VersaFinder())
    for name in WATCHED:
        if name in sys.modules:
            _patch(sys.modules[name])


def uninstall() -> None:
    """Stop watching; what is patched stays so."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, VersaFinder)]


def _patch(module: ModuleType) -> None:
    try:
        from distilmos_plugin.integrations.versa_patches import patch

        patch(module)
    except Exception as error:  # this runs inside a program of someone else: VERSA must work without us too
        print(f"distilmos: the metric is not available in VERSA: {type(error).__name__}: {error}", file=sys.stderr)
