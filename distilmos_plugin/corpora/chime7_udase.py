"""CHiME-7 UDASE, the listening test: noisy conversations of CHiME-5 as recorded, and after four enhancement systems.

Source:   https://doi.org/10.5281/zenodo.10418311, ``CHiME-7-UDASE-evaluation-data.zip``.
Licence:  CC BY-SA 4.0.
Size:     640 clips (test) of 5 systems, rated after ITU-T P.835 for overall quality; English. With 5 systems, figures of
          systems mean next to nothing.
Rate:     16 kHz (paper).
Layout:   ``listening_test/MOS_results_listening_test.csv``   ``sample,condition,MOS``; rows of the condition ``ref`` (in
          either case) are references and are left out
          ``listening_test/data/<condition>/<sample>``
Systems:  the condition.
Citation: S. Leglaive et al., "Objective and subjective evaluation of speech enhancement methods in the UDASE task of the 7th
          CHiME challenge", 2024, arXiv 2402.01413.
"""

from __future__ import annotations

from distilmos_plugin.corpora.card import Archive, Card
from distilmos_plugin.corpora.importing import Clip, Sets
from distilmos_plugin.corpora.root import Root, stem

CARD = Card(
    name="chime7_udase",
    title="CHiME-7 UDASE listening test: enhancement of real conversations",
    source="https://doi.org/10.5281/zenodo.10418311 (CHiME-7-UDASE-evaluation-data.zip)",
    licence="CC BY-SA 4.0",
    clips={"test": 640},
    targets=("mos",),
    scales={"mos": (1, 5)},
    marks=("listening_test",),
    folders=("CHiME-7-UDASE-evaluation-data",),
    archives=(Archive("CHiME-7-UDASE-evaluation-data.zip", zenodo="10418311"),),
)
TABLE = "listening_test/MOS_results_listening_test.csv"
REFERENCE = "ref"


def read(root: Root) -> Sets:
    """Return test."""
    clips, references = [], 0
    for row in root.named(TABLE, ("sample", "condition", "MOS")):
        condition, sample = row.text("condition"), row.text("sample")
        if condition.lower() == REFERENCE:
            references += 1
            continue
        path = f"listening_test/data/{condition}/{sample}"
        clips.append(Clip(f"{condition}_{stem(sample)}", path, {"mos": row.number("MOS")}, condition))
    root.notes.append(f"{references} rows of the condition '{REFERENCE}' are left out")
    return {"test": clips}
