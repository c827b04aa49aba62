"""Track 1 of the VoiceMOS Challenge 2023: the listening tests of the Blizzard Challenge 2023, in French. A test set only.

Source:   audio: ``VoiceMOS2023Track1.zip``, https://www.dropbox.com/s/c83l67bkeh9p49k/VoiceMOS2023Track1.zip;
          labels: ``track1_answer.txt`` in https://github.com/unilight/sheet, ``egs/vmc23/answers/``; put it beside the audio.
Licence:  not stated; not downloaded by this program.
Size:     882 clips of 21 systems (track 1a, the hub task: one voice, NEB) and 578 of 17 (track 1b, the spoke task: another
          voice, AD). The two are scored apart.
Rate:     22.05 kHz.
Layout:   ``VoiceMOS2023Track1/*.wav``
          ``track1_answer.txt``    no header, no ``.wav``: ``VoiceMOS2023Track1-A-AD_test_0026,4.42105263157895``
Citation: E. Cooper et al., "The VoiceMOS Challenge 2023", ASRU 2023.
"""

from __future__ import annotations

from distilmos_plugin.corpora.card import Card
from distilmos_plugin.corpora.importing import Clip, Sets
from distilmos_plugin.corpora.root import Root, Row, stem

CARD = Card(
    name="vmc2023_track1",
    title="VoiceMOS 2023 track 1: Blizzard Challenge 2023, French TTS",
    source="VoiceMOS2023Track1.zip (Dropbox), labels github.com/unilight/sheet egs/vmc23/answers",
    licence="not stated",
    clips={"test_1a": 882, "test_1b": 578},
    targets=("mos",),
    scales={"mos": (1, 5)},
    marks=("VoiceMOS2023Track1-*.wav",),
    folders=("VoiceMOS2023Track1", "track1", "track1/VoiceMOS2023Track1", "wavs", "wav"),
    ids=r"VoiceMOS2023Track1-[A-Z]+-(AD|NEB)_test_\d+",
    challenge="vmc2023_track1",
)


def read(root: Root, *, answers: str = "") -> Sets:
    """Return the sets of both tasks; ``answers`` is the label file, where it is not beside the audio."""
    sets: dict[str, list[Clip]] = {"test_1a": [], "test_1b": []}
    for row in read_answers(root, answers, "track1_answer.txt"):
        name = stem(row.text("clip"))
        system = name.partition("_")[0].partition("-")[2]  # VoiceMOS2023Track1-A-AD_test_0026: A-AD
        part = "test_1b" if system.endswith("-AD") else "test_1a"
        sets[part].append(Clip(name, f"{name}.wav", {"mos": row.number("mos")}, system))
    return sets


def read_answers(root: Root, answers: str, name: str) -> list[Row]:
    """Read the label file of a track of 2023: the one that was given, else the one beside or above the audio."""
    places = (name, f"../{name}", f"answers/{name}", f"../answers/{name}")
    file = root.given("answers", answers) if answers else root.file(*places)
    return root.table(file, ("clip", "mos"), header=False)
