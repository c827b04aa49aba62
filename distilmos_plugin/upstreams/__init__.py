"""Self-supervised speech encoders (s3prl's upstreams): found by name, loaded, and run so that a batch changes nothing.

Names are looked up without torch; it is imported with the first upstream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from distilmos_plugin.upstreams.resolver import UpstreamEntry, list_upstreams

if TYPE_CHECKING:
    from distilmos_plugin.upstreams.upstream import HiddenStates, Upstream, load_upstream, rebuild_upstream, show_upstream

__all__ = [
    "HiddenStates",
    "Upstream",
    "UpstreamEntry",
    "list_upstreams",
    "load_upstream",
    "rebuild_upstream",
    "show_upstream",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from distilmos_plugin.upstreams import upstream

        return getattr(upstream, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
