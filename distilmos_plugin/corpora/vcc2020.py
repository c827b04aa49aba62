"""The listening test of the Voice Conversion Challenge 2020.

How its scores are laid out is not confirmed, so this importer reads the table that it is pointed to, with the columns that it
is told, and refuses to guess. ``table`` reads other forms.

Source:   https://github.com/nii-yamagishilab/VCC2020-database, listening tests https://doi.org/10.5281/zenodo.4345689.
Licence:  ODbL 1.0.
Size:     not confirmed; without an official split, all of it is ``test``.
Rate:     24 kHz (paper); that of the files is kept.
Layout:   ``wav/<clip>.wav``, or the folder of the option ``audio``
          a table with a header: options ``labels=FILE clip=COLUMN score=COLUMN [system=COLUMN] [listener=COLUMN]``; with a
          listener, one line a rating
Citation: Z. Yi et al., "Voice Conversion Challenge 2020", Joint Workshop for the Blizzard Challenge and VCC 2020.
"""

from __future__ import annotations

from distilmos_plugin.corpora.card import Card
from distilmos_plugin.corpora.importing import Clip, Sets
from distilmos_plugin.corpora.root import Root, Row, stem
from distilmos_plugin.errors import DataError

CARD = Card(
    name="vcc2020",
    title="Voice Conversion Challenge 2020 (you say which table and columns)",
    source="https://github.com/nii-yamagishilab/VCC2020-database, https://doi.org/10.5281/zenodo.4345689",
    licence="ODbL 1.0",
    clips={},
    targets=("mos",),
    scales={"mos": (1, 5)},
)


def read(
    root: Root,
    *,
    labels: str = "",
    clip: str = "",
    score: str = "",
    system: str = "",
    listener: str = "",
    audio: str = "wav",
) -> Sets:
    """Return the test set.

    Args:
        root: the folder with the audio.
        labels: the table with the scores.
        clip, score, system, listener: its columns; the last two may be left out.
        audio: folder with the audio, under the root.
    """
    if not (labels and clip and score):
        raise DataError(
            "vcc2020: the layout of its scores is not confirmed; say where they are: "
            "--option labels=FILE --option clip=COLUMN --option score=COLUMN [--option system=COLUMN --option listener=COLUMN]"
        )
    rows: dict[str, list[Row]] = {}
    columns = tuple(filter(None, (clip, score, system, listener)))
    table = root.path / labels if (root.path / labels).is_file() else root.given("labels", labels)
    for row in root.named(table.resolve(), columns):
        rows.setdefault(stem(row.text(clip).rpartition("/")[2]), []).append(row)
    return {"test": [_clip(name, votes, score, system, listener, audio) for name, votes in rows.items()]}


def _clip(name: str, rows: list[Row], score: str, system: str, listener: str, audio: str) -> Clip:
    labels = {"mos": sum(row.number(score) for row in rows) / len(rows)}
    ratings = tuple((row.text(listener), "mos", row.number(score)) for row in rows) if listener else ()
    return Clip(name, f"{audio}/{name}.wav", labels, rows[0].text(system) if system else None, ratings)
