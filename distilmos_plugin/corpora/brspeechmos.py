"""BRSpeechMOS: Brazilian Portuguese text-to-speech, voice conversion and natural speech.

Source:   Google Drive, ``BRSPEECH_MOS_DATASET_v2.tar.bz`` (linked by https://github.com/unilight/sheet, egs/brspeechmos).
Licence:  not known.
Size:     243 clips (test). Splits other than test are not known to this importer.
Rate:     not known; the files say it.
Layout:   ``[BRSPEECH_MOS_DATASET_v2/]test.csv``   with a byte order mark; ``filepath,db,condition,mos,...``
          the audio at the paths in it, which begin with ``./``
Systems:  ``db``; for natural speech (``db`` is ``ground_truth``) ``condition``.
Citation: F. S. Oliveira et al., "Evaluation of Speech Representations for MOS prediction", 2023, arXiv 2306.09979.
"""

from __future__ import annotations

from distilmos_plugin.corpora.card import Card
from distilmos_plugin.corpora.importing import Clip, Sets
from distilmos_plugin.corpora.root import Root, stem

CARD = Card(
    name="brspeechmos",
    title="BRSpeechMOS: Brazilian Portuguese",
    source="https://github.com/unilight/sheet, egs/brspeechmos (BRSPEECH_MOS_DATASET_v2.tar.bz)",
    licence="not known",
    clips={"test": 243},
    targets=("mos",),
    scales={"mos": (1, 5)},
    marks=("test.csv",),
    folders=("BRSPEECH_MOS_DATASET_v2",),
)
NATURAL = "ground_truth"


def read(root: Root) -> Sets:
    """Return test."""
    clips = []
    for row in root.named("test.csv", ("filepath", "db", "condition", "mos")):
        path = row.text("filepath").removeprefix("./")
        natural = row["db"] == NATURAL
        system = row.text("condition") if natural else row.text("db")
        about = {"is_reference": "yes"} if natural else {}
        clips.append(Clip(stem(path), path, {"mos": row.number("mos")}, system, about=about))
    return {"test": clips}
