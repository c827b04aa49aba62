"""What the labels of each corpus turn into, its traps included."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from distilmos_plugin import corpora
from distilmos_plugin.data.directory import DataDirectory
from distilmos_plugin.errors import DataError
from tests.corpora.miniatures import MINIATURES
from tests.corpora.miniatures.corpora_of_speech import TCD, write_workbook
from tests.corpora.miniatures.material import write_lines


@pytest.fixture
def imported(tmp_path: Path):
    """Import a miniature, after a change to its folder, and return where its data directories are."""

    def run(name: str, change=lambda root: None, **options) -> Path:
        root = tmp_path / f"{name}_root"
        root.mkdir(exist_ok=True)
        MINIATURES[name].build(root)
        change(root)
        corpora.prepare(name, tmp_path / name, data_root=root, subset=True, **{**MINIATURES[name].options, **options})
        return tmp_path / name

    return run


def about(folder: Path) -> dict[str, dict[str, str]]:
    """Return manifest.tsv, key -> columns."""
    with open(folder / "manifest.tsv", encoding="utf-8", newline="") as file:
        return {row.pop("key"): row for row in csv.DictReader(file, delimiter="\t")}


def notes(folder: Path) -> str:
    return " ".join(json.loads((folder / "corpus.json").read_text())["notes"])


def test_somos_systems_are_text_and_natural_speech_is_marked(imported):
    train = DataDirectory.read(imported("somos") / "train")
    assert train.systems["somos/novel_2007_0098_015"] == "015"
    assert about(train.path) == {key: {"is_reference": "yes" if key.endswith("_000") else ""} for key in train.keys}
    assert {rating.listener for rating in train.ratings} == {"KEXM49572020611127", "007"}


def test_somos_variants_have_other_labels_and_say_which(imported):
    clean, full = imported("somos"), DataDirectory.read(imported("somos", variant="full") / "test")
    assert set(full.targets["mos"].values()) == {2.5}
    assert "variant 'full'" in notes(clean)  # the same folder, made again
    assert json.loads((clean / "corpus.json").read_text())["options"] == {"variant": "full"}
    with pytest.raises(DataError, match="variant is clean or full, found 'ful'"):
        imported("somos", variant="ful")


def test_nisqa_has_five_targets_and_systems_of_part_and_condition(imported):
    folder = imported("nisqa")
    test = DataDirectory.read(folder / "test_for")
    key = "nisqa/NISQA_TEST_FOR/c00001_for_cnv_m_0103_01"
    assert {target: labels[key] for target, labels in test.targets.items()} == {
        "mos": 4.346153846,
        "noi": 3.5,
        "col": 3.0,
        "dis": 2.5,
        "loud": 4.0,
    }
    assert test.systems[key] == "NISQA_TEST_FOR-1"
    assert about(test.path)[key] == {"db": "NISQA_TEST_FOR", "con": "1", "votes": "26", "mos_std": ".797110165"}


def test_nisqa_simulated_parts_have_no_systems_because_each_has_a_clip(imported):
    folder = imported("nisqa")
    assert DataDirectory.read(folder / "train").systems is None
    assert DataDirectory.read(folder / "dev").systems is None


def test_tencent_keys_hold_the_folder_and_every_digit(imported):
    folder = imported("tencent")
    keys = {key for part in ("train", "dev") for key in DataDirectory.read(folder / part).keys}
    assert {"tencent/withoutReverberationTrainDev/00001", "tencent/withReverberationTrainDevMOS/0001"} <= keys
    assert len(keys) == 30


def test_a_split_of_our_own_follows_the_seed_and_nothing_else(imported, tmp_path):
    first = DataDirectory.read(imported("tencent") / "dev").keys
    assert sum(key.startswith("tencent/with/") or "withReverberation" in key for key in first) == 1  # a tenth of each part
    table = tmp_path / "tencent_root" / "TencentCorups" / "withReverberationTrainDevMOS.csv"

    def reverse(root: Path) -> None:
        header, *rows = table.read_text().splitlines()
        write_lines(table, [header, *reversed(rows)])

    assert DataDirectory.read(imported("tencent", reverse) / "dev").keys == first
    folder = imported("tencent", seed=1)
    assert DataDirectory.read(folder / "dev").keys != first
    assert "seed 1; there is no official split" in notes(folder)


def test_pstn_ids_are_whole_names_because_their_beginnings_repeat(imported):
    folder = imported("pstn")
    dev = DataDirectory.read(folder / "dev")
    assert dev.systems is None
    assert set(dev.rates.values()) == {8000}
    (row,) = about(dev.path).values()
    assert row["score_std"] == "0.7"
    assert row["n_ratings"].isdigit()


def test_chime_references_are_left_out_in_either_case(imported):
    folder = imported("chime7_udase")
    test = DataDirectory.read(folder / "test")
    assert set(test.systems.values()) == {"unprocessed", "C1"}
    assert "chime7_udase/C1_S01_P05_0" in test.keys
    assert "4 rows of the condition 'ref'" in notes(folder)


def test_ttsds2_keeps_ratings_of_quality_and_averages_them(imported):
    test = DataDirectory.read(imported("ttsds2") / "test")
    assert test.targets["mos"]["ttsds2/clean-f5-0001"] == 4.0  # of 3, 4 and 5
    assert test.systems["ttsds2/clean-f5-0001"] == "clean-f5"
    assert len(test.ratings) == 9
    assert {rating.value for rating in test.ratings} == {3.0, 4.0, 5.0}


def test_tcd_conditions_are_counted_within_their_type(imported):
    folder = imported("tcd_voip")
    test = DataDirectory.read(folder / "test")
    assert test.systems["tcd_voip/C_09_CLIP_MK"] == "CLIP-3"
    assert test.systems["tcd_voip/C_09_COMPSPKR_ML"] == "COMPSPKR-3"
    assert test.targets["mos"] == {f"tcd_voip/{name}": mean for name, _, mean in TCD}
    assert "rounded" not in notes(folder)


def test_tcd_takes_a_csv_instead_of_the_workbook_and_says_where_it_is_rounded(imported):
    def as_csv(root: Path) -> None:
        (root / "TCD-VOIP" / "scores.xlsx").unlink()
        rows = [f"{name}.wav,{condition},{mean:.2f}" for name, condition, mean in TCD]
        write_lines(root / "TCD-VOIP" / "answer.csv", ["Filename,ConditionID,MOS", *rows], bom=True, crlf=True)

    folder = imported("tcd_voip", as_csv)
    assert DataDirectory.read(folder / "test").targets["mos"]["tcd_voip/C_01_ECHO_FA"] == 4.58
    assert "the labels are rounded" in notes(folder)


def test_tcd_without_labels_or_with_a_damaged_workbook_is_one_sentence(imported):
    with pytest.raises(DataError, match=r"expected one \*\.xlsx with the sheet 'Subjective Test Scores' .* found none"):
        imported("tcd_voip", lambda root: (root / "TCD-VOIP" / "scores.xlsx").unlink())
    with pytest.raises(DataError, match=r"scores\.xlsx: not a workbook that can be read"):
        imported("tcd_voip", lambda root: (root / "TCD-VOIP" / "scores.xlsx").write_bytes(b"PK not a workbook"))
    with pytest.raises(DataError, match="no sheet 'Subjective Test Scores'; it has Other"):
        imported("tcd_voip", lambda root: write_workbook(root / "TCD-VOIP" / "scores.xlsx", "Other", [["Filename"], ["x"]]))
    with pytest.raises(DataError, match="no column ConditionID, sample MOS"):
        imported(
            "tcd_voip",
            lambda root: write_workbook(root / "TCD-VOIP" / "scores.xlsx", "Subjective Test Scores", [["Filename"], ["x"]]),
        )


def test_singmos_audio_is_found_without_a_column_for_it(imported):
    def without(root: Path) -> None:
        rows = [line.partition(",")[2] for line in (root / "metadata.csv").read_text().splitlines()]
        write_lines(root / "metadata.csv", rows)

    dev = DataDirectory.read(imported("singmos", without) / "dev")
    assert dev.systems == {"singmos/sys0001-utt0001": "sys0001"}


def test_qualispeech_has_seven_targets(imported):
    train = DataDirectory.read(imported("qualispeech") / "train")
    key = "qualispeech/sys01tts-0000000"
    labels = {target: values[key] for target, values in train.targets.items()}
    assert labels == {"mos": 3, "speed": 2, "naturalness": 5, "noise": 5, "distortion": 4, "effort": 5, "continuity": 5}
    assert train.systems[key] == "sys01tts"


def test_brspeech_natural_speech_is_a_system_of_its_recording_and_marked(imported):
    test = DataDirectory.read(imported("brspeechmos") / "test")
    assert test.systems["brspeechmos/gt/0001"] == "studio"
    assert about(test.path)["brspeechmos/gt/0001"]["is_reference"] == "yes"


def test_hablamos_averages_repeated_rows_and_takes_the_voice_for_the_system(imported):
    folder = imported("hablamos")
    train = DataDirectory.read(folder / "train")
    assert train.targets["mos"]["hablamos/train/audio88"] == 1.75
    assert about(train.path)["hablamos/train/audio88"]["n_rows"] == "2"
    assert train.systems["hablamos/train/arm_08784_00974401258.wav_GL"] == "D8"
    assert "hablamos/train/x.wav" in train.keys  # x.wav.wav
    assert DataDirectory.read(folder / "test").keys == ("hablamos/test/110", "hablamos/test/168")


def test_hablamos_tables_may_be_elsewhere(imported, tmp_path):
    def move(root: Path) -> None:
        (tmp_path / "labels").mkdir()
        for part in ("train", "val", "test"):
            (root / "HablaMOS" / f"{part}.csv").rename(tmp_path / "labels" / f"{part}.csv")

    folder = imported("hablamos", move, labels=str(tmp_path / "labels"))
    assert len(DataDirectory.read(folder / "train").keys) == 3
    with pytest.raises(DataError, match=r"nowhere/train\.csv is missing; the option labels names it"):
        imported("hablamos", labels="nowhere")
