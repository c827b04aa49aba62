"""NISQA Corpus: overall quality and four dimensions of it, of simulated and live telephone and internet calls.

Source:   https://doi.org/10.5281/zenodo.4728081, ``NISQA_Corpus.zip``; also https://depositonce.tu-berlin.de, 11303/13012.5.
Licence:  of its parts, in general for research that is not commercial; see the readme of each folder.
Size:     11020 / 2700 clips (train, dev: simulated and live), 240 / 240 / 232 (test_for, test_p501, test_livetalk); about 5
          votes a clip in train, 25 to 30 in the test sets.
Rate:     48 kHz.
Layout:   ``[NISQA_Corpus/]NISQA_<PART>/NISQA_<PART>_file.csv``   ``db,con,filepath_deg,votes,mos,noi,col,dis,loud,...``
          ``[NISQA_Corpus/]NISQA_<PART>/deg/*.wav``               PART is TRAIN_SIM, TRAIN_LIVE, VAL_SIM, VAL_LIVE, TEST_FOR,
          TEST_P501 or TEST_LIVETALK
Targets:  ``mos``, ``noi`` (noisiness), ``col`` (coloration), ``dis`` (discontinuity), ``loud`` (loudness), each 1 to 5.
Systems:  of the test sets, part and condition (numbers of conditions repeat in every part). The simulated parts have one clip
          a condition, so a system level would mean nothing: train and dev have no systems, ``manifest.tsv`` keeps ``con``.
Citation: G. Mittag, B. Naderi, A. Chehadi, S. Möller, "NISQA: A Deep CNN-Self-Attention Model for Multidimensional Speech
          Quality Prediction with Crowdsourced Datasets", Interspeech 2021, arXiv 2104.09494.
"""

from __future__ import annotations

from distilmos_plugin.corpora.card import Archive, Card
from distilmos_plugin.corpora.importing import Clip, Sets
from distilmos_plugin.corpora.root import Root, stem

TARGETS = ("mos", "noi", "col", "dis", "loud")
CARD = Card(
    name="nisqa",
    title="NISQA Corpus: calls, simulated and live; overall quality and four dimensions",
    source="https://doi.org/10.5281/zenodo.4728081 (NISQA_Corpus.zip)",
    licence="of its parts, in general research that is not commercial",
    clips={"train": 11020, "dev": 2700, "test_for": 240, "test_p501": 240, "test_livetalk": 232},
    targets=TARGETS,
    scales=dict.fromkeys(TARGETS, (1, 5)),
    marks=("NISQA_TRAIN_SIM", "NISQA_TEST_FOR"),
    folders=("NISQA_Corpus",),
    ids=r"NISQA_\w+/.+",
    archives=(Archive("NISQA_Corpus.zip", zenodo="4728081"),),
)
SETS = {  # our name: parts
    "train": ("TRAIN_SIM", "TRAIN_LIVE"),
    "dev": ("VAL_SIM", "VAL_LIVE"),
    "test_for": ("TEST_FOR",),
    "test_p501": ("TEST_P501",),
    "test_livetalk": ("TEST_LIVETALK",),
}
ABOUT = ("db", "con", "votes", "mos_std")  # columns that the manifest keeps


def read(root: Root) -> Sets:
    """Return train, dev and the three test sets."""
    return {name: [clip for part in parts for clip in _read_part(root, f"NISQA_{part}")] for name, parts in SETS.items()}


def _read_part(root: Root, part: str) -> list[Clip]:
    clips = []
    for row in root.named(f"{part}/{part}_file.csv", (*ABOUT, "filepath_deg", *TARGETS)):
        path = row.text("filepath_deg")
        name = f"{part}/{stem(path.rpartition('/')[2])}"
        system = f"{row.text('db')}-{row.text('con')}" if part.startswith("NISQA_TEST") else None
        labels = {target: row.number(target) for target in TARGETS}
        clips.append(Clip(name, path, labels, system, about={column: row[column] for column in ABOUT}))
    return clips
