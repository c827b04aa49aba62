"""TCD-VoIP: five impairments of calls over the internet, at many strengths: choppy, noise, echo, clipping, competing speaker.

Source:   Trinity College Dublin; ``TCD-VOIP.zip`` in https://huggingface.co/datasets/urgent-challenge/urgent26_track2_sqa.
Licence:  CC BY-NC-SA.
Size:     384 clips (test) of 96 conditions by 4 talkers, the mean of 24 opinions each; English.
Rate:     48 kHz (paper).
Layout:   ``[TCD-VOIP/]*.xlsx``                       the sheet "Subjective Test Scores": ``Filename,ConditionID,sample MOS``
          ``[TCD-VOIP/]Test_Set/<type>/<Filename>``   type in lower case, the third part of ``C_01_ECHO_FA.wav``
          Instead of the workbook a CSV with ``Filename,ConditionID,MOS`` in the folder will do (a byte order mark and CRLF are
          read over); one with rounded means is in circulation, and is said to be one.
Systems:  type and ConditionID, 96 in all: ConditionID starts again in each type, and for 32 clips it is not the number in
          the name.
Citation: N. Harte, E. Gillen, A. Hines, "TCD-VoIP, a Research Database of Degraded Speech for Assessing Quality in VoIP
          Applications", QoMEX 2015.
"""

from __future__ import annotations

from distilmos_plugin.corpora.card import Archive, Card
from distilmos_plugin.corpora.importing import Clip, Sets
from distilmos_plugin.corpora.root import Root, Row, stem
from distilmos_plugin.corpora.workbook import read_sheet
from distilmos_plugin.errors import DataError, some

MIRROR = "https://huggingface.co/datasets/urgent-challenge/urgent26_track2_sqa/resolve/main"
CARD = Card(
    name="tcd_voip",
    title="TCD-VoIP: five impairments of calls over the internet",
    source=f"{MIRROR.removesuffix('/resolve/main')} (TCD-VOIP.zip)",
    licence="CC BY-NC-SA",
    clips={"test": 384},
    targets=("mos",),
    scales={"mos": (1, 5)},
    marks=("*/chop", "*/compspkr"),
    folders=("TCD-VOIP",),
    ids=r"\w+_\d+_(CHOP|NOISE|ECHO|CLIP|COMPSPKR)_\w+",
    archives=(Archive("TCD-VOIP.zip", url=f"{MIRROR}/TCD-VOIP.zip"),),
)
SHEET = "Subjective Test Scores"
MEANS = ("sample MOS", "MOS")  # name of the column in the workbook and in the CSV
ROUNDED = 2  # digits of the copy that circulates; the mean of 24 opinions has more


def read(root: Root) -> Sets:
    """Return test."""
    audio = next(root.path.glob(CARD.marks[0])).parent.name
    clips = []
    for row in _table(root):
        name = stem(row.text("Filename"))
        parts = name.split("_")
        if len(parts) != 4:
            raise DataError(f"{row.where}: '{name}' is not of the form C_01_ECHO_FA")
        mean = next(column for column in MEANS if column in row.fields)
        system = f"{parts[2]}-{row.text('ConditionID').removesuffix('.0')}"
        path = f"{audio}/{parts[2].lower()}/{name}.wav"
        clips.append(Clip(name, path, {"mos": row.number(mean)}, system, about={"talker": parts[3]}))
    if all(round(clip.labels["mos"], ROUNDED) == clip.labels["mos"] for clip in clips):
        root.notes.append("the labels are rounded; the workbook of the corpus has all digits")
    return {"test": clips}


def _table(root: Root) -> list[Row]:
    """Read the workbook, or the CSV that stands in for it."""
    tables = sorted(root.path.glob("*.xlsx")) or sorted(root.path.glob("*.csv"))
    if len(tables) != 1:
        found = some(table.name for table in tables) or "none"
        raise DataError(
            f"tcd_voip: {root.path}: expected one *.xlsx with the sheet '{SHEET}' or one *.csv in it, found {found}; "
            f"get it from {CARD.source}"
        )
    if tables[0].suffix == ".csv":
        return root.named(tables[0], ("Filename", "ConditionID", "MOS"))
    return read_sheet(CARD.name, tables[0], SHEET, ("Filename", "ConditionID", "sample MOS"))
