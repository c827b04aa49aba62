"""TTSDS2, the listening test: recent text-to-speech systems over four kinds of recordings.

Source:   https://huggingface.co/datasets/ttsds/listening_test; as one archive in
          https://huggingface.co/datasets/urgent-challenge/urgent26_track2_sqa, ``ttsds2.zip``.
Licence:  MIT.
Size:     460 clips (test) of 80 pairs of data set and system, 4731 ratings of quality. Ratings of other types are in the same
          table and are left out.
Rate:     22.05 kHz.
Layout:   ``subjective_results.csv``   ``audio,dataset,system,rating_type,value,annotator,survey_part,page,id``
          the audio at the paths in it
Systems:  ``<dataset>-<system>``.
Citation: C. Minixhofer, O. Klejch, P. Bell, "TTSDS2: Resources and Benchmark for Evaluating Human-Quality Text to Speech
          Systems", 2025, arXiv 2506.19441.
"""

from __future__ import annotations

from distilmos_plugin.corpora.card import Archive, Card
from distilmos_plugin.corpora.importing import Clip, Sets
from distilmos_plugin.corpora.root import Root, stem
from distilmos_plugin.errors import DataError

MIRROR = "https://huggingface.co/datasets/urgent-challenge/urgent26_track2_sqa/resolve/main"
CARD = Card(
    name="ttsds2",
    title="TTSDS2 listening test: recent TTS over four kinds of recordings",
    source="https://huggingface.co/datasets/ttsds/listening_test",
    licence="MIT",
    clips={"test": 460},
    targets=("mos",),
    scales={"mos": (1, 5)},
    marks=("subjective_results.csv",),
    folders=("ttsds2",),
    archives=(Archive("ttsds2.zip", url=f"{MIRROR}/ttsds2.zip"),),
)
COLUMNS = ("audio", "dataset", "system", "rating_type", "value", "annotator")
QUALITY = "mos"  # the rating type that is kept


def read(root: Root) -> Sets:
    """Return test."""
    ratings: dict[str, list[tuple[str, str, float]]] = {}
    systems: dict[str, str] = {}
    for row in root.named("subjective_results.csv", COLUMNS):
        if row["rating_type"] != QUALITY:
            continue
        path, system = row.text("audio").removeprefix("./"), f"{row.text('dataset')}-{row.text('system')}"
        if systems.setdefault(path, system) != system:
            raise DataError(f"{row.where}: {path} is of the system {system} here and of {systems[path]} before")
        ratings.setdefault(path, []).append((row.text("annotator"), "mos", row.number("value")))
    clips = []
    for path, rated in ratings.items():
        name = f"{systems[path]}-{stem(path.rpartition('/')[2])}"
        clips.append(Clip(name, path, system=systems[path], ratings=tuple(rated)))
    return {"test": clips}
