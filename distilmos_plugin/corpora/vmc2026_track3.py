"""Track 3 of the VoiceMOS Challenge 2026: how alike two recordings are in speaker and in accent (CodecMOS-Accent, VCTK).

Source:   https://www.codabench.org/competitions/16419/ after signing its licence: ``..._syn`` and ``..._vctk``; copy the wavs
          of the second into ``wav/`` of the first.
Licence:  by agreement with the organisers; not downloaded by this program.
Size:     2800 / 600 pairs (train, dev), 13687 ratings by 25 listeners in train; 24 systems and natural speech.
Rate:     16 kHz.
Layout:   ``sets/train.csv``   ``system_id,utterance_id,listener_id,wav_a_path,wav_b_path,spk_sim,acc_sim``, one line a rating
          ``sets/dev.csv``     ``system_id,utterance_id,wav_a_path,wav_b_path``, without labels
          ``wav/vmc2026-track3-sys003-utt010.wav``; paths are under the root, and the two together name a pair
          ``manifest.tsv`` has ``ref_path``, the other recording: a predictor of pairs needs it, the predictors of this package
          hear one recording.
Citation: the summary of the VoiceMOS Challenge 2026 is not out; https://github.com/voicemos-challenge/vmc2026-baselines.
"""

from __future__ import annotations

from distilmos_plugin.corpora.card import Card
from distilmos_plugin.corpora.importing import REFERENCE, Clip, Sets
from distilmos_plugin.corpora.root import Root, Row, stem

TARGETS = ("spk_sim", "acc_sim")
CARD = Card(
    name="vmc2026_track3",
    title="VoiceMOS 2026 track 3: similarity of speaker and accent, pairs",
    source="https://www.codabench.org/competitions/16419/ (licence agreement)",
    licence="by agreement",
    clips={"train": 2800, "dev": 600},
    targets=TARGETS,
    scales=dict.fromkeys(TARGETS, (1, 5)),
    marks=("sets", "wav/vmc2026-track3-*.wav"),
    folders=("vmc2026-track3",),
    ids=r"vmc2026-track3-sys\w+-utt\w+\+vmc2026-track3-sys\w+-utt\w+",
    unverified=("train", "dev"),
    challenge="vmc2026_track3",
)
PAIR = ("system_id", "utterance_id", "wav_a_path", "wav_b_path")


def read(root: Root) -> Sets:
    """Return train and dev."""
    pairs: dict[tuple[str, str], list[Row]] = {}
    for row in root.named("sets/train.csv", (*PAIR, "listener_id", *TARGETS)):
        pairs.setdefault((row["wav_a_path"], row["wav_b_path"]), []).append(row)
    train = [_clip(rows[0], _ratings(rows)) for rows in pairs.values()]
    return {"train": train, "dev": [_clip(row, ()) for row in root.named("sets/dev.csv", PAIR)]}


def _ratings(rows: list[Row]) -> tuple[tuple[str, str, float], ...]:
    return tuple((row.text("listener_id"), target, row.number(target)) for row in rows for target in TARGETS)


def _clip(row: Row, ratings: tuple[tuple[str, str, float], ...]) -> Clip:
    a, b = row.text("wav_a_path"), row.text("wav_b_path")
    name = f"{stem(a.rpartition('/')[2])}+{stem(b.rpartition('/')[2])}"
    about = {column: row[column] for column in PAIR} | {REFERENCE: b}
    return Clip(name, a, {}, row.text("system_id"), ratings, about)
