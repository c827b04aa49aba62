"""What every importer says about its corpus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Card:
    """A corpus in a few words.

    Attributes:
        name: as in ``distilmos corpus prepare <name>``.
        title: one line on what it is.
        source: where it comes from.
        licence: of labels and audio.
        clips: number of clips of each set.
        targets: what is rated or measured.
    """

    name: str
    title: str
    source: str
    licence: str
    clips: Mapping[str, int]
    targets: tuple[str, ...]
