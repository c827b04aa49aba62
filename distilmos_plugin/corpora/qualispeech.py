"""QualiSpeech: synthetic and real English speech, rated for overall quality and six aspects of it, with comments in words.

Source:   https://huggingface.co/datasets/tsinghua-ee/QualiSpeech.
Licence:  MIT; the clips that come from BVCC are not in it and stay under BVCC's (``corpora/bvcc.py``).
Size:     more than 15,000 clips (its readme; the numbers of each set are not known, so they are not checked).
Rate:     not known.
Layout:   ``{train,val,test}.csv``     ``id,Speed,Naturalness,Background noise,Distortion,Listening effort,Continuity,Overall
          quality,...``, an ``id`` with ``.wav``
          ``wav/{train,val,test}/*``   ``wav_part1.zip``; 5124 clips of BVCC are copied in beside its clips by the corpus's
          ``merge_data.sh``. Those that are not there are left out and listed.
Targets:  ``mos`` (overall quality), ``speed``, ``naturalness``, ``noise``, ``distortion``, ``effort``, ``continuity``: whole
          numbers 1 to 5.
Systems:  what is in front of the first ``-`` of an ``id``.
Citation: S. Wang et al., "QualiSpeech: A Speech Quality Assessment Dataset with Natural Language Reasoning and Descriptions",
          ACL 2025, arXiv 2503.20290.
"""

from __future__ import annotations

from distilmos_plugin.corpora.card import Card
from distilmos_plugin.corpora.importing import Clip, Sets
from distilmos_plugin.corpora.root import Root, stem

TARGETS = {  # ours: column
    "mos": "Overall quality",
    "speed": "Speed",
    "naturalness": "Naturalness",
    "noise": "Background noise",
    "distortion": "Distortion",
    "effort": "Listening effort",
    "continuity": "Continuity",
}
CARD = Card(
    name="qualispeech",
    title="QualiSpeech: overall quality and six aspects, synthetic and real speech",
    source="https://huggingface.co/datasets/tsinghua-ee/QualiSpeech",
    licence="MIT; clips from BVCC under BVCC's",
    clips={},
    targets=tuple(TARGETS),
    scales=dict.fromkeys(TARGETS, (1, 5)),
    marks=("wav/train", "wav/val"),
    folders=("QualiSpeech",),
    withheld="clips of BVCC are copied in by the corpus's merge_data.sh",
)
SETS = {"train": "train", "dev": "val", "test": "test"}  # our name: theirs


def read(root: Root) -> Sets:
    """Return train, dev and test."""
    return {name: _read_set(root, theirs) for name, theirs in SETS.items()}


def _read_set(root: Root, part: str) -> list[Clip]:
    clips = []
    for row in root.named(f"{part}.csv", ("id", *TARGETS.values())):
        name = row.text("id")
        labels = {target: row.number(column) for target, column in TARGETS.items()}
        clips.append(Clip(stem(name), f"wav/{part}/{stem(name)}.wav", labels, stem(name).partition("-")[0]))
    return clips
