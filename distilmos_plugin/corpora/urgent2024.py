"""URGENT 2024 MOS: the listening test of the URGENT Challenge 2024, speech enhancement. A test set only.

Source:   https://huggingface.co/datasets/urgent-challenge/urgent2024_mos, split ``test`` (``id``, ``audio``, ``mos``,
          ``raw_ratings``). How it is stored is up to the hub; export it once to the layout below (SHEET's
          ``egs/urgent2024-mos/local/data_download.py`` does so). The systems are not in it: they are in
          https://huggingface.co/datasets/urgent-challenge/urgent2024-sqa, split ``blind_test_mos``.
Licence:  CC BY-NC-SA 4.0.
Size:     6900 clips of 23 systems; the ratings do not say whose they are, so there are means and counts only.
Rate:     8 to 48 kHz in one set.
Layout:   ``wavs/<id>.wav``
          ``metadata.csv``    header; ``wav_path``, ``score``, ``raw_ratings`` (``[3, 4, 5]``, optional); its ``system_id``
                              repeats the id and is not read
          systems: JSON lines ``{"sample_id": ..., "system_id": ...}``, option ``systems``; without it there are none
Citation: W. Zhang et al., "Lessons Learned from the URGENT 2024 Speech Enhancement Challenge", Interspeech 2025.
"""

from __future__ import annotations

import json

from distilmos_plugin.corpora.card import Card
from distilmos_plugin.corpora.importing import Clip, Sets
from distilmos_plugin.corpora.root import Root, stem
from distilmos_plugin.errors import DataError

CARD = Card(
    name="urgent2024",
    title="URGENT 2024 challenge: enhanced speech, 8 to 48 kHz",
    source="https://huggingface.co/datasets/urgent-challenge/urgent2024_mos",
    licence="CC BY-NC-SA 4.0",
    clips={"test": 6900},
    targets=("mos",),
    scales={"mos": (1, 5)},
    marks=("wavs",),
    folders=("urgent2024_mos", "urgent2024-mos"),
)
TABLE = "metadata.csv"


def read(root: Root, *, systems: str = "") -> Sets:
    """Return the test set; ``systems`` is the JSON lines file that says which system each clip is of."""
    system_of = read_systems(root, systems) if systems else {}
    clips = []
    for row in root.named(TABLE, ("wav_path", "score")):
        wav = row.text("wav_path")
        name = stem(wav.rpartition("/")[2])
        if systems and name not in system_of:
            raise DataError(f"{CARD.name}: {systems}: no system for '{name}'")
        about = {"n_ratings": str(_count(row.fields.get("raw_ratings", "")))}
        clips.append(Clip(name, wav, {"mos": row.number("score")}, system_of.get(name), about=about))
    return {"test": clips}


def read_systems(root: Root, path: str) -> dict[str, str]:
    """Read clip -> system from JSON lines with ``sample_id`` and ``system_id``, the exchange format of URGENT 2026."""
    systems = {}
    for number, line in enumerate(root.lines(root.given("systems", path)), start=1):
        try:
            entry = json.loads(line)
            systems[str(entry["sample_id"])] = str(entry["system_id"])
        except (ValueError, KeyError, TypeError):
            raise DataError(f"{CARD.name}: {path}: line {number}: expected an object with sample_id and system_id") from None
    return systems


def _count(ratings: str) -> int | str:
    """Return the number of ratings in ``[3, 4, 5]``; an empty string where they are not given."""
    try:
        return len(json.loads(ratings))
    except (ValueError, TypeError):
        return ""
