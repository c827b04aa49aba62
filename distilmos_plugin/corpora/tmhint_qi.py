"""TMHINT-QI: noisy, clean and enhanced Mandarin, rated for quality and for intelligibility.

Source:   ``TMHINTQI.zip`` (Google Drive 1TMDiz6dnS76hxyeAcCQxeSqqEOH4UDN0, and on the Hugging Face hub).
Licence:  MIT, as URGENT 2026 lists it; not downloaded by this program (Google Drive asks for a confirmation).
Size:     12937 clips to train with and 1978 to test, 98 systems. There is no dev set: a tenth of the former becomes it, by a
          hash of the names. (SHEET draws its own from an unsorted folder, which nobody can repeat.)
Rate:     16 kHz.
Layout:   ``TMHINTQI/raw_data.csv``    header ``idx,method,uttr,snr,noise,quality_score,intelligibility_score,file_name``, one
                                       line a rating; the file name is without ``.wav``, a score may be empty (no rating)
          ``TMHINTQI/{train,test}/*.wav``    the folder tells the set, no column does
          Targets: mos (quality, 1 to 5) and intelligibility (0 to 10). What ``idx`` counts is not documented, so there are no
          listeners: means, and the number of ratings in ``manifest.tsv``. A system is ``FCN-SNR-2-babble``.
Citation: Y.-W. Chen and Y. Tsao, "InQSS: a speech intelligibility and quality assessment model using a multi-task learning
          network", Interspeech 2022.
"""

from __future__ import annotations

from statistics import fmean

from distilmos_plugin.corpora.card import Card
from distilmos_plugin.corpora.importing import Clip, Sets, seeded_part
from distilmos_plugin.corpora.root import Root, Row, stem

CARD = Card(
    name="tmhint_qi",
    title="TMHINT-QI: noisy and enhanced Mandarin, quality and intelligibility",
    source="TMHINTQI.zip (Google Drive 1TMDiz6dnS76hxyeAcCQxeSqqEOH4UDN0)",
    licence="MIT, as listed by URGENT 2026",
    clips={"train": 11643, "dev": 1294, "test": 1978},
    targets=("mos", "intelligibility"),
    scales={"mos": (1, 5), "intelligibility": (0, 10)},
    marks=("train/*.wav", "test/*.wav"),
    folders=("TMHINTQI",),
    unverified=("train", "dev", "test"),
)
SCORES = {"quality_score": "mos", "intelligibility_score": "intelligibility"}
SHARE = 0.1  # of train for dev


def read(root: Root, *, seed: int = 0) -> Sets:
    """Return train, dev and test; ``seed`` chooses another dev set."""
    rows: dict[str, list[Row]] = {}
    empty = 0
    for row in root.named("raw_data.csv", ("method", "snr", "noise", "file_name", *SCORES)):
        if row["quality_score"]:
            rows.setdefault(stem(row.text("file_name")), []).append(row)
        else:
            empty += 1
    if empty:
        root.notes.append(f"{empty} lines without a score of quality are left out")
    in_test = {name for name in rows if (root.path / "test" / f"{name}.wav").is_file()}
    dev = seeded_part(set(rows) - in_test, SHARE, f"tmhint_qi dev {seed}")
    root.notes.append(f"no official dev set: {SHARE:.0%} of train by a hash of the names, seed {seed}")
    return {
        "train": [_clip(name, votes, "train") for name, votes in rows.items() if name not in in_test | dev],
        "dev": [_clip(name, votes, "train") for name, votes in rows.items() if name in dev],
        "test": [_clip(name, votes, "test") for name, votes in rows.items() if name in in_test],
    }


def _clip(name: str, votes: list[Row], folder: str) -> Clip:
    first = votes[0]
    given = {target: [row.number(column) for row in votes if row[column]] for column, target in SCORES.items()}
    labels = {target: fmean(values) for target, values in given.items() if values}
    system = f"{first['method']}-SNR{first['snr']}-{first['noise']}"
    return Clip(name, f"{folder}/{name}.wav", labels, system, about={"n_ratings": str(len(votes))})
