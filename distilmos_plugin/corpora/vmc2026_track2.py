"""Track 2 of the VoiceMOS Challenge 2026: emotional speech synthesis, rated for quality and for emotion.

Source:   https://www.codabench.org/competitions/16419/ after signing its licence; natural speech of ESD and DailyTalk is
          added to it by the scripts of the package. What is not there is left out and listed.
Licence:  by agreement with the organisers; not downloaded by this program.
Size:     12746 / 2730 clips (train, dev) and 2730 in the evaluation phase; 13 synthesis systems and natural speech.
Rate:     16 kHz.
Layout:   (as published by participants of the challenge)
          ``wav/*.wav``
          ``metadata.csv``     no header, ``|`` between: ``vmc2026-track2-sys012-spk026-utt041.wav|happy|transcript``
          ``sets/train.csv``   header ``lisID|wavID|qMOS|emoCat|eMOS|val|dom|aro``, one line a rating; ``emoCat`` names
                               one emotion, or several with commas
          ``sets/dev.scp``     names with ``.wav``; another list of names: option ``eval_list``, it becomes ``test``
          Targets: mos (quality), emos (fit to the emotion that was meant), valence, arousal, dominance, and for each emotion
          the share of listeners who heard it: angry, happy, neutral, sad, surprised.
Citation: the summary of the VoiceMOS Challenge 2026 is not out; https://github.com/voicemos-challenge/vmc2026-baselines.
"""

from __future__ import annotations

from distilmos_plugin.corpora.card import Card
from distilmos_plugin.corpora.importing import Clip, Sets
from distilmos_plugin.corpora.root import Root, Row, stem
from distilmos_plugin.errors import DataError, some

EMOTIONS = ("angry", "happy", "neutral", "sad", "surprised")
SPELLINGS = {"surprise": "surprised"}
COLUMNS = {"qMOS": "mos", "eMOS": "emos", "val": "valence", "aro": "arousal", "dom": "dominance"}
CARD = Card(
    name="vmc2026_track2",
    title="VoiceMOS 2026 track 2: emotional TTS, quality and emotion",
    source="https://www.codabench.org/competitions/16419/ (licence agreement)",
    licence="by agreement",
    clips={"train": 12746, "dev": 2730},
    targets=(*COLUMNS.values(), *EMOTIONS),
    scales=dict.fromkeys(COLUMNS.values(), (1, 5)) | dict.fromkeys(EMOTIONS, (0, 1)),
    marks=("metadata.csv", "wav"),
    folders=("vmc2026-track2",),
    ids=r"vmc2026-track2-sys\w+-spk\w+-utt\w+",
    unverified=("train", "dev"),
    withheld="natural speech of ESD and DailyTalk is added by the scripts of the package",
    challenge="vmc2026_track2",
)


def read(root: Root, *, eval_list: str = "") -> Sets:
    """Return train, dev (without labels) and with ``eval_list`` test (without labels)."""
    meant = {}
    for line in root.lines("metadata.csv"):
        name, _, rest = line.partition("|")
        meant[stem(name)] = rest.partition("|")[0].lower()
    ratings: dict[str, list[Row]] = {}
    for row in root.named("sets/train.csv", ("lisID", "wavID", "emoCat", *COLUMNS), delimiter="|"):
        ratings.setdefault(stem(row.text("wavID")), []).append(row)
    sets = {"train": [_rated(name, rows, meant) for name, rows in ratings.items()]}
    sets["dev"] = [_clip(stem(line), meant) for line in root.lines("sets/dev.scp")]
    if eval_list:
        sets["test"] = [_clip(stem(line), meant) for line in root.lines(root.given("eval_list", eval_list))]
    return sets


def _clip(name: str, meant: dict[str, str], **more: object) -> Clip:
    system = name.split("-")[2] if name.count("-") >= 3 else ""
    return Clip(name, f"wav/{name}.wav", system=system, about={"emotion": meant.get(name, "")}, **more)


def _rated(name: str, rows: list[Row], meant: dict[str, str]) -> Clip:
    votes = [
        (row.text("lisID"), target, row.number(column)) for row in rows for column, target in COLUMNS.items() if row[column]
    ]
    heard = [_emotions(row) for row in rows]
    labels = {emotion: sum(emotion in one for one in heard) / len(heard) for emotion in EMOTIONS}
    return _clip(name, meant, labels=labels, ratings=tuple(votes))


def _emotions(row: Row) -> set[str]:
    names = {SPELLINGS.get(name, name) for name in (text.strip().lower() for text in row["emoCat"].split(",")) if name}
    unknown = sorted(names - set(EMOTIONS))
    if unknown:
        raise DataError(f"{row.where}: unknown emotion {some(unknown)}; expected {some(EMOTIONS)}")
    return names
