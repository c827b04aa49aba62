"""The out-of-domain track of the VoiceMOS Challenge 2022: the listening test of the Blizzard Challenge 2019, in Mandarin.

Source:   https://doi.org/10.5281/zenodo.6572573, ``ood.tar.gz`` (153 kB: labels and scripts). The audio is that of the
          Blizzard Challenge 2019 (https://www.cstr.ed.ac.uk/projects/blizzard/data.html), gathered by scripts of the archive.
Licence:  labels and scripts BSD-3; audio: research only, not to be passed on.
Size:     136 / 136 / 540 clips (train, dev, test) and 540 without labels; 26 systems, 21 of them in train; 10 to 17 ratings
          each by speech experts (EE), paid natives (EP) and volunteers (ER).
Rate:     16 kHz only after ``03_preprocess.py``.
Layout:   ``[ood/]DATA/sets/{train,val,test}_mos_list.txt`` and ``{TRAINSET,DEVSET,TESTSET}`` as in BVCC, ids without ``.wav``;
          ``[ood/]DATA/sets/unlabeled_mos_list.txt``    one name a line
          ``[ood/]DATA/wav/*.wav``
Citation: W.-C. Huang et al., "The VoiceMOS Challenge 2022", Interspeech 2022.
"""

from __future__ import annotations

import re

from distilmos_plugin.corpora.bvcc import SETS, read_set
from distilmos_plugin.corpora.card import Archive, Card
from distilmos_plugin.corpora.importing import Clip, Sets
from distilmos_plugin.corpora.root import Root, stem

CARD = Card(
    name="bc19",
    title="VoiceMOS 2022 out-of-domain track: Blizzard Challenge 2019, Mandarin TTS",
    source="https://doi.org/10.5281/zenodo.6572573 (ood.tar.gz)",
    licence="labels BSD-3; audio research only",
    clips={"train": 136, "dev": 136, "test": 540, "unlabelled": 540},
    targets=("mos",),
    scales={"mos": (1, 5)},
    marks=("DATA/sets",),
    folders=("ood", "BC19", "BC19/ood", "phase1-ood", "testphase-ood"),
    ids=r"sys[0-9A-Za-z]+-utt[0-9A-Za-z]+",
    withheld="Blizzard Challenge audio is not in the download, its scripts gather it",
    archives=(Archive("ood.tar.gz", zenodo="6572573"),),
    challenge="vmc2022",
)
LISTENER = re.compile(r"(?:[^_]*_){2}([^_]+)(?:_[^_]*){3}_(?:EE|EP|ER)")  # -, -, listener, -, -, -, kind of listener


def read(root: Root, *, unlabelled: bool = True) -> Sets:
    """Return train, dev, test and, unless ``unlabelled`` is off, the clips without labels."""
    sets = {name: read_set(root, *files, LISTENER) for name, files in SETS.items()}
    if unlabelled:
        names = [stem(line.partition(",")[0]) for line in root.lines("DATA/sets/unlabeled_mos_list.txt")]
        sets["unlabelled"] = [Clip(name, f"DATA/wav/{name}.wav", system=name.partition("-")[0]) for name in names]
    return sets
