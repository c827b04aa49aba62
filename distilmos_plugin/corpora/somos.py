"""SOMOS, the Samsung Open MOS dataset: one English voice (LJ Speech) through 200 neural text-to-speech systems.

Source:   https://doi.org/10.5281/zenodo.7378801, ``somos.zip`` (4.0 GB); the audio is in ``audios.zip`` inside it.
Licence:  CC BY-NC-SA 4.0.
Size:     14100 / 3000 / 3000 clips (train, dev, test); 359,380 ratings in ``full`` (paper), fewer in ``clean``.
Rate:     24 kHz.
Layout:   ``training_files/split1/{clean,full}/{train,valid,test}_mos_list.txt``   a header; ``novel_2007_0098_015.wav,3.6``
          ``training_files/split1/{clean,full}/{TRAINSET,VALIDSET,TESTSET}``       ``systemId,utteranceId,choice,listenerId``
          ``audios/*.wav``   (``audios.zip``, extracted in the folder)
Options:  ``variant``: ``clean`` (ratings of listeners who passed the checks; the default, and what other toolkits use) or
          ``full``. The audio and the split are the same, the labels are not.
Systems:  the three digits at the end of a name, as text; ``000`` is natural speech (paper).
Citation: G. Maniati et al., "SOMOS: The Samsung Open MOS Dataset for the Evaluation of Neural Text-to-Speech Synthesis",
          Interspeech 2022, arXiv 2204.03040.
"""

from __future__ import annotations

from distilmos_plugin.corpora.card import Archive, Card
from distilmos_plugin.corpora.importing import Clip, Sets
from distilmos_plugin.corpora.root import Root, stem
from distilmos_plugin.errors import DataError

CARD = Card(
    name="somos",
    title="SOMOS: one English voice through 200 neural TTS systems",
    source="https://doi.org/10.5281/zenodo.7378801 (somos.zip)",
    licence="CC BY-NC-SA 4.0",
    clips={"train": 14100, "dev": 3000, "test": 3000},
    targets=("mos",),
    scales={"mos": (1, 5)},
    marks=("training_files/split1", "audios"),
    folders=("somos",),
    ids=r".+_\d{3}",
    archives=(Archive("somos.zip", zenodo="7378801", digest="md5:bdfde4cae256549dfab05d713136e4af", inside=("audios.zip",)),),
)
SETS = {"train": ("train", "TRAINSET"), "dev": ("valid", "VALIDSET"), "test": ("test", "TESTSET")}  # our name: list, ratings
VARIANTS = ("clean", "full")
NATURAL = "000"


def read(root: Root, *, variant: str = "clean") -> Sets:
    """Return train, dev and test."""
    if variant not in VARIANTS:
        raise DataError(f"somos: variant is clean or full, found '{variant}'")
    root.notes.append(f"labels of the variant '{variant}'")
    folder = f"training_files/split1/{variant}"
    return {
        name: _read_set(root, f"{folder}/{means}_mos_list.txt", f"{folder}/{ratings}")
        for name, (means, ratings) in SETS.items()
    }


def _read_set(root: Root, mean_list: str, rating_list: str) -> list[Clip]:
    ratings: dict[str, list[tuple[str, str, float]]] = {}
    systems: dict[str, str] = {}
    for row in root.named(rating_list, ("systemId", "utteranceId", "choice", "listenerId")):
        name = stem(row.text("utteranceId"))
        systems[name] = row.text("systemId")
        ratings.setdefault(name, []).append((row.text("listenerId"), "mos", row.number("choice")))
    clips = []
    for row in root.table(mean_list, ("clip", "mean")):
        name = stem(row.text("clip"))
        if name not in ratings:
            raise DataError(f"{row.where}: '{name}' has no ratings in {rating_list}")
        about = {"is_reference": "yes"} if systems[name] == NATURAL else {}
        labels = {"mos": row.number("mean")}
        clips.append(Clip(name, f"audios/{name}.wav", labels, systems[name], tuple(ratings[name]), about))
    return clips
