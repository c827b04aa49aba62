"""The listening test of the Voice Conversion Challenge 2018, English.

Source:   audio: https://datashare.ed.ac.uk/handle/10283/3061, gathered into one folder ``wav``; labels:
          https://github.com/unilight/LDNet, ``data/vcc2018/``, or the same files in https://github.com/s3prl/s3prl,
          ``s3prl/downstream/mos_prediction/data/VCC2018`` (scores: https://datashare.ed.ac.uk/handle/10283/3257).
Licence:  see the pages of Edinburgh DataShare; not downloaded by this program.
Size:     13580 / 3000 / 4000 clips (train, dev, test) of 38 systems; 54040 ratings by 270 listeners in train. Dev and test
          come with one rating of those that a clip had, drawn at random: their truth is the mean that is given, and the
          single ratings are left out.
Rate:     22.05 kHz.
Layout:   ``wav/N11_VCC2TF2_VCC2SF4_30003_SPO.wav``
          ``{train,valid,test}_judge.csv`` or ``vcc2018_{training,valid,testing}_data.csv``  header ``WAV_PATH,MEAN,MOS,JUDGE``
          A system is the first and the last field: ``N11_SPO``. S00 and T00 (``..._NAT``) are natural speech.
Citation: J. Lorenzo-Trueba et al., "The Voice Conversion Challenge 2018", Odyssey 2018; C.-C. Lo et al., "MOSNet", Interspeech
          2019 (the split).
"""

from __future__ import annotations

from distilmos_plugin.corpora.card import Card
from distilmos_plugin.corpora.importing import Clip, Sets
from distilmos_plugin.corpora.root import Root, Row, stem

CARD = Card(
    name="vcc2018",
    title="Voice Conversion Challenge 2018, English",
    source="https://datashare.ed.ac.uk/handle/10283/3061, labels github.com/unilight/LDNet data/vcc2018",
    licence="see Edinburgh DataShare",
    clips={"train": 13580, "dev": 3000, "test": 4000},
    targets=("mos",),
    scales={"mos": (1, 5)},
    marks=("wav",),
    folders=("vcc2018", "VCC2018"),
    ids=r"[A-Z]\d\d_\w+_(HUB|SPO|NAT)",
)
SETS = {
    "train": ("train_judge.csv", "vcc2018_training_data.csv"),
    "dev": ("valid_judge.csv", "vcc2018_valid_data.csv"),
    "test": ("test_judge.csv", "vcc2018_testing_data.csv"),
}
COLUMNS = ("WAV_PATH", "MEAN", "MOS", "JUDGE")


def read(root: Root) -> Sets:
    """Return train, dev and test."""
    return {part: _read_set(root, part, files) for part, files in SETS.items()}


def _read_set(root: Root, part: str, files: tuple[str, str]) -> list[Clip]:
    rows: dict[str, list[Row]] = {}
    for row in root.named(root.file(*files), COLUMNS):
        rows.setdefault(stem(row.text("WAV_PATH")), []).append(row)
    clips = []
    for name, votes in rows.items():
        fields = name.split("_")
        system = f"{fields[0]}_{fields[-1]}"
        ratings = [(row.text("JUDGE"), "mos", row.number("MOS")) for row in votes] if part == "train" else []
        about = {"is_reference": "yes" if fields[0] in ("S00", "T00") else ""}
        clips.append(Clip(name, f"wav/{name}.wav", {"mos": votes[0].number("MEAN")}, system, tuple(ratings), about))
    return clips
