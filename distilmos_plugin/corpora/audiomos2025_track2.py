"""Track 2 of the AudioMOS Challenge 2025: the four axes of Audiobox Aesthetics for speech, sound and music.

Source:   labels: https://github.com/facebookresearch/audiobox-aesthetics, ``audiomos2025_track2/``. Audio of train and dev is
          gathered from LibriTTS, EARS, Common Voice 13, MUSDB18, MusicCaps and AudioSet; that of the test set is
          ``audiomos2025-track2-eval-phase`` (Codabench). What is not there is left out and listed.
Licence:  labels CC BY 4.0; audio that of each source; not downloaded by this program.
Size:     2700 / 250 clips without systems (train, dev), 3060 of 36 systems (test), 10 ratings each; who gave them is not said,
          so there are means only.
Rate:     mixed.
Layout:   ``audiomos2025-track2-{train,dev}_list.csv``    header; ``sample_id``, ``data_path`` (begins with ``/your_path/``,
                                                          which stands for the folder ``audio``), four means
          ``audiomos2025_track2_human_annotations.jsonl`` ``data_path`` (the id) and four lists of 10 ratings
          ``audiomos2025-track2-eval-phase/DATA/wav/<id>.wav``, in the same folder or beside it
          Targets: pq, pc, ce, cu (production quality and complexity, content enjoyment and usefulness). The scale is 1 to
          10, but a rating of 0 does occur.
Citation: A. Tjandra et al., "Meta Audiobox Aesthetics", arXiv 2502.05139; W.-C. Huang et al., "The AudioMOS Challenge 2025".
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean

from distilmos_plugin.corpora.card import Card
from distilmos_plugin.corpora.importing import Clip, Sets
from distilmos_plugin.corpora.root import Root
from distilmos_plugin.errors import DataError

AXES = {
    "pq": "Production_Quality",
    "pc": "Production_Complexity",
    "ce": "Content_Enjoyment",
    "cu": "Content_Usefulness",
}
CARD = Card(
    name="audiomos2025_track2",
    title="AudioMOS 2025 track 2: Audiobox Aesthetics of speech, sound and music",
    source="https://github.com/facebookresearch/audiobox-aesthetics (audiomos2025_track2), audio per source",
    licence="labels CC BY 4.0; audio per source",
    clips={"train": 2700, "dev": 250, "test": 3060},
    targets=tuple(AXES),
    scales=dict.fromkeys(AXES, (0, 10)),
    marks=("audiomos2025-track2-*_list.csv",),
    folders=("audiomos2025_track2",),
    ids=r"audiomos2025-track2-.+",
    withheld="the audio is gathered from its sources",
    challenge="audiomos2025_track2",
)
PLACEHOLDER = "/your_path/"
TRUTH = "audiomos2025_track2_human_annotations.jsonl"
EVAL_AUDIO = "audiomos2025-track2-eval-phase/DATA/wav"


def read(root: Root, *, audio: str = "") -> Sets:
    """Return train, dev and test; ``audio`` is the folder that ``/your_path/`` stands for, by default that of the lists."""
    folder = Path(audio).resolve() if audio else root.path.resolve()
    sets = {name: _read_list(root, f"audiomos2025-track2-{name}_list.csv", folder) for name in ("train", "dev")}
    return sets | {"test": _read_truth(root)}


def _read_list(root: Root, file: str, folder: Path) -> list[Clip]:
    clips = []
    for row in root.named(file, ("sample_id", "data_path", *AXES.values())):
        path = row.text("data_path").removeprefix(PLACEHOLDER)
        labels = {target: row.number(column) for target, column in AXES.items()}
        clips.append(Clip(row.text("sample_id"), str(folder / path), labels))
    return clips


def _read_truth(root: Root) -> list[Clip]:
    folder = root.folder(EVAL_AUDIO, f"../{EVAL_AUDIO}")
    clips = []
    for number, line in enumerate(root.lines(TRUTH), start=1):
        try:
            entry = json.loads(line)
            name = entry["data_path"]
            labels = {target: fmean(entry[column]) for target, column in AXES.items()}
            count = len(entry[AXES["pq"]])
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{CARD.name}: {root.path / TRUTH}: line {number}: not a clip with its ratings ({error})"
            ) from None
        system = name.split("-")[2] if name.count("-") >= 3 else ""
        clips.append(Clip(name, f"{folder}/{name}.wav", labels, system, about={"n_ratings": str(count)}))
    return clips
