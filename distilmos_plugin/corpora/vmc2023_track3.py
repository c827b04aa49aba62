"""Track 3 of the VoiceMOS Challenge 2023, TMHINT-QI(S): noisy and enhanced speech in Mandarin. A test set only.

Source:   audio: ``VoiceMOS_2023_track3.zip`` (Google Drive 10_1JbEsxKPYZJLDXMeMkcjLHkbDQt84w); labels: ``track3_answer.txt``
          in https://github.com/unilight/sheet, ``egs/vmc23/answers/``; put it beside the audio.
Licence:  not stated; not downloaded by this program.
Size:     2215 clips; 1960 of 97 systems are scored (``test``). The other 255 are clean recordings whose id names no system
          (``VoiceMOS2023Track3-TMHINT_...``); they are in the set ``unscored``, for an answer has to name them.
Rate:     16 kHz.
Layout:   ``VoiceMOS_2023_track3/*.wav``
          ``track3_answer.txt``    no header: ``VoiceMOS2023Track3-CMGAN_snr-2_babble_TMHINT_b2_21_02,1.14``
          A system is what is between the first ``-`` and the last three ``_``: ``CMGAN_snr-2_babble_TMHINT``. SHEET cuts at
          every ``-``, which puts the 480 clips at an SNR of -2 dB into one system; ``sheet_compat=yes`` does so too, to
          compare with figures that were published so.
Citation: E. Cooper et al., "The VoiceMOS Challenge 2023", ASRU 2023.
"""

from __future__ import annotations

from distilmos_plugin.corpora.card import Card
from distilmos_plugin.corpora.importing import Clip, Sets
from distilmos_plugin.corpora.root import Root, stem
from distilmos_plugin.corpora.vmc2023_track1 import read_answers

CARD = Card(
    name="vmc2023_track3",
    title="VoiceMOS 2023 track 3: noisy and enhanced Mandarin (TMHINT-QI(S))",
    source="VoiceMOS_2023_track3.zip (Google Drive), labels github.com/unilight/sheet egs/vmc23/answers",
    licence="not stated",
    clips={"test": 1960, "unscored": 255},
    targets=("mos",),
    scales={"mos": (1, 5)},
    marks=("VoiceMOS2023Track3-*.wav",),
    folders=("VoiceMOS_2023_track3", "track3", "track3/VoiceMOS_2023_track3", "wavs", "wav"),
    ids=r"VoiceMOS2023Track3-[-\w]+",
    challenge="vmc2023_track3",
)
SPEAKER_LIST_SENTENCE = 3  # fields behind the system: b2_21_02
UNSCORED = "TMHINT"
CUT = "cut_at_minus"  # what SHEET calls the empty string


def read(root: Root, *, answers: str = "", sheet_compat: bool = False) -> Sets:
    """Return what is scored and what is not.

    Args:
        root: of the corpus.
        answers: the label file, where it is not beside the audio.
        sheet_compat: name the systems as SHEET does.
    """
    sets: dict[str, list[Clip]] = {"test": [], "unscored": []}
    for row in read_answers(root, answers, "track3_answer.txt"):
        name = stem(row.text("clip"))
        rest = name.split("-")[1] if sheet_compat and "-" in name else name.partition("-")[2]
        system = "_".join(rest.split("_")[:-SPEAKER_LIST_SENTENCE]) or CUT
        part = "unscored" if system == UNSCORED else "test"
        sets[part].append(Clip(name, f"{name}.wav", {"mos": row.number("mos")}, system))
    if sheet_compat:
        root.notes.append("systems are cut at every minus sign, as SHEET does")
    return sets
