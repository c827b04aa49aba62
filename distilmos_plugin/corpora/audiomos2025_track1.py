"""Track 1 of the AudioMOS Challenge 2025, MusicEval: text-to-music, overall quality and fit to the prompt.

Source:   https://www.codabench.org/ (AudioMOS Challenge 2025, registration), ``MusicEval-phase1``.
Licence:  not stated; not downloaded by this program.
Size:     2748 clips of 31 systems in all (paper), more than 13,000 ratings by 14 raters. The sets of the training phase, train
          and dev; the labels of the evaluation phase are not public.
Rate:     not stated; that of the files is kept.
Layout:   ``MusicEval-phase1/wav/*.wav``
          ``MusicEval-phase1/sets/{train,dev}_mos_list.txt``  no header: ``audiomos2025-track1-S008_P020.wav,2.4,3.4``
          ``MusicEval-phase1/system_mos/system_mos_phase1.csv``    no header, means of systems; for ``--system-truth file``
          ``person_mos_list``: no header, ``clip,rater,quality,alignment``; where it lies is not documented: option ``ratings``
          Targets: mos (overall quality) and alignment (with the prompt P020). The systems S001 S006 S013 S017 S018 S033 take
          their prompts from ``demo_prompt_info.txt``, the others from ``prompt_info.txt``; ``manifest.tsv`` says which.
Citation: C. Liu et al., "MusicEval", ICASSP 2025; W.-C. Huang et al., "The AudioMOS Challenge 2025", ASRU 2025.
"""

from __future__ import annotations

from distilmos_plugin.corpora.card import Card
from distilmos_plugin.corpora.importing import Clip, Sets
from distilmos_plugin.corpora.root import Root, stem

CARD = Card(
    name="audiomos2025_track1",
    title="AudioMOS 2025 track 1: text-to-music (MusicEval), quality and fit to the prompt",
    source="Codabench, AudioMOS Challenge 2025 (MusicEval-phase1, registration)",
    licence="not stated",
    clips={},
    targets=("mos", "alignment"),
    scales={"mos": (1, 5), "alignment": (1, 5)},
    marks=("sets", "wav"),
    folders=("MusicEval-phase1", "MusicEval"),
    ids=r"audiomos2025-track1-S\d+_P\d+",
    challenge="audiomos2025_track1",
)
DEMO_SYSTEMS = ("S001", "S006", "S013", "S017", "S018", "S033")
PREFIX = "audiomos2025-track1-"


def read(root: Root, *, ratings: str = "") -> Sets:
    """Return train and dev; ``ratings`` is the file of single ratings."""
    single: dict[str, list[tuple[str, str, float]]] = {}
    if ratings:
        for row in root.table(root.given("ratings", ratings), ("clip", "rater", "quality", "alignment"), header=False):
            rater = row.text("rater")
            votes = [(rater, "mos", row.number("quality")), (rater, "alignment", row.number("alignment"))]
            single.setdefault(stem(row.text("clip")), []).extend(votes)
    return {name: _read_set(root, f"sets/{name}_mos_list.txt", single) for name in ("train", "dev")}


def _read_set(root: Root, file: str, single: dict[str, list[tuple[str, str, float]]]) -> list[Clip]:
    clips = []
    for row in root.table(file, ("clip", "quality", "alignment"), header=False):
        name = stem(row.text("clip"))
        system, _, prompt = name.removeprefix(PREFIX).partition("_")
        about = {"prompt": prompt, "prompt_list": "demo_prompt_info" if system in DEMO_SYSTEMS else "prompt_info"}
        labels = {"mos": row.number("quality"), "alignment": row.number("alignment")}
        clips.append(Clip(name, f"wav/{name}.wav", labels, system, tuple(single.get(name, ())), about))
    return clips
