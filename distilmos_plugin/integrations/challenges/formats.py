"""What each challenge wants to be sent: file name, ids, columns, and how many lines.

Sources: the instructions of the baselines, ``nii-yamagishilab/mos-finetune-ssl`` for 2022, ``NKU-HLT/MusicEval-baseline``
for AudioMOS 2025 track 1, ``voicemos-challenge/vmc2026-baselines`` and what participants published of the instructions for
2026; for the others of the family the form that they share with 2022. What is not documented the user has to say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from distilmos_plugin.corpora import importer
from distilmos_plugin.errors import DataError, some, suggest


@dataclass(frozen=True)
class Column:
    """A column of an answer.

    Attributes:
        name: in the header.
        targets: the target whose score it holds; several make shares, ``angry:0.1|happy:0.9``.
        required: an answer without it is refused.
        limits: lowest and highest value that the challenge takes; scores beyond are moved to them, as its baselines do.
    """

    name: str
    targets: tuple[str, ...]
    required: bool = True
    limits: tuple[float, float] | None = None


@dataclass(frozen=True)
class Challenge:
    """The form of an answer.

    Attributes:
        name: key of :data:`CHALLENGES`.
        title: one line on what it is.
        corpora: the importers' names, in the order of the answer; the first has to be in it.
        columns: of scores, in order; where ``order_known`` is False the user gives the order.
        file: the only file in the zip.
        header: names of the columns that name a line, where there is a header line; () where there is none.
        suffix: behind every id.
        counts: number of lines for each corpus, in the phases of the challenge; empty where it is not published.
        order_known: whether the order of the columns is documented.
        pairs: ids that end in ``_a`` and ``_b`` are one line, the score of a minus that of b, within these limits.
    """

    name: str
    title: str
    corpora: tuple[str, ...]
    columns: tuple[Column, ...] = (Column("mos", ("mos",)),)
    file: str = "answer.txt"
    header: tuple[str, ...] = ()
    suffix: str = ""
    counts: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    order_known: bool = True
    pairs: tuple[float, float] | None = None

    def is_id(self, text: str) -> bool:
        """Tell whether the text could be an id of this challenge, going by its corpora."""
        patterns = [importer(corpus).CARD.ids for corpus in self.corpora]
        halves = (f"{text}_a", f"{text}_b") if self.pairs else ()
        return any(re.fullmatch(pattern, one) for pattern in patterns for one in (text, *halves)) and "/" not in text

    def ordered(self, order: str | None) -> tuple[Column, ...]:
        """Return the columns, in the order that the user gives as ``a,b,c`` where none is documented.

        Raises:
            DataError: if an order is needed and not given, or names other columns.
        """
        names = [column.name for column in self.columns]
        if order is None:
            if self.order_known:
                return self.columns
            raise DataError(
                f"{self.name}: the order of its columns is not documented here; look it up in the challenge's instructions "
                f"and give it: --columns {','.join(names)} or another order"
            )
        wanted = [name.strip() for name in order.split(",")]
        if sorted(wanted) != sorted(names):
            raise DataError(f"{self.name}: --columns is an order of {', '.join(names)}, found {order}")
        return tuple(self.columns[names.index(name)] for name in wanted)


EMOTIONS = ("angry", "happy", "neutral", "sad", "surprised")
OPINION = (1.0, 5.0)
PAIR = ("system_id", "utterance_id", "wav_a_path", "wav_b_path")

_ALL = (
    Challenge(
        "vmc2022",
        "VoiceMOS 2022: main track, with the out-of-domain track behind it or without",
        ("bvcc", "bc19"),
        counts={"bvcc": (1066,), "bc19": (136, 540)},
    ),
    Challenge("vmc2023_track1", "VoiceMOS 2023 track 1: French TTS", ("vmc2023_track1",), counts={"vmc2023_track1": (1460,)}),
    Challenge("vmc2023_track2", "VoiceMOS 2023 track 2: singing", ("vmc2023_track2",), counts={"vmc2023_track2": (4040,)}),
    Challenge(
        "vmc2023_track3",
        "VoiceMOS 2023 track 3: noisy and enhanced speech; 1960 clips are scored, 2215 were given out",
        ("vmc2023_track3",),
        counts={"vmc2023_track3": (2215, 1960)},
    ),
    Challenge("vmc2024_track1", "VoiceMOS 2024 track 1: zoomed-in BVCC", ("vmc2024_track1",)),
    Challenge("vmc2024_track2", "VoiceMOS 2024 track 2: singing", ("vmc2024_track2",), counts={"vmc2024_track2": (544, 645)}),
    Challenge(
        "vmc2024_track3",
        "VoiceMOS 2024 track 3: P.835 of noisy and enhanced speech",
        ("vmc2024_track3",),
        (Column("SIG", ("sig",)), Column("BAK", ("bak",)), Column("OVRL", ("ovrl",))),
        counts={"vmc2024_track3": (280,)},
        order_known=False,
    ),
    Challenge(
        "audiomos2025_track1",
        "AudioMOS 2025 track 1: text-to-music, quality and alignment",
        ("audiomos2025_track1",),
        (Column("quality", ("mos",)), Column("alignment", ("alignment",))),
    ),
    Challenge(
        "audiomos2025_track2",
        "AudioMOS 2025 track 2: four axes of aesthetics",
        ("audiomos2025_track2",),
        tuple(Column(axis.upper(), (axis,)) for axis in ("pq", "pc", "ce", "cu")),
        counts={"audiomos2025_track2": (3060,)},
        order_known=False,
    ),
    Challenge(
        "audiomos2025_track3",
        "AudioMOS 2025 track 3: speech of several rates",
        ("audiomos2025_track3",),
        counts={"audiomos2025_track3": (400,)},
    ),
    Challenge(
        "vmc2026_track1",
        "VoiceMOS 2026 track 1: enhanced speech, absolute and comparative",
        ("vmc2026_track1",),
        (Column("pred_score", ("mos",), limits=OPINION),),
        file="predictions.csv",
        header=("sample_id",),
        counts={"vmc2026_track1": (1008 + 2520, 4032 + 10080)},
        pairs=(-3.0, 3.0),
    ),
    Challenge(
        "vmc2026_track2",
        "VoiceMOS 2026 track 2: emotional TTS; CAT, VAL, ARO and DOM are optional",
        ("vmc2026_track2",),
        (
            Column("QMOS", ("mos",)),
            Column("EMOS", ("emos",)),
            Column("CAT", EMOTIONS, required=False),
            Column("VAL", ("valence",), required=False),
            Column("ARO", ("arousal",), required=False),
            Column("DOM", ("dominance",), required=False),
        ),
        header=("wav",),
        suffix=".wav",
        counts={"vmc2026_track2": (2730,)},
    ),
    Challenge(
        "vmc2026_track3",
        "VoiceMOS 2026 track 3: similarity of speaker and accent",
        ("vmc2026_track3",),
        (Column("pred_acc_sim", ("acc_sim",), required=False), Column("pred_spk_sim", ("spk_sim",), required=False)),
        header=PAIR,
        counts={"vmc2026_track3": (600,)},
    ),
)
CHALLENGES: dict[str, Challenge] = {challenge.name: challenge for challenge in _ALL}


def challenge_named(name: str) -> Challenge:
    """Return a challenge.

    Raises:
        DataError: if it is unknown; the message suggests the nearest.
    """
    if name not in CHALLENGES:
        raise DataError(f"unknown challenge '{name}'{suggest(name, CHALLENGES)} (known: {some(CHALLENGES, 50)})")
    return CHALLENGES[name]


def describe() -> str:
    """Return a table of the challenges: name, what the answer holds, what it is."""
    rows = [("challenge", "file", "columns", "what")]
    for challenge in _ALL:
        names = ",".join(("id", *(column.name for column in challenge.columns)))
        rows.append(
            (challenge.name, challenge.file, names if challenge.order_known else f"{names} (order: yours)", challenge.title)
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
