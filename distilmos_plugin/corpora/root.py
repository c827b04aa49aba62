"""The folder of a downloaded corpus, and the tables in it.

Whatever is wrong is one sentence that names the corpus, the file, the line and what to do. Tables are read as they come: with
or without a byte order mark, with CRLF or LF line ends, with a header or not, with commas inside quotes; every field is text
(``015`` is not 15) until it is asked for as a number.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from distilmos_plugin.corpora.card import Card
from distilmos_plugin.errors import DataError, some, suggest


def stem(name: str) -> str:
    """Return a file's name without one ``.wav`` at its end; nothing else is cut (``a.wav_GL.wav`` exists).

    >>> stem("sys1-utt2.wav"), stem("sys1-utt2"), stem("a.wav_GL.wav")
    ('sys1-utt2', 'sys1-utt2', 'a.wav_GL')
    """
    return name[: -len(".wav")] if name.lower().endswith(".wav") else name


@dataclass
class Row:
    """One line of a table.

    Attributes:
        fields: column -> text, without the blanks around it.
        where: corpus, file and line, for messages.
    """

    fields: dict[str, str]
    where: str

    def __getitem__(self, column: str) -> str:
        return self.fields[column]

    def text(self, column: str) -> str:
        """Return a field that must not be empty."""
        value = self.fields[column]
        if not value:
            raise DataError(f"{self.where}: column '{column}' is empty")
        return value

    def number(self, column: str) -> float:
        """Return a field as a finite number."""
        try:
            value = float(self.fields[column])
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise DataError(f"{self.where}: column '{column}': expected a finite number, found '{self.fields[column]}'")
        return value


@dataclass
class Root:
    """The folder of a corpus.

    Attributes:
        card: of the corpus.
        path: the folder that holds :attr:`~.card.Card.marks`.
        notes: what was decided while reading (splits, rows left out), for ``corpus.json``.
    """

    card: Card
    path: Path
    notes: list[str] = field(default_factory=list)

    def file(self, *relative: str) -> Path:
        """Return a file of the corpus; with several names, the first that is there.

        Raises:
            DataError: if none is.
        """
        for name in relative:
            if (self.path / name).is_file():
                return self.path / name
        other = f" (nor {some(relative[1:])})" if relative[1:] else ""
        raise DataError(
            f"{self.card.name}: {self.path / relative[0]} is missing{other}; "
            f"the download is incomplete, get it again from {self.card.source}"
        )

    def folder(self, *relative: str) -> str:
        """Return the first of these folders that is there, else the first: its audio is then reported as missing."""
        return next((name for name in relative if (self.path / name).is_dir()), relative[0])

    def given(self, option: str, path: str) -> Path:
        """Return the file that the user named in an option of the importer.

        Raises:
            DataError: if it is not there.
        """
        if not Path(path).is_file():
            raise DataError(f"{self.card.name}: {path} is missing; the option {option} names it")
        return Path(path).resolve()

    def table(
        self,
        file: str | Path,
        columns: Sequence[str] | None = None,
        *,
        header: bool | None = None,
        delimiter: str = ",",
    ) -> list[Row]:
        """Read a table.

        Args:
            file: under the root, or an absolute path.
            columns: their names by position. Without them the first line names the columns.
            header: with ``columns``, whether the first line is a header; None finds out: it is one if it has no number
                where the second line has one, or if it is ``columns`` themselves.
            delimiter: a character; a blank stands for any white space.

        Returns:
            Its rows; empty lines are left out.

        Raises:
            DataError: if the file is missing, empty or not UTF-8, or a line has too few or too many fields.
        """
        path = Path(file) if Path(file).is_absolute() else self.file(str(file))
        lines = _read(self.card.name, path, delimiter)
        if columns is None:
            names = [name.strip() for name in lines[0][1]]
            lines = lines[1:]
        else:
            names = list(columns)
            lines = lines[1:] if header or (header is None and _has_header(lines, names)) else lines
        if not lines:
            raise DataError(f"{self.card.name}: {path}: the table has no rows")
        rows = []
        for number, fields in lines:
            where = f"{self.card.name}: {path}: line {number}"
            if len(fields) != len(names):
                raise DataError(f"{where}: {len(fields)} fields; expected {len(names)}: {some(names, 8)}")
            rows.append(Row(dict(zip(names, (text.strip() for text in fields), strict=True)), where))
        return rows

    def named(self, file: str | Path, needs: Sequence[str], *, delimiter: str = ",") -> list[Row]:
        """Read a table with a header, which has to name at least the columns ``needs``.

        Raises:
            DataError: as :meth:`table`, and if a column is missing.
        """
        rows = self.table(file, delimiter=delimiter)
        for column in needs:
            if column not in rows[0].fields:
                hint = suggest(column, rows[0].fields)
                where = rows[0].where.rpartition(": line")[0]
                raise DataError(f"{where}: no column '{column}'{hint}; it has {some(rows[0].fields, 12)}")
        return rows

    def lines(self, file: str | Path) -> list[str]:
        """Read a list, one name a line; empty lines are left out."""
        path = Path(file) if Path(file).is_absolute() else self.file(str(file))
        return [line for line in (line.strip() for line in _text(self.card.name, path).splitlines()) if line]


def _text(corpus: str, path: Path) -> str:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{corpus}: {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise DataError(f"{corpus}: {path}: line {line}: not UTF-8 text") from None
    if not text.strip():
        raise DataError(f"{corpus}: {path}: the file is empty; get it again")
    return text


def _read(corpus: str, path: Path, delimiter: str) -> list[tuple[int, list[str]]]:
    """Return the non-empty lines of a table, split, with their numbers."""
    text = _text(corpus, path)
    if delimiter == " ":
        split = [(number, line.split()) for number, line in enumerate(text.splitlines(), start=1)]
    else:
        reader = csv.reader(text.splitlines(keepends=True), delimiter=delimiter)
        try:
            split = [(reader.line_num, fields) for fields in reader]
        except csv.Error as error:
            raise DataError(f"{corpus}: {path}: line {reader.line_num}: {error}") from None
    return [(number, fields) for number, fields in split if any(text.strip() for text in fields)]


def _has_header(lines: Sequence[tuple[int, list[str]]], names: Sequence[str]) -> bool:
    first = lines[0][1]
    if [text.strip() for text in first] == list(names):
        return True
    second = lines[1][1] if len(lines) > 1 else []
    return any(not _is_number(a) and _is_number(b) for a, b in zip(first, second, strict=False))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
