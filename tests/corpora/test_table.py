"""Tables of any listening test, and SHEET's form in particular, in and out."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from distilmos_plugin import cli, corpora
from distilmos_plugin.corpora.export import SHEET, export_table
from distilmos_plugin.data.directory import DataDirectory, write_data_directory
from distilmos_plugin.errors import DataError
from tests.corpora.miniatures.material import write_lines, write_wav


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("a", "b", "c"):
        write_wav(tmp_path / "root" / "clips" / f"{name}.wav", 24000)
    return tmp_path / "root"


@pytest.fixture
def read(root: Path, tmp_path: Path):
    """Write a table, import it, return the data directory of a set."""

    def run(lines: list[str], part: str = "test", file: str = "labels.csv", **options) -> DataDirectory:
        write_lines(root / file, lines)
        corpora.prepare("table", tmp_path / "data", data_root=root, **{"table": file, **options})
        return DataDirectory.read(tmp_path / "data" / part)

    return run


def rows(path: Path) -> list[tuple[str, ...]]:
    with open(path, encoding="utf-8", newline="") as file:
        return [tuple(row) for row in csv.reader(file)]


def sheet(root: Path, listeners: bool, systems: bool) -> list[str]:
    """Return a table in SHEET's form with absolute paths, in the order of ids and listeners."""
    lines = [",".join(SHEET)]
    for number, name in enumerate(("a", "b", "c")):
        wav, system = root / "clips" / f"{name}.wav", f"s{number // 2}" if systems else name
        for listener, score in (("kim", 2 + number), ("lee", 3)) if listeners else (("", 1.5 + number),):
            lines.append(f"{wav},{system},{name},{score},{listener}")
    return lines


@pytest.mark.parametrize("systems", [True, False])
@pytest.mark.parametrize("listeners", [True, False])
def test_sheet_table_comes_out_as_it_went_in(read, root, tmp_path, listeners, systems):
    lines = sheet(root, listeners, systems)
    data = read(lines)
    assert (data.systems is not None) == systems
    assert (data.ratings is not None) == listeners
    export_table(data, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text().splitlines() == lines


def test_data_directory_comes_back_from_its_sheet_table(read, root, tmp_path):
    first = read(sheet(root, listeners=True, systems=True))
    export_table(first, root / "again.csv")
    corpora.prepare("table", tmp_path / "again", data_root=root, table="again.csv")
    second = DataDirectory.read(tmp_path / "again" / "test")
    assert (second.wav, second.targets, second.systems, second.ratings) == (
        first.wav,
        first.targets,
        first.systems,
        first.ratings,
    )


def test_json_lines_have_every_target_and_come_back(read, root, tmp_path):
    first = read(["wav_path,sample_id,system_id,SIG,MOS_BAK,OVRL", "clips/a.wav,a,x,3,4,3.5", "clips/b.wav,b,y,1,2,1.25"])
    assert first.targets == {
        "bak": {"table/a": 4.0, "table/b": 2.0},
        "ovrl": {"table/a": 3.5, "table/b": 1.25},
        "sig": {"table/a": 3.0, "table/b": 1.0},
    }
    export_table(first, root / "again.jsonl", target="sig")
    entry = json.loads((root / "again.jsonl").read_text().splitlines()[0])
    assert entry == {
        "audio_path": first.wav["table/a"],
        "sample_id": "a",
        "system_id": "x",
        "metrics": {"bak": 4.0, "ovrl": 3.5, "sig": 3.0},
    }
    corpora.prepare("table", tmp_path / "again", data_root=root, table="again.jsonl")
    second = DataDirectory.read(tmp_path / "again" / "test")
    assert (second.targets, second.systems) == (first.targets, first.systems)


def test_a_map_gives_columns_their_roles_and_targets_their_scales(read, tmp_path):
    data = read(
        ["Stimulus,Model,Rater,quality,effort", "a,015,007,80,3", "a,015,x y,60,2", "b,16,007,0,1"],
        part="dev",
        table="dev=labels.csv",
        columns="id=Stimulus,system=Model,listener=Rater",
        targets="mushra=quality:0:100,effort=effort",
        wav="clips/{id}.wav",
        corpus="our_test",
    )
    assert data.targets["mushra"] == {"our_test/a": 70.0, "our_test/b": 0.0}
    assert data.systems == {"our_test/a": "015", "our_test/b": "16"}
    assert {rating.listener for rating in data.ratings} == {"007", "x y"}
    about = json.loads((tmp_path / "data" / "corpus.json").read_text())
    assert about["corpus"] == "our_test"
    assert about["scales"] == {"mushra": [0.0, 100.0], "effort": [1.0, 5.0]}


def test_a_column_can_name_the_set(read, tmp_path):
    read(
        ["path\tid\tMOS\tsplit", "clips/a.wav\ta\t1\ttrain", "clips/b.wav\tb\t2\tvalid", "clips/c.wav\tc\t3\teval"],
        file="x.tsv",
    )
    found = {path.parent.name: path.read_text() for path in (tmp_path / "data").glob("*/utt2mos")}
    assert found == {"train": "table/a 1.0\n", "dev": "table/b 2.0\n", "test": "table/c 3.0\n"}


def test_without_ids_the_path_is_the_id(read):
    assert read(["wav_path,score", "./clips/a.wav,1", "clips/b.wav,2"]).keys == ("table/clips/a", "table/clips/b")


def test_rows_without_a_value_are_not_counted_and_repeated_rows_are_averaged(read, tmp_path):
    data = read(["wav_path,sample_id,score", "clips/a.wav,a,1", "clips/a.wav,a,2", "clips/b.wav,b,5", "clips/a.wav,a,"])
    assert data.targets["mos"] == {"table/a": 1.5, "table/b": 5.0}
    assert "rows without a value in 'score'" in (tmp_path / "data" / "corpus.json").read_text()


@pytest.mark.parametrize(
    ("lines", "options", "sentence"),
    [
        (["x,score", "1,2"], {}, "no column with the path of the audio; say which"),
        (["wav_path,quality", "clips/a.wav,2"], {}, "no column with labels is known; say which"),
        (["wav_path,score", "clips/a.wav,2"], {"columns": "wav=wav_pth"}, "no column 'wav_pth', did you mean 'wav_path'?"),
        (["wav_path,score", "clips/a.wav,2"], {"columns": "wave=wav_path"}, "no role 'wave', did you mean 'wav'?"),
        (["wav_path,score", "clips/a.wav,2"], {"targets": "mos=score:5:1"}, "lowest below highest"),
        (["wav_path,score", "clips/a.wav,2"], {"targets": "mos"}, "expected name=value, parted by commas"),
        (["wav_path,score", "clips/a.wav,2"], {"corpus": "a b"}, "'a b' is no name of a corpus"),
        (["wav_path,score", "clips/a.wav,7"], {}, "mos is 7; expected 1 to 5"),
        (["wav_path,score", "clips/a.wav,good"], {}, "line 2: column 'score': expected a finite number, found 'good'"),
        (["wav_path,sample_id,score", "clips/a.wav,x,1", "clips/b.wav,x,2"], {}, "the id 'x' is of clips/b.wav here and of"),
        (["wav_path,system,score", "clips/a.wav,x,1", "clips/b.wav,,2"], {}, "1 clips have no system and others have"),
        (["wav_path,SIG,BAK", "clips/a.wav,1,2", "clips/b.wav,1,"], {}, "'clips/b' has no label for bak, others have"),
        (
            ["wav_path,rater,score", "clips/a.wav,k,1", "clips/a.wav,,2"],
            {"columns": "listener=rater"},
            "with a listener and rows",
        ),
        (["wav_path,score,split", "clips/a.wav,1,../x"], {}, "'../x' is no name of a set"),
        (["wav_path,score", "clips/gone.wav,1"], {}, "1 of 1 audio files are missing, clips/gone.wav"),
    ],
)
def test_what_is_wrong_is_one_sentence(read, lines, options, sentence):
    with pytest.raises(DataError) as caught:
        read(lines, **options)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "sentence"), [("{", "line 2: not JSON"), ("[1]", "line 2: expected an object"), ("", "'b' has no label")]
)
def test_damaged_json_lines_name_the_line(read, line, sentence):
    first = '{"audio_path": "clips/a.wav", "sample_id": "a", "metrics": {"mos": 1}, "raw": [1]}'
    line = line or '{"audio_path": "clips/b.wav", "sample_id": "b"}'
    with pytest.raises(DataError, match=sentence.replace("[", r"\[")):
        read([first, line], file="x.jsonl")


def test_a_table_has_to_be_given_and_be_of_a_known_form(root, tmp_path):
    with pytest.raises(DataError, match="no table given: --option table="):
        corpora.prepare("table", tmp_path / "data", data_root=root)
    with pytest.raises(DataError, match=r"labels\.xlsx: expected \.csv, \.tsv, \.tab, \.jsonl, \.ndjson, found '\.xlsx'"):
        corpora.prepare("table", tmp_path / "data", data_root=root, table="labels.xlsx")
    with pytest.raises(DataError, match=r"absent\.csv: no such table"):
        corpora.prepare("table", tmp_path / "data", data_root=root, table="absent.csv")


def test_an_export_takes_the_corpus_off_the_ids_of_its_own_importer_only(root, tmp_path):
    wav = {"some/a": root / "clips" / "a.wav"}
    data = write_data_directory(tmp_path / "free" / "test", wav, {"mos": {"some/a": 2.0}})
    export_table(data, tmp_path / "free.csv")
    assert rows(tmp_path / "free.csv")[1][1:] == ("some/a", "some/a", "2", "")


def test_an_export_needs_labels_and_a_known_ending(root, tmp_path):
    data = write_data_directory(tmp_path / "x", {"a": root / "clips" / "a.wav"}, {"mos": {"a": 2.0}})
    with pytest.raises(DataError, match="no utt2sig; it has labels for mos"):
        export_table(data, tmp_path / "x.csv", target="sig")
    with pytest.raises(DataError, match=r"expected the ending \.csv, \.jsonl, found '\.tsv'"):
        export_table(data, tmp_path / "x.tsv")


def test_the_commands_read_and_write_tables_and_list_every_corpus(root, tmp_path, capsys, monkeypatch):
    def command(*arguments: object) -> str:
        monkeypatch.setattr("sys.argv", ["distilmos", "corpus", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        assert left.value.code in (None, 0)
        return capsys.readouterr().out

    lines = sheet(root, listeners=True, systems=True)
    write_lines(root / "in.csv", lines)
    command("prepare", "table", tmp_path / "data", "--data-root", root, "--option", "table=in.csv")
    command("export", tmp_path / "data" / "test", "-o", tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text().splitlines() == lines
    header, *listed = command("list").splitlines()
    assert header.split() == ["corpus", "clips", "targets", "licence", "what"]
    assert [line.split()[0] for line in listed] == sorted(corpora.CORPORA)
    assert "Licence:  CC BY-NC-SA 4.0." in command("show", "somos")
