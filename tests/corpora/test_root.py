"""Tables as corpora have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from distilmos_plugin.corpora.card import Card
from distilmos_plugin.corpora.root import Root
from distilmos_plugin.errors import DataError


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(Card("corpus", "a corpus", "somewhere", "free", {}, ("mos",)), tmp_path)


def write(root: Root, content: bytes) -> str:
    (root.path / "table.csv").write_bytes(content)
    return "table.csv"


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("trailing", [b"", b"\n\n", b"  \r\n"])
def test_marks_and_line_ends_of_windows_and_empty_lines_are_read_over(root, bom, end, trailing):
    file = write(root, bom + end.join([b"id,mos", b"015,3.5", b"016,4"]) + trailing)
    rows = root.named(file, ("id", "mos"))
    assert [row["id"] for row in rows] == ["015", "016"]
    assert [row.number("mos") for row in rows] == [3.5, 4.0]


def test_fields_with_commas_quotes_and_line_ends(root):
    file = write(root, b'id,mos\n"a, ""b""\nc",3\nd,4\n')
    rows = root.named(file, ("id",))
    assert rows[0]["id"] == 'a, "b"\nc'
    assert rows[1].where.endswith("line 4")


@pytest.mark.parametrize(
    ("content", "first"),
    [
        (b"a.wav,3.5\nb.wav,4.0\n", "a.wav"),
        (b"utteranceId,mean\na.wav,3.5\n", "a.wav"),
        (b"clip,mos\n", None),
        (b"a.wav,3.5\n", "a.wav"),
    ],
)
def test_whether_there_is_a_header_is_found_out(root, content, first):
    file = write(root, content)
    if first is None:
        with pytest.raises(DataError, match="the table has no rows"):
            root.table(file, ("clip", "mos"))
    else:
        assert root.table(file, ("clip", "mos"))[0]["clip"] == first


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"id,mos\na,nan\n", "line 2: column 'mos': expected a finite number, found 'nan'"),
        (b"id,mos\na,\n", "line 2: column 'mos': expected a finite number, found ''"),
        (b"id,mos\na,3\n\n,4\n", "line 4: column 'id' is empty"),
        (b"id,mos\na,3,4\n", "line 2: 3 fields; expected 2: id, mos"),
        (b"id,moss\na,3\n", "no column 'mos', did you mean 'moss'"),
        (b"id,mos\n\xff,3\n", "line 2: not UTF-8 text"),
        (b"\n\n", "the file is empty"),
    ],
)
def test_what_is_wrong_is_one_sentence_with_file_and_line(root, content, said):
    file = write(root, content)
    with pytest.raises(DataError) as caught:
        [(row.text("id"), row.number("mos")) for row in root.named(file, ("id", "mos"))]
    assert str(caught.value).startswith("corpus: ")
    assert "table.csv" in str(caught.value)
    assert said in str(caught.value)


def test_a_missing_file_says_where_to_get_it(root):
    with pytest.raises(DataError, match=r"a\.csv is missing \(nor b\.csv\); .* get it again from somewhere"):
        root.file("a.csv", "b.csv")
