"""BVCC, the main track of the VoiceMOS Challenge 2022: one listening test of speech synthesis and conversion, 2008 to 2020.

Source:   https://doi.org/10.5281/zenodo.6572573, ``main.tar.gz`` (287 MB), with the audio of the Voice Conversion Challenges
          and of ESPnet-TTS. That of the Blizzard Challenges is gathered and prepared by the scripts in it (``01_get.py``,
          ``02_gather.py``, ``03_preprocess.py``; 74 GB of work space). What is not there is left out and listed.
Licence:  labels and scripts BSD-3; audio of VCC 2016 and 2018 CC BY 4.0, of VCC 2020 ODbL 1.0, of Blizzard research only.
Size:     4974 / 1066 / 1066 clips (train, dev, test) of 187 systems, 8 ratings each by 304 listeners; English.
Rate:     16 kHz after ``03_preprocess.py``.
Layout:   ``[main/]DATA/sets/{train,val,test}_mos_list.txt``    no header: ``sys64e2f-utt9c183cd.wav,3.375``
          ``[main/]DATA/sets/{TRAINSET,DEVSET,TESTSET}``        no header: system, clip, rating, -, listener information
          ``[main/]DATA/wav/*.wav``
          ``[main/]DATA/mydata_system.csv``    means of systems over train and dev, for ``--system-truth file``
Citation: E. Cooper and J. Yamagishi, "How do voices from past speech synthesis challenges compare today?", SSW 2021;
          W.-C. Huang et al., "The VoiceMOS Challenge 2022", Interspeech 2022.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from distilmos_plugin.corpora.card import Archive, Card
from distilmos_plugin.corpora.importing import Clip, Sets
from distilmos_plugin.corpora.root import Root, stem
from distilmos_plugin.errors import DataError, some

CARD = Card(
    name="bvcc",
    title="VoiceMOS 2022 main track: English TTS and voice conversion, 2008 to 2020",
    source="https://doi.org/10.5281/zenodo.6572573 (main.tar.gz)",
    licence="labels BSD-3; audio CC BY 4.0, ODbL 1.0, Blizzard: research only",
    clips={"train": 4974, "dev": 1066, "test": 1066},
    targets=("mos",),
    scales={"mos": (1, 5)},
    marks=("DATA/sets",),
    folders=("main", "BVCC", "BVCC/main", "phase1-main", "testphase-main"),
    ids=r"sys[0-9a-f]{5}-utt[0-9a-f]{7}",
    unverified=("train", "dev"),
    withheld="Blizzard Challenge audio is not in the download, its scripts gather it",
    archives=(Archive("main.tar.gz", zenodo="6572573"),),
    challenge="vmc2022",
)
SETS = {"train": ("train", "TRAINSET"), "dev": ("val", "DEVSET"), "test": ("test", "TESTSET")}  # our name: list, ratings
RATING = ("system", "clip", "rating", "ignored", "listener")
PHASES = ("released", "training", "evaluation")
LISTENER = re.compile(r"(?:[^_]*_){2}([^_]+)(?:_[^_]*){3}_(?!EE|EP|ER)[^_]*")  # -, age, listener, gender, -, -, impairment


def read(root: Root, *, phase: str = "released") -> Sets:
    """Return train, dev and test.

    Args:
        root: of the corpus.
        phase: ``released`` for the record on Zenodo. The packages of the challenge: ``training`` has no test set, and in
            ``evaluation`` the test set is a list of names, ``sets/test.scp``, without labels.
    """
    if phase not in PHASES:
        raise DataError(f"{CARD.name}: the option phase is one of {some(PHASES)}, found '{phase}'")
    sets = {name: read_set(root, *SETS[name], LISTENER) for name in ("train", "dev")}
    if phase == "released":
        sets["test"] = read_set(root, *SETS["test"], LISTENER)
    elif phase == "evaluation":
        sets["test"] = [_clip(stem(name)) for name in root.lines(root.file("DATA/sets/test.scp", "DATA/test.scp"))]
    return sets


def read_set(root: Root, mean_list: str, rating_list: str, listener: re.Pattern[str]) -> list[Clip]:
    """Read the means and the ratings of one set; ``listener`` finds the listener in what the ratings say of one."""
    ratings: dict[str, list[tuple[str, str, float]]] = {}
    for row in root.table(f"DATA/sets/{rating_list}", RATING, header=False):
        found = listener.fullmatch(row["listener"])
        if found is None:
            raise DataError(f"{row.where}: '{row['listener']}' says nothing about a listener of {root.card.name}")
        ratings.setdefault(stem(row.text("clip")), []).append((found[1], "mos", row.number("rating")))
    clips = []
    for row in root.table(f"DATA/sets/{mean_list}_mos_list.txt", ("clip", "mean"), header=False):
        name = stem(row.text("clip"))
        if name not in ratings:
            raise DataError(f"{row.where}: '{name}' has no ratings in {rating_list}")
        clips.append(_clip(name, {"mos": row.number("mean")}, tuple(ratings[name])))
    return clips


def _clip(name: str, labels: Mapping[str, float] | None = None, ratings: tuple[tuple[str, str, float], ...] = ()) -> Clip:
    return Clip(name, f"DATA/wav/{name}.wav", labels or {}, name.partition("-")[0], ratings)
