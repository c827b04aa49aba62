"""Plots as SVG that stands in an HTML page: its colours follow the page's light or dark theme, its points have tooltips."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from xml.etree import ElementTree

from distilmos_plugin.evaluation.plots import ACCENT, DPI, GRID, INK, MUTED, SECOND, Plot, style

THEME = {INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--line)", ACCENT: "var(--accent)", SECOND: "var(--second)"}
"""Colours of the PNG files -> custom properties of the report's style sheet."""

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"


def inline_svg(plot: Plot) -> str:
    """Return a plot as an ``<svg>`` element for an HTML page.

    Colours become the page's custom properties (:data:`THEME`), points get their tooltips, and identifiers are made unique
    to the plot, so that several can stand in one page. The size is the page's to set.
    """
    buffer = io.StringIO()
    with style():
        plot.figure.savefig(buffer, format="svg", transparent=True, dpi=DPI, metadata={"Date": None, "Creator": None})
    text = re.sub("|".join(THEME), lambda match: THEME[match[0]], buffer.getvalue())
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    root = ElementTree.fromstring(text)
    for place in ("width", "height"):
        root.attrib.pop(place, None)
    root.set("role", "img")
    root.set("aria-label", f"{plot.title}. {plot.caption}")
    metadata = root.find(f"{{{SVG}}}metadata")
    if metadata is not None:
        root.remove(metadata)
    _add_tooltips(root, plot.tooltips)
    _rename_identifiers(root, plot.name)
    return ElementTree.tostring(root, encoding="unicode")


def _add_tooltips(root: ElementTree.Element, tooltips: Sequence[str]) -> None:
    """Give each marker of the group ``points`` its text; matplotlib draws them in the order of the data."""
    if not tooltips:
        return
    markers = root.findall(f".//{{{SVG}}}g[@id='points']//{{{SVG}}}use")
    for marker, tooltip in zip(markers, tooltips, strict=True):
        ElementTree.SubElement(marker, f"{{{SVG}}}title").text = tooltip


def _rename_identifiers(root: ElementTree.Element, prefix: str) -> None:
    """Prefix the identifiers that something refers to and drop the others."""
    references = {f"{{{XLINK}}}href": "#", "clip-path": "url(#"}
    used = set()
    for element in root.iter():
        for attribute, start in references.items():
            value = element.get(attribute, "")
            if value.startswith(start):
                used.add(value[len(start) :].rstrip(")"))
                element.set(attribute, f"{start}{prefix}-{value[len(start) :]}")
    for element in root.iter():
        identifier = element.attrib.pop("id", None)
        if identifier in used:
            element.set("id", f"{prefix}-{identifier}")
