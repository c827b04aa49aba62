"""Track 1 of the VoiceMOS Challenge 2024, zoomed-in comparison: the best systems of BVCC, rated again among themselves.

Source:   https://www.codabench.org/competitions/2650/ (after registration). The audio is that of BVCC; train on the corpus
          ``bvcc``. The official labels are not public; the stand-in is a re-rating of the better half of BVCC, the file
          ``VMC2024_MOS`` of https://github.com/sarulab-speech/VMC2024-sarulab-data (MIT), option ``labels``.
Licence:  as BVCC.
Size:     not published; the stand-in has 3610 clips of 95 systems, 8 ratings each by 304 listeners.
Rate:     16 kHz.
Layout:   ``[main/]DATA/wav/*.wav``                        of BVCC
          ``[main/]DATA/sets/val_list.txt``                names, development phase
          ``[main/]DATA/sets/eval_list.txt``               names, evaluation phase
          or ``voicemos2024-track1-eval-phase/DATA/sets/eval_list.txt`` above or beside it
          ``VMC2024_MOS``    ``sys00691/sys00691-utt00e6ae6.wav 3.375000 0.886734 (1:0,2:2,3:2,4:3,5:1,total: 8)``:
                             path, mean, half of the 95 % interval, votes of each category
Citation: W.-C. Huang et al., "The VoiceMOS Challenge 2024: Beyond Speech Quality Prediction", SLT 2024;
          K. Baba et al., "The T05 System for the VoiceMOS Challenge 2024", SLT 2024 (stand-in).
"""

from __future__ import annotations

import re

from distilmos_plugin.corpora.bvcc import CARD as BVCC
from distilmos_plugin.corpora.card import Card
from distilmos_plugin.corpora.importing import Clip, Sets
from distilmos_plugin.corpora.root import Root, stem
from distilmos_plugin.errors import DataError

CARD = Card(
    name="vmc2024_track1",
    title="VoiceMOS 2024 track 1: zoomed-in BVCC; lists without labels, or the re-rating by sarulab",
    source="https://www.codabench.org/competitions/2650/ (registration)",
    licence=BVCC.licence,
    clips={},
    targets=("mos",),
    scales={"mos": (1, 5)},
    marks=("DATA/wav",),
    folders=BVCC.folders,
    ids=rf"(rerated/)?{BVCC.ids}",
    withheld=BVCC.withheld,
    challenge="vmc2024_track1",
)
EVAL = "DATA/sets/eval_list.txt"
PACKAGE = f"voicemos2024-track1-eval-phase/{EVAL}"
RERATED = re.compile(r"(?:\S*/)?(\S+?)\s+([\d.]+)\s+([\d.]+)\s+\(.*total:\s*(\d+)\)")


def read(root: Root, *, labels: str = "") -> Sets:
    """Return the test set, dev where its list is there, and with ``labels`` the re-rated clips as ``test_rerated``."""
    sets = {"test": _listed(root.lines(root.file(EVAL, PACKAGE, f"../{PACKAGE}", f"../../{PACKAGE}")))}
    if (root.path / "DATA/sets/val_list.txt").is_file():
        sets["dev"] = _listed(root.lines("DATA/sets/val_list.txt"))
    if labels:
        sets["test_rerated"] = _rerated(root, labels, {clip.id for clips in sets.values() for clip in clips})
    return sets


def _listed(lines: list[str]) -> list[Clip]:
    return [_clip(stem(line.partition(",")[0]), {}, {}) for line in lines]


def _rerated(root: Root, labels: str, listed: set[str]) -> list[Clip]:
    clips = []
    for number, line in enumerate(root.lines(root.given("labels", labels)), start=1):
        found = RERATED.fullmatch(line)
        if found is None:
            raise DataError(
                f"{CARD.name}: {labels}: line {number}: not '<path> <mean> <interval> (... total: <votes>)': {line}"
            )
        name = stem(found[1])
        key = f"rerated/{name}" if name in listed else name
        about = {"ci95": found[3], "n_ratings": found[4]}
        clips.append(_clip(name, {"mos": float(found[2])}, about, key))
    return clips


def _clip(name: str, labels: dict[str, float], about: dict[str, str], key: str = "") -> Clip:
    return Clip(key or name, f"DATA/wav/{name}.wav", labels, name.partition("-")[0], about=about)
