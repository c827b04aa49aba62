"""HablaMOS: Spanish, 52 voices of text-to-speech systems and of people.

Source:   https://doi.org/10.5281/zenodo.17024887, ``HablaMOS.tar.gz`` (not fetched by this program: its licence is not known);
          labels also in https://github.com/unilight/sheet, egs/hablamos/data/originals.
Licence:  not known.
Size:     2555 / 380 / 408 clips (train, dev, test). The table of train has 3136 rows, because some clips are rated in several:
          their scores are averaged, and ``manifest.tsv`` counts the rows.
Rate:     not known; the files say it.
Layout:   ``{train,val,test}.csv``     ``wav_path,system_id,sample_id,speaker_id,duration_ms,score``, CRLF; in the folder, or
          where ``labels`` says
          ``{train,val,test}/*.wav``   some names end in ``.wav_GL.wav`` or ``.wav.wav``
Options:  ``labels``: folder of the three tables; default the corpus's own.
Systems:  ``speaker_id``, the voice (40 / 5 / 5): the column ``system_id`` only repeats the clip's name.
Citation: A. Sosa Welford, L. Pepino, "A Dataset for Automatic Assessment of TTS Quality in Spanish", Interspeech 2025,
          arXiv 2507.01805.
"""

from __future__ import annotations

import math

from distilmos_plugin.corpora.card import Card
from distilmos_plugin.corpora.importing import Clip, Sets
from distilmos_plugin.corpora.root import Root, stem
from distilmos_plugin.errors import DataError

CARD = Card(
    name="hablamos",
    title="HablaMOS: Spanish TTS voices and people",
    source="https://doi.org/10.5281/zenodo.17024887 (HablaMOS.tar.gz)",
    licence="not known",
    clips={"train": 2555, "dev": 380, "test": 408},
    targets=("mos",),
    scales={"mos": (1, 5)},
    marks=("train/*.wav", "val/*.wav", "test/*.wav"),
    folders=("HablaMOS",),
    ids=r"(train|val|test)/.+",
)
SETS = {"train": "train", "dev": "val", "test": "test"}  # our name: theirs


def read(root: Root, *, labels: str = "") -> Sets:
    """Return train, dev and test."""
    return {name: _read_set(root, labels, theirs) for name, theirs in SETS.items()}


def _read_set(root: Root, folder: str, part: str) -> list[Clip]:
    table = root.given("labels", f"{folder}/{part}.csv") if folder else root.file(f"{part}.csv")
    scores: dict[str, list[float]] = {}
    voices: dict[str, str] = {}
    for row in root.named(table.resolve(), ("wav_path", "speaker_id", "score")):
        path, voice = row.text("wav_path"), row.text("speaker_id")
        if voices.setdefault(path, voice) != voice:
            raise DataError(f"{row.where}: {path} is of the voice {voice} here and of {voices[path]} before")
        scores.setdefault(path, []).append(row.number("score"))
    return [
        Clip(stem(path), path, {"mos": math.fsum(rows) / len(rows)}, voices[path], about={"n_rows": str(len(rows))})
        for path, rows in scores.items()
    ]
