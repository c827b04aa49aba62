"""Track 1 of the VoiceMOS Challenge 2026: enhanced speech, absolute (ACR) and comparative (CCR) ratings. Without labels.

Source:   https://huggingface.co/datasets/urgent-challenge/vmc2026-track1-dev and ``-test``, configurations ``acr`` and
          ``ccr``. How they are stored is up to the hub; export them once to the layout below::

              for config, columns in {"acr": {"audio": ""}, "ccr": {"audio_a": "_a", "audio_b": "_b"}}.items():
                  for row in datasets.load_dataset("urgent-challenge/vmc2026-track1-dev", config, split="dev"):
                      for column, suffix in columns.items():
                          sound = row[column]
                          soundfile.write(f"dev/{row['sample_id']}{suffix}.flac", sound["array"], sound["sampling_rate"])

Licence:  of the data set on the hub; not downloaded by this program.
Size:     dev 1008 clips and 2520 pairs, test 4032 clips and 10080 pairs; six systems, which are not named; nine languages.
          There is no training set.
Rate:     16 to 44.1 kHz.
Layout:   ``dev/vmc2026-track1-dev-acr_489.flac``         rated alone
          ``dev/vmc2026-track1-dev-ccr_7233_{a,b}.flac``  a pair: each gets a score, the answer is their difference, a - b
          ``test/...``
Citation: the summary of the VoiceMOS Challenge 2026 is not out; https://github.com/voicemos-challenge/vmc2026-baselines.
"""

from __future__ import annotations

import re
from pathlib import Path

from distilmos_plugin.corpora.card import Card
from distilmos_plugin.corpora.importing import REFERENCE, Clip, Sets
from distilmos_plugin.corpora.root import Root

CARD = Card(
    name="vmc2026_track1",
    title="VoiceMOS 2026 track 1: enhanced speech, absolute and comparative ratings (audio only)",
    source="https://huggingface.co/datasets/urgent-challenge/vmc2026-track1-dev (and -test)",
    licence="see the data set on the hub",
    clips={"dev": 1008 + 2 * 2520, "test": 4032 + 2 * 10080},
    targets=("mos",),
    scales={"mos": (1, 5)},
    marks=("dev/vmc2026-track1-*.*|test/vmc2026-track1-*.*",),
    ids=r"vmc2026-track1-(dev|test)-(acr_\d+|ccr_\d+_[ab])",
    unverified=("dev", "test"),
    challenge="vmc2026_track1",
)


def read(root: Root) -> Sets:
    """Return dev and test, what there is of them."""
    sets: dict[str, list[Clip]] = {}
    for part in ("dev", "test"):
        paths = sorted((root.path / part).glob("vmc2026-track1-*.*"))
        if paths:
            sets[part] = [Clip(path.stem, f"{part}/{path.name}", about=_other(part, path)) for path in paths]
    return sets


def _other(part: str, path: Path) -> dict[str, str]:
    """Return the other recording of a pair, for the manifest."""
    if not re.search(r"-ccr_\d+_[ab]$", path.stem):
        return {}
    half = "b" if path.stem.endswith("a") else "a"
    return {REFERENCE: f"{part}/{path.stem[:-1]}{half}{path.suffix}"}
