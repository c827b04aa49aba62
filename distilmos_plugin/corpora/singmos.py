"""SingMOS: Chinese and Japanese singing, synthesised, converted, re-synthesised and natural.

Source:   https://huggingface.co/datasets/TangRain/SingMOS. The same clips as they came in the VoiceMOS Challenge 2024,
          with other names: the corpus ``vmc2024_track2``.
Licence:  CC BY 4.0.
Size:     2000 / 544 / 645 clips (train, dev, test) in the challenge's version, 5 ratings each (paper); a further split of the
          hub's version becomes a test set of its own.
Rate:     16 kHz.
Layout:   ``metadata.csv``   ``utt_id`` (``sys0001-utt0001``), ``mos``, ``split`` (train, valid, eval_v1, ...), and
          ``file_name`` where the audio is elsewhere than in ``wav/<utt_id>.wav``
          ``wav/*.wav``
Systems:  ``sys0001``, in front of the ``-``.
Citation: Y. Tang, J. Shi, Y. Wu, Q. Jin, "SingMOS: An Extensive Open-Source Singing Voice Dataset for MOS Prediction", 2024,
          arXiv 2406.10911.
"""

from __future__ import annotations

from distilmos_plugin.corpora.card import Card
from distilmos_plugin.corpora.importing import Clip, Sets
from distilmos_plugin.corpora.root import Root

CARD = Card(
    name="singmos",
    title="SingMOS: Chinese and Japanese singing",
    source="https://huggingface.co/datasets/TangRain/SingMOS",
    licence="CC BY 4.0",
    clips={"train": 2000, "dev": 544, "test": 645},
    targets=("mos",),
    scales={"mos": (1, 5)},
    marks=("metadata.csv",),
    folders=("SingMOS", "SingMOS-v1"),
    ids=r"sys\d{4}-utt\d{4}",
    unverified=("train", "dev", "test"),
)
SETS = {"train": "train", "valid": "dev", "eval_v1": "test"}  # split in the table: our name


def read(root: Root) -> Sets:
    """Return train, dev, test, and ``test_<split>`` for any other split."""
    sets: dict[str, list[Clip]] = {}
    for row in root.named("metadata.csv", ("utt_id", "mos", "split")):
        name, split = row.text("utt_id"), row.text("split")
        path = row.fields.get("file_name") or f"wav/{name}.wav"
        clip = Clip(name, path, {"mos": row.number("mos")}, name.partition("-")[0])
        sets.setdefault(SETS.get(split, f"test_{split}"), []).append(clip)
    return sets
