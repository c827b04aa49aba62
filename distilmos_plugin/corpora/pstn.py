"""PSTN corpus of the ConferencingSpeech 2022 challenge: speech after telephone calls.

Source:   https://challenge.blob.core.windows.net/pstn/train.zip (not fetched by this program: its licence is not known).
Licence:  not known.
Size:     58709 clips of 10 s (the 80,000 that papers quote are more than is public). There is no official split: dev is a
          tenth, chosen by a seeded hash of the names, so it is the same on every machine; the challenge's test set is not
          public.
Rate:     8 kHz.
Layout:   ``pstn_train/pstn_train.csv``   ``filename,MOS,std,95%CI,votes``
          ``pstn_train/*.wav``            beside it
Options:  ``seed`` of the split.
Systems:  none are given: no system level.
Citation: G. Mittag, R. Cutler, Y. Hosseinkashi, M. Revow, S. Srinivasan, N. Chande, R. Aichner, "DNN No-Reference PSTN Speech
          Quality Prediction", Interspeech 2020, arXiv 2007.14598; G. Yi et al., arXiv 2203.16032.
"""

from __future__ import annotations

from distilmos_plugin.corpora.card import Card
from distilmos_plugin.corpora.importing import Clip, Sets, seeded_part
from distilmos_plugin.corpora.root import Root, stem

CARD = Card(
    name="pstn",
    title="ConferencingSpeech 2022, PSTN: telephone calls at 8 kHz",
    source="https://challenge.blob.core.windows.net/pstn/train.zip",
    licence="not known",
    clips={"train": 52838, "dev": 5871},
    targets=("mos",),
    scales={"mos": (1, 5)},
    marks=("pstn_train.csv",),
    folders=("pstn_train", "train"),
)
DEV_SHARE = 0.1
ABOUT = {"std": "score_std", "95%CI": "score_ci95", "votes": "n_ratings"}  # column: its name in the manifest


def read(root: Root, *, seed: int = 0) -> Sets:
    """Return train and dev."""
    clips = []
    for row in root.named("pstn_train.csv", ("filename", "MOS", *ABOUT)):
        name = row.text("filename")
        about = {ours: row[theirs] for theirs, ours in ABOUT.items()}
        clips.append(Clip(stem(name), name, {"mos": row.number("MOS")}, about=about))
    dev = seeded_part((clip.id for clip in clips), DEV_SHARE, f"pstn {seed}")
    root.notes.append(f"dev: a tenth by a hash of the names, seed {seed}; there is no official split")
    return {
        "train": [clip for clip in clips if clip.id not in dev],
        "dev": [clip for clip in clips if clip.id in dev],
    }
