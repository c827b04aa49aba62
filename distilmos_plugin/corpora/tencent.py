"""Tencent corpus of the ConferencingSpeech 2022 challenge: Mandarin, without and with reverberation.

Source:   https://github.com/ConferencingSpeech/ConferencingSpeech2022; the archive as mirrored in
          https://huggingface.co/datasets/urgent-challenge/urgent26_track2_sqa, ``TencentCorpus.zip``.
Licence:  Apache-2.0.
Size:     11563 clips (8366 dry, 3197 reverberant), Mandarin. There is no official split: dev is a tenth of each part,
          chosen by a seeded hash of the names, so it is the same on every machine; the challenge's test set is not public.
Rate:     16 kHz.
Layout:   ``TencentCorups/`` (sic), with ``deg_wav,mos`` and CRLF in
          ``withoutReverberationTrainDevMOS.csv``   ``./withoutReverberationTrainDev/00001.wav,1.08``
          ``withReverberationTrainDevMOS.csv``      ``./withReverberationTrainDevMOS/0000.wav,1.12``
          The folders of the audio are named as in these paths, unlike one another.
Options:  ``seed`` of the split.
Systems:  none are given: no system level.
Citation: G. Yi et al., "ConferencingSpeech 2022 Challenge: Non-intrusive Objective Speech Quality Assessment (NISQA) Challenge
          for Online Conferencing Applications", Interspeech 2022, arXiv 2203.16032.
"""

from __future__ import annotations

from distilmos_plugin.corpora.card import Archive, Card
from distilmos_plugin.corpora.importing import Clip, Sets, seeded_part
from distilmos_plugin.corpora.root import Root, stem

MIRROR = "https://huggingface.co/datasets/urgent-challenge/urgent26_track2_sqa/resolve/main"
CARD = Card(
    name="tencent",
    title="ConferencingSpeech 2022, Tencent: Mandarin, dry and reverberant",
    source="https://github.com/ConferencingSpeech/ConferencingSpeech2022",
    licence="Apache-2.0",
    clips={"train": 10406, "dev": 1157},
    targets=("mos",),
    scales={"mos": (1, 5)},
    marks=("with*ReverberationTrainDev*",),
    folders=("TencentCorups",),
    ids=r"with(out)?ReverberationTrainDev\w*/\d+",
    archives=(Archive("TencentCorpus.zip", url=f"{MIRROR}/TencentCorpus.zip"),),
)
TABLES = ("withoutReverberationTrainDevMOS.csv", "withReverberationTrainDevMOS.csv")
DEV_SHARE = 0.1


def read(root: Root, *, seed: int = 0) -> Sets:
    """Return train and dev."""
    sets: dict[str, list[Clip]] = {"train": [], "dev": []}
    for table in TABLES:
        clips = _read_part(root, table)
        dev = seeded_part((clip.id for clip in clips), DEV_SHARE, f"tencent {seed}")
        for clip in clips:
            sets["dev" if clip.id in dev else "train"].append(clip)
    root.notes.append(f"dev: a tenth of each part by a hash of the names, seed {seed}; there is no official split")
    return sets


def _read_part(root: Root, table: str) -> list[Clip]:
    clips = []
    for row in root.named(table, ("deg_wav", "mos")):
        path = row.text("deg_wav").removeprefix("./")
        about = {"reverberant": "no" if table.startswith("without") else "yes"}
        clips.append(Clip(stem(path), path, {"mos": row.number("mos")}, about=about))
    return clips
