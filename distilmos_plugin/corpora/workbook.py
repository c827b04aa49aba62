"""Labels in an Excel workbook (Office Open XML, ECMA-376): one sheet with a header, as rows of text."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from distilmos_plugin.corpora.root import Row
from distilmos_plugin.errors import DataError, some

MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
LARGEST = 64 << 20  # bytes of one part of a workbook; tables of labels have far fewer


def read_sheet(corpus: str, path: Path, sheet: str, needs: Sequence[str]) -> list[Row]:
    """Read one sheet; its first row names the columns, and rows without any value are left out.

    Args:
        corpus: for messages.
        path: of the workbook.
        sheet: its name.
        needs: columns that it must have.

    Raises:
        DataError: if it is not a workbook, or has no such sheet or column.
    """
    where = f"{corpus}: {path}"
    try:
        with zipfile.ZipFile(path) as archive:
            strings = _strings(archive)
            names = _sheets(archive)
            if sheet not in names:
                raise DataError(f"{where}: no sheet '{sheet}'; it has {some(names)}")
            table = [(number, cells) for number, cells in _rows(archive, names[sheet], strings) if any(cells.values())]
    except (zipfile.BadZipFile, ElementTree.ParseError, KeyError, ValueError, IndexError) as error:
        raise DataError(f"{where}: not a workbook that can be read ({type(error).__name__}: {error}); get it again") from None
    if len(table) < 2:
        raise DataError(f"{where}: the sheet '{sheet}' has no rows")
    header = {column: name.strip() for column, name in table[0][1].items()}
    if missing := [name for name in needs if name not in header.values()]:
        raise DataError(f"{where}: sheet '{sheet}': no column {some(missing)}; it has {some(header.values(), 12)}")
    return [
        Row(
            {name: cells.get(column, "").strip() for column, name in header.items()}, f"{where}: sheet '{sheet}', row {number}"
        )
        for number, cells in table[1:]
    ]


def _part(archive: zipfile.ZipFile, name: str) -> ElementTree.Element:
    if archive.getinfo(name).file_size > LARGEST:
        raise ValueError(f"{name} is too large")
    return ElementTree.fromstring(archive.read(name))


def _sheets(archive: zipfile.ZipFile) -> dict[str, str]:
    """Return sheet name -> path in the archive."""
    targets = {entry.attrib["Id"]: entry.attrib["Target"] for entry in _part(archive, "xl/_rels/workbook.xml.rels")}
    sheets = _part(archive, "xl/workbook.xml").iter(f"{MAIN}sheet")
    paths = {sheet.attrib["name"]: targets[sheet.attrib[RELATION]] for sheet in sheets}
    return {name: path.lstrip("/") if path.startswith("/") else f"xl/{path}" for name, path in paths.items()}


def _strings(archive: zipfile.ZipFile) -> list[str]:
    """Return the texts that cells refer to by number."""
    if "xl/sharedStrings.xml" not in archive.namelist():
        return []
    entries = _part(archive, "xl/sharedStrings.xml").iter(f"{MAIN}si")
    return ["".join(text.text or "" for text in entry.iter(f"{MAIN}t")) for entry in entries]


def _rows(archive: zipfile.ZipFile, name: str, strings: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Return row number and column letters -> text of each row."""
    rows = []
    for place, row in enumerate(_part(archive, name).iter(f"{MAIN}row"), start=1):
        cells = {}
        for cell in row.iter(f"{MAIN}c"):
            column = re.sub(r"\d", "", cell.attrib["r"])
            if cell.attrib.get("t") == "inlineStr":
                cells[column] = "".join(text.text or "" for text in cell.iter(f"{MAIN}t"))
            else:
                value = cell.findtext(f"{MAIN}v") or ""
                cells[column] = strings[int(value)] if cell.attrib.get("t") == "s" and value else value
        rows.append((int(row.attrib.get("r", place)), cells))
    return rows
