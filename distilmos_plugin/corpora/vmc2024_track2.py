"""Track 2 of the VoiceMOS Challenge 2024, SingMOS: singing synthesis and conversion in Chinese and Japanese.

Source:   https://www.codabench.org/competitions/2650/, ``voicemos2024-track2-{train,eval}-phase.zip`` (also Google Drive
          1DtzZhk3M_jsxUxirPcFRoBhq-dsinOWN and 1sO4xPUMJvGAjC8lmO6uXCwgz7s7Ruhpv); extract both into one folder.
Licence:  not stated for this distribution; not downloaded by this program.
Size:     2000 / 544 / 645 clips (train, dev, test), 5 ratings each; means only.
Rate:     16 kHz.
Layout:   ``DATA/sets/{train,val,eval}_mos_list.txt``  no header, no ``.wav``: ``voicemos2024-track2-sys0001-utt0001,4.000000``
          ``DATA/wav/*.wav``
Citation: Y. Tang et al., "SingMOS: An extensive Open-Source Singing Voice Dataset for MOS Prediction", arXiv 2406.10911;
          W.-C. Huang et al., "The VoiceMOS Challenge 2024: Beyond Speech Quality Prediction", SLT 2024.
"""

from __future__ import annotations

from distilmos_plugin.corpora.card import Card
from distilmos_plugin.corpora.importing import Clip, Sets
from distilmos_plugin.corpora.root import Root, stem

CARD = Card(
    name="vmc2024_track2",
    title="VoiceMOS 2024 track 2: singing (SingMOS), Chinese and Japanese",
    source="https://www.codabench.org/competitions/2650/ (voicemos2024-track2-{train,eval}-phase.zip)",
    licence="not stated",
    clips={"train": 2000, "dev": 544, "test": 645},
    targets=("mos",),
    scales={"mos": (1, 5)},
    marks=("DATA/sets", "DATA/wav"),
    folders=("singmos", "voicemos2024-track2"),
    ids=r"voicemos2024-track2-sys\d+-utt\d+",
    challenge="vmc2024_track2",
)
SETS = {"train": "train", "dev": "val", "test": "eval"}


def read(root: Root) -> Sets:
    """Return train, dev and test."""
    return {name: _read_set(root, f"DATA/sets/{list_name}_mos_list.txt") for name, list_name in SETS.items()}


def _read_set(root: Root, file: str) -> list[Clip]:
    clips = []
    for row in root.table(file, ("clip", "mos"), header=False):
        name = stem(row.text("clip"))
        system = name.split("-")[2] if name.count("-") >= 2 else ""
        clips.append(Clip(name, f"DATA/wav/{name}.wav", {"mos": row.number("mos")}, system))
    return clips
