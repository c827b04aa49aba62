"""Listening tests of the Blizzard Challenges, packed one folder a year by the user (2008 to 2011, 2019, 2023 ...).

Source:   https://www.cstr.ed.ac.uk/projects/blizzard/data.html and the pages of each year.
Licence:  of each year, research only; not downloaded by this program.
Size:     of each year. There is no official split: a tenth of the clips is dev and a tenth test, by a hash of their names.
Rate:     mixed; that of the files is kept.
Layout:   (that of UTMOSv2's recipe)
          ``blizzard2009/blizzard2009_mos.csv``         no header: ``A_EH1_conv_2009_0003.wav,3.2``
          ``blizzard2009/blizzard2009_wavs/*.wav``
          ``blizzard2010/blizzard2010_mos_EH1.csv``, ``blizzard2010/blizzard2010_wavs_EH1/*.wav``   a task with its own files
          A system is a letter, which means another one in each year and task: ``2009_EH1_A``.
Citation: the summary of each year, for instance A. W. Black et al., "The Blizzard Challenge 2009".
"""

from __future__ import annotations

import re

from distilmos_plugin.corpora.card import Card
from distilmos_plugin.corpora.importing import Clip, Sets, seeded_part
from distilmos_plugin.corpora.root import Root, stem

CARD = Card(
    name="blizzard",
    title="Blizzard Challenges, packed by the user, one folder a year",
    source="https://www.cstr.ed.ac.uk/projects/blizzard/data.html",
    licence="of each year, research only",
    clips={},
    targets=("mos",),
    scales={"mos": (1, 5)},
    marks=("blizzard*/blizzard*_wavs*",),
    ids=r"\d{4}(_\w+?)?/.+",
)
FOLDER = re.compile(r"blizzard(\d{4})_wavs(?:_(\w+))?")
TASK = re.compile(r"[EMI][HS]\d")  # hub and spoke tasks: English, Mandarin, Indian languages
SHARE = 0.1  # of the clips for dev, and for test


def read(root: Root, *, seed: int = 0) -> Sets:
    """Return train, dev and test of all years that are there; ``seed`` chooses another split."""
    clips = []
    for folder in sorted(root.path.glob("blizzard*/blizzard*_wavs*")):
        found = FOLDER.fullmatch(folder.name)
        if found is None or not folder.is_dir():
            continue
        year, part = found[1], found[2]
        file = f"{folder.parent.name}/{folder.name.replace('_wavs', '_mos')}.csv"
        for row in root.table(root.file(file), ("clip", "mos"), header=False):
            name = stem(row.text("clip"))
            letter, *fields = name.split("_")
            task = part or (fields[0] if fields and TASK.fullmatch(fields[0]) else "")
            where = "_".join(filter(None, (year, task)))
            wav = f"{folder.parent.name}/{folder.name}/{name}.wav"
            clips.append(Clip(f"{where}/{name}", wav, {"mos": row.number("mos")}, f"{where}_{letter}", about={"part": where}))
    ids = [clip.id for clip in clips]
    test = seeded_part(ids, SHARE, f"blizzard test {seed}")
    dev = seeded_part(set(ids) - test, SHARE / (1 - SHARE), f"blizzard dev {seed}")
    root.notes.append(f"no official split: {SHARE:.0%} dev and {SHARE:.0%} test by a hash of the ids, seed {seed}")
    return {
        "train": [clip for clip in clips if clip.id not in test | dev],
        "dev": [clip for clip in clips if clip.id in dev],
        "test": [clip for clip in clips if clip.id in test],
    }
