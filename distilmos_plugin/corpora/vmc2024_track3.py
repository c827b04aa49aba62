"""Track 3 of the VoiceMOS Challenge 2024: noisy, clean and enhanced speech, rated by ITU-T P.835. The test set only.

The list of the 100 labelled training clips is not public, so there is no training set here.

Source:   audio: ``voicemos2024-track3-eval-phase.zip`` (https://www.codabench.org/competitions/2650/, also Google Drive
          10ZPEccntb_KthiPYQhgCBjvyytkckAXt); labels: ``track3_answer.csv`` and ``track3_listener_wise_answer.csv`` in
          https://github.com/unilight/sheet, ``egs/vmc24_track3/answers/``; put them into the folder that has ``DATA``.
Licence:  not stated; not downloaded by this program.
Size:     280 clips, 7 systems of 40; 1400 ratings of each scale by 10 listeners.
Rate:     16 kHz.
Layout:   ``DATA/wav/voicemos2024-track3-p232_sys1_005.wav``
          ``track3_answer.csv``                  CRLF; header ``systems,SIG,BAK,OVR``: ``p232_sys1_005,3.75,3.75,3.75``
          ``track3_listener_wise_answer.csv``    optional; byte order mark, CRLF; header ``sample_id,sig,bak,ovr,listener``
          Targets: sig, bak, ovrl, and mos, which is ovrl: overall quality is what a MOS predictor is compared with.
Citation: W.-C. Huang et al., "The VoiceMOS Challenge 2024: Beyond Speech Quality Prediction", SLT 2024.
"""

from __future__ import annotations

from distilmos_plugin.corpora.card import Card
from distilmos_plugin.corpora.importing import Clip, Sets
from distilmos_plugin.corpora.root import Root

CARD = Card(
    name="vmc2024_track3",
    title="VoiceMOS 2024 track 3: noisy, clean and enhanced speech (P.835)",
    source="voicemos2024-track3-eval-phase.zip (Codabench 2650), labels github.com/unilight/sheet egs/vmc24_track3/answers",
    licence="not stated",
    clips={"test": 280},
    targets=("mos", "sig", "bak", "ovrl"),
    scales=dict.fromkeys(("mos", "sig", "bak", "ovrl"), (1, 5)),
    marks=("DATA/wav/voicemos2024-track3-*.wav",),
    folders=("voicemos2024-track3-eval-phase",),
    ids=r"voicemos2024-track3-p\d+_sys\d+_\d+",
    challenge="vmc2024_track3",
)
PREFIX = "voicemos2024-track3-"
TARGETS = {"sig": "sig", "bak": "bak", "ovr": "ovrl"}  # column of the ratings: target
ANSWERS, RATINGS = "track3_answer.csv", "track3_listener_wise_answer.csv"


def read(root: Root, *, answers: str = "", ratings: str = "") -> Sets:
    """Return the test set; the options are the label files, where they are not beside ``DATA``."""
    single: dict[str, list[tuple[str, str, float]]] = {}
    beside = next((name for name in (RATINGS, f"../{RATINGS}") if (root.path / name).is_file()), "")
    if ratings or beside:
        for row in root.named(root.given("ratings", ratings) if ratings else beside, ("sample_id", *TARGETS, "listener")):
            votes = {target: row.number(column) for column, target in TARGETS.items()}
            votes["mos"] = votes["ovrl"]
            listener = row.text("listener")
            single.setdefault(row.text("sample_id"), []).extend((listener, target, vote) for target, vote in votes.items())
    clips = []
    file = root.given("answers", answers) if answers else root.file(ANSWERS, f"../{ANSWERS}")
    for row in root.named(file, ("systems", "SIG", "BAK", "OVR")):
        name = row.text("systems")
        labels = {"sig": row.number("SIG"), "bak": row.number("BAK"), "ovrl": row.number("OVR"), "mos": row.number("OVR")}
        system = name.split("_")[1] if "_" in name else ""
        clips.append(Clip(f"{PREFIX}{name}", f"DATA/wav/{PREFIX}{name}.wav", labels, system, tuple(single.get(name, ()))))
    return {"test": clips}
