"""What every importer says about its corpus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Archive:
    """A file that may be downloaded because the licence of the corpus allows it.

    Attributes:
        url: where it is; None for a file of a Zenodo record, whose address and digest the record says.
        name: of the file.
        digest: ``md5:<hex>`` or ``sha256:<hex>``; None where none is published (Zenodo publishes one for every file).
        zenodo: number of the record.
        inside: archives inside the archive, paths in it, that are extracted where they lie.
    """

    name: str
    url: str | None = None
    digest: str | None = None
    zenodo: str | None = None
    inside: tuple[str, ...] = ()


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
        scales: lowest and highest possible label of each target; a target without scale is not checked.
        marks: paths under the corpus's folder that tell it from others, globs allowed, ``a|b`` is either;
            all of them have to be there.
        folders: names that this folder has inside the download; the user may give it or the folder above it.
        ids: regular expression that every id of a clip fits; empty: not checked.
        unverified: sets whose number of clips is from a paper: another number is said and not refused.
        withheld: why some of the audio may be missing, where the licence keeps it out of the download; empty: all is there.
        archives: what ``--download`` gets; () where the licence does not allow it.
        challenge: key of the challenge that test sets are submitted to (``integrations.challenges``).
    """

    name: str
    title: str
    source: str
    licence: str
    clips: Mapping[str, int]
    targets: tuple[str, ...]
    scales: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    marks: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    ids: str = ""
    unverified: tuple[str, ...] = ()
    withheld: str = ""
    archives: tuple[Archive, ...] = ()
    challenge: str = ""
