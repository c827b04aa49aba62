"""Track 2 of the VoiceMOS Challenge 2023: the Singing Voice Conversion Challenge 2023. A test set only.

Source:   audio: ``VoiceMOS_2023_track2.zip`` (Google Drive 188FJiCBT0RSI6-q4ICJPfGqmR22_9Kd2); labels: ``track2_answer.txt``
          in https://github.com/unilight/sheet, ``egs/vmc23/answers/``, single ratings: ``listener_wise_answer.csv`` in
          ``egs/svcc23/answers/``; put them beside the audio.
Licence:  not stated; not downloaded by this program.
Size:     4040 clips of 26 systems (B01, B02, T01 to T24), the source (SOU) and the target singers (TAR); 25440 ratings by 400
          listeners. Targets IDF1 and IDM1 are the in-domain task, CDF1 and CDM1 the cross-domain one; both are in ``test``.
Rate:     24 kHz.
Layout:   ``VoiceMOS_2023_track2/*.wav``
          ``track2_answer.txt``           no header: ``VoiceMOS2023Track2-B01-SF1-CDF1-30001,2.857142857142857``
          ``listener_wise_answer.csv``    optional; header ``sample_id,listener_name,score``
Citation: W.-C. Huang et al., "The Singing Voice Conversion Challenge 2023", ASRU 2023;
          E. Cooper et al., "The VoiceMOS Challenge 2023", ASRU 2023.
"""

from __future__ import annotations

from distilmos_plugin.corpora.card import Card
from distilmos_plugin.corpora.importing import Clip, Sets
from distilmos_plugin.corpora.root import Root, stem
from distilmos_plugin.corpora.vmc2023_track1 import read_answers

CARD = Card(
    name="vmc2023_track2",
    title="VoiceMOS 2023 track 2: singing voice conversion (SVCC 2023)",
    source="VoiceMOS_2023_track2.zip (Google Drive), labels github.com/unilight/sheet egs/vmc23/answers",
    licence="not stated",
    clips={"test": 4040},
    targets=("mos",),
    scales={"mos": (1, 5)},
    marks=("VoiceMOS2023Track2-*.wav",),
    folders=("VoiceMOS_2023_track2", "track2", "track2/VoiceMOS_2023_track2", "wavs", "wav"),
    ids=r"VoiceMOS2023Track2-(B\d\d|T\d\d|SOU|TAR)-\w+-\w+-\d+",
    challenge="vmc2023_track2",
)
TASKS = {"ID": "in-domain", "CD": "cross-domain"}  # first letters of the target singer
NATURAL = ("SOU", "TAR")
RATINGS = "listener_wise_answer.csv"


def read(root: Root, *, answers: str = "", ratings: str = "") -> Sets:
    """Return the test set; the options are the label files, where they are not beside the audio."""
    single: dict[str, list[tuple[str, str, float]]] = {}
    beside = next((name for name in (RATINGS, f"../{RATINGS}") if (root.path / name).is_file()), "")
    if ratings or beside:
        for row in root.named(root.given("ratings", ratings) if ratings else beside, ("sample_id", "listener_name", "score")):
            rating = (row.text("listener_name"), "mos", row.number("score"))
            single.setdefault(stem(row.text("sample_id")), []).append(rating)
    clips = []
    for row in read_answers(root, answers, "track2_answer.txt"):
        name = stem(row.text("clip"))
        system, _, singer, _ = name.split("-")[1:] if name.count("-") == 4 else ("", "", "", "")
        about = {"task": TASKS.get(singer[:2], "source"), "is_reference": "yes" if system in NATURAL else ""}
        labels = {"mos": row.number("mos")}
        clips.append(Clip(name, f"{name}.wav", labels, system, tuple(single.get(name, ())), about))
    return {"test": clips}
