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
Citation: E. Cooper and J. Yamagishi, "How do voices from past speech synthesis challenges compare today?", SSW 2021;
          W.-C. Huang et al., "The VoiceMOS Challenge 2022", Interspeech 2022.
"""

from __future__ import annotations

from distilmos_plugin.corpora.card import Archive, Card
from distilmos_plugin.corpora.importing import Clip, Sets
from distilmos_plugin.corpora.root import Root, stem
from distilmos_plugin.errors import DataError

CARD = Card(
    name="bvcc",
    title="VoiceMOS 2022 main track: English TTS and voice conversion, 2008 to 2020",
    source="https://doi.org/10.5281/zenodo.6572573 (main.tar.gz)",
    licence="labels BSD-3; audio CC BY 4.0, ODbL 1.0, Blizzard: research only",
    clips={"train": 4974, "dev": 1066, "test": 1066},
    targets=("mos",),
    scales={"mos": (1, 5)},
    marks=("DATA/sets", "DATA/wav"),
    folders=("main", "BVCC", "BVCC/main", "phase1-main", "testphase-main"),
    ids=r"sys[0-9a-f]{5}-utt[0-9a-f]{7}",
    unverified=("train", "dev"),
    withheld="Blizzard Challenge audio is not in the download, its scripts gather it",
    archives=(Archive("main.tar.gz", zenodo="6572573"),),
    challenge="vmc2022",
)
SETS = {"train": ("train", "TRAINSET"), "dev": ("val", "DEVSET"), "test": ("test", "TESTSET")}  # our name: list, ratings
RATING = ("system", "clip", "rating", "ignored", "listener")


def read(root: Root) -> Sets:
    """Return train, dev and test."""
    return {name: read_set(root, *files) for name, files in SETS.items()}


def read_set(root: Root, mean_list: str, rating_list: str) -> list[Clip]:
    """Read the means and the ratings of one set."""
    ratings: dict[str, list[tuple[str, str, float]]] = {}
    for row in root.table(f"DATA/sets/{rating_list}", RATING, header=False):
        ratings.setdefault(stem(row.text("clip")), []).append((listener_id(row.text("listener")), "mos", row.number("rating")))
    clips = []
    for row in root.table(f"DATA/sets/{mean_list}_mos_list.txt", ("clip", "mean"), header=False):
        name = stem(row.text("clip"))
        if name not in ratings:
            raise DataError(f"{row.where}: '{name}' has no ratings in {rating_list}")
        system = name.partition("-")[0]
        clips.append(Clip(name, f"DATA/wav/{name}.wav", {"mos": row.number("mean")}, system, tuple(ratings[name])))
    return clips


def listener_id(information: str) -> str:
    """Return the listener of ``{}_30-39_bZPQE7w4Zl3g_Female_Valid_1_No``: the third field.

    >>> listener_id("{}_30-39_bZPQE7w4Zl3g_Female_Valid_1_No")
    'bZPQE7w4Zl3g'
    """
    return information.split("_")[2]
