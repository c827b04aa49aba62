"""The traps of the challenges' label files, each on the miniature that has it."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from distilmos_plugin import corpora
from distilmos_plugin.data.directory import DataDirectory, check
from distilmos_plugin.errors import DataError
from tests.corpora.miniatures import MINIATURES


@pytest.fixture
def imported(tmp_path: Path):
    """Import the miniature of a corpus; gives set -> data directory."""

    def run(name: str, **options: object) -> dict[str, DataDirectory]:
        root, output = tmp_path / "root", tmp_path / "data"
        if not root.exists():
            root.mkdir()
            MINIATURES[name].build(root)
        named = {key: str(root / value) if key in ("labels", "systems") else value for key, value in options.items()}
        corpora.prepare(name, output, data_root=root, subset=True, **{**MINIATURES[name].options, **named})
        return {path.parent.name: DataDirectory.read(path.parent) for path in output.glob("*/wav.scp")}

    return run


def manifest(directory: DataDirectory) -> dict[str, dict[str, str]]:
    with open(directory.path / "manifest.tsv", newline="") as file:
        return {row["key"]: row for row in csv.DictReader(file, delimiter="\t")}


def test_bvcc_takes_the_listener_out_of_the_composite_string(imported):
    train = imported("bvcc")["train"]
    assert train.listeners == ("QW0", "bZPQE7w4Zl3g")
    assert [rating.value for rating in train.ratings if rating.key == "bvcc/sys64e2f-utt9c183cd"] == [4.0, 3.0]
    assert train.systems["bvcc/sys64e2f-utt9c183cd"] == "sys64e2f"


def test_a_silent_file_stereo_and_floats_are_kept_as_they_are(imported, tmp_path):
    assert check(imported("bvcc")["train"].path).flags["silent"] == 1
    for name, flag in (("audiomos2025_track1", "stereo_downmixed"), ("urgent2024", None)):
        root = tmp_path / name
        root.mkdir()
        MINIATURES[name].build(root)
        corpora.prepare(name, tmp_path / f"{name}_data", data_root=root, subset=True)
        for path in (tmp_path / f"{name}_data").glob("*/wav.scp"):
            assert set(check(path.parent).flags) == {flag} - {None}


def test_bc19_and_bvcc_have_the_same_form_of_ids_and_are_told_apart_by_their_listeners(imported, tmp_path):
    sets = imported("bc19")
    assert sets["test"].listeners == ("17", "4")
    assert sets["test"].rates["bc19/sys00691-utt00e6ae6"] == 24000
    assert sets["unlabelled"].targets == {}
    with pytest.raises(DataError, match="says nothing about a listener of bvcc"):
        corpora.prepare("bvcc", tmp_path / "wrong", data_root=tmp_path / "root" / "ood", subset=True)


def test_bvcc_of_the_challenge_phases(imported, tmp_path):
    assert set(imported("bvcc", phase="training")) == {"train", "dev"}
    names = ["sys00691-utt00e6ae6.wav", "sys00691-utt00e6ae7.wav"]
    (tmp_path / "root/main/DATA/sets/test.scp").write_text("\n".join(names))
    test = imported("bvcc", phase="evaluation")["test"]
    assert len(test.keys) == 2
    assert test.targets == {}


def test_french_hub_and_spoke_tasks_are_apart(imported):
    sets = imported("vmc2023_track1")
    assert set(sets["test_1a"].systems.values()) == {"A-NEB"}
    assert set(sets["test_1b"].systems.values()) == {"A-AD", "BF-AD"}
    assert sets["test_1b"].targets["mos"]["vmc2023_track1/VoiceMOS2023Track1-A-AD_test_0026"] == 4.42105263157895


def test_sources_and_targets_of_singing_voice_conversion_are_flagged(imported):
    test = imported("vmc2023_track2")["test"]
    facts = manifest(test)
    references = {test.systems[key] for key in test.keys if facts[key]["is_reference"]}
    assert references == {"SOU", "TAR"}
    assert sorted(fact["task"] for fact in facts.values()) == ["cross-domain", "in-domain", "in-domain", "source"]
    assert test.listeners == ("001", "21eKjJbGKOBq")


def test_a_negative_snr_stays_in_the_name_of_the_system(imported):
    sets = imported("vmc2023_track3")
    assert set(sets["test"].systems.values()) == {"CMGAN_snr-2_babble_TMHINT", "Trans_snr5_street_TMHINT", "clean_TMHINT"}
    assert len(sets["unscored"].keys) == 1


def test_sheets_cut_at_every_minus_can_be_had(imported):
    sets = imported("vmc2023_track3", sheet_compat=True)
    assert set(sets["test"].systems.values()) == {"cut_at_minus", "Trans_snr5_street_TMHINT", "clean_TMHINT"}


def test_lists_of_the_zoomed_test_have_no_labels_and_the_stand_in_has(imported):
    sets = imported("vmc2024_track1")
    assert sets["test"].targets == {}
    assert set(sets) == {"dev", "test"}
    rerated = imported("vmc2024_track1", labels="VMC2024_MOS")["test_rerated"]
    assert set(rerated.targets["mos"].values()) == {3.375}
    assert {(fact["ci95"], fact["n_ratings"]) for fact in manifest(rerated).values()} == {("0.886734", "8")}
    assert len(rerated.keys) == 2  # one of them is in the list of the challenge too: its key says that it is another test


def test_three_scales_of_p835_each_with_its_ratings(imported):
    test = imported("vmc2024_track3")["test"]
    key = "vmc2024_track3/voicemos2024-track3-p232_sys1_005"
    assert {name: labels[key] for name, labels in test.targets.items()} == {"sig": 3.75, "bak": 3.5, "ovrl": 3.25, "mos": 3.25}
    assert [rating.value for rating in test.ratings if rating.key == key and rating.target == "ovrl"] == [3.0, 4.0]
    assert test.systems[key] == "sys1"


def test_music_has_two_targets_and_says_which_list_its_prompt_is_in(imported):
    train = imported("audiomos2025_track1")["train"]
    key = "audiomos2025_track1/audiomos2025-track1-S001_P020"
    assert (train.targets["mos"][key], train.targets["alignment"][key]) == (2.4, 3.4)
    assert manifest(train)[key]["prompt_list"] == "demo_prompt_info"


def test_aesthetics_paths_with_commas_quotes_and_blanks(imported):
    sets = imported("audiomos2025_track2")
    assert sets["train"].systems is None
    assert any('A, B - "C"/bass.wav' in path for path in sets["train"].wav.values())
    assert set(sets["test"].systems.values()) == {"sys0v1wm", "sys1abcd"}
    assert set(sets["test"].targets["pq"].values()) == {5.5}
    assert sets["test"].ratings is None


def test_listeners_of_each_test_are_others_and_rates_are_kept(imported):
    sets = imported("audiomos2025_track3")
    assert sets["train"].listeners == ("16k-01", "16k-02", "24k-01", "24k-02", "48k-01", "48k-02")
    assert sets["dev"].listeners == ("mixed_dev-01", "mixed_dev-02")
    assert set(sets["train"].systems.values()) == {"16k_nv", "24k_nvSR", "48k_originalSR"}
    assert set(sets["test"].keys) == {
        f"audiomos2025_track3/audiomos-track3-{name}" for name in ("24k_sys3_utt2", "48k_sys1_utt2")
    }
    assert sorted(sets["train"].rates.values()) == [16000, 24000, 48000]
    assert {fact["test_id"] for fact in manifest(sets["train"]).values()} == {"single_16k", "single_24k", "single_48k"}


def test_pairs_have_their_reference(imported):
    train = imported("vmc2026_track3")["train"]
    assert len(train.keys) == 2
    for fact in manifest(train).values():
        assert Path(fact["ref_path"]).is_file()
        assert fact["wav_b_path"].startswith("wav/")
    assert set(train.targets["spk_sim"].values()) == {3.5}


def test_emotions_are_shares_of_listeners_and_empty_ratings_do_not_count(imported):
    train = imported("vmc2026_track2")["train"]
    key = "vmc2026_track2/vmc2026-track2-sys001-spk026-utt041"
    shares = {name: train.targets[name][key] for name in ("angry", "happy", "neutral", "sad", "surprised")}
    assert shares == pytest.approx({"angry": 1 / 3, "happy": 2 / 3, "neutral": 0, "sad": 0, "surprised": 1 / 3})
    assert train.targets["dominance"][key] == 3.0
    assert sum(rating.target == "dominance" and rating.key == key for rating in train.ratings) == 2
    assert manifest(train)[key]["emotion"] == "happy"


def test_empty_scores_are_left_out_and_said(imported, capsys):
    sets = imported("tmhint_qi")
    assert "12 lines without a score" in capsys.readouterr().err
    assert set(sets["test"].targets["mos"].values()) == {3.5}
    assert set(sets["test"].targets["intelligibility"].values()) == {8.0}
    assert set(sets["test"].systems.values()) == {"FCN-SNR-2-babble"}
    assert not set(sets["train"].keys) & set(sets["dev"].keys)


def test_systems_are_never_invented(imported, tmp_path):
    assert imported("urgent2024")["test"].systems is None
    rows = [f'{{"sample_id": "fileid_{number}", "system_id": "team{number}", "metrics": {{}}}}' for number in (1, 2)]
    (tmp_path / "root" / "systems.jsonl").write_text("\n".join(rows))
    test = imported("urgent2024", systems="systems.jsonl")["test"]
    assert set(test.systems.values()) == {"team1", "team2"}
    assert sorted(test.rates.values()) == [8000, 48000]


def test_the_truth_of_held_out_clips_is_their_mean_not_one_judge(imported):
    sets = imported("vcc2018")
    assert set(sets["test"].targets["mos"].values()) == {3.25}
    assert sets["test"].ratings is None
    assert len(sets["train"].ratings) == 4
    assert set(sets["train"].systems.values()) == {"N11_SPO", "S00_NAT"}


def test_letters_of_blizzard_systems_mean_another_system_in_each_year_and_task(imported):
    systems = {system for directory in imported("blizzard").values() for system in directory.systems.values()}
    assert systems == {"2009_EH1_A", "2010_EH1_A", "2010_ES1_A"}


def test_what_is_not_documented_has_to_be_said(tmp_path):
    (tmp_path / "wav").mkdir()
    with pytest.raises(DataError, match="the layout of its scores is not confirmed; say where they are: --option labels="):
        corpora.prepare("vcc2020", tmp_path / "data", data_root=tmp_path)


def test_options_as_text_are_checked(tmp_path):
    with pytest.raises(DataError, match="the option 'sheet_compat' is yes or no, found 'perhaps'"):
        corpora.prepare("vmc2023_track3", tmp_path / "data", ["sheet_compat=perhaps"], data_root=tmp_path)
    with pytest.raises(DataError, match="has no option 'sheet_compact', did you mean 'sheet_compat'"):
        corpora.prepare("vmc2023_track3", tmp_path / "data", ["sheet_compact=yes"], data_root=tmp_path)
    with pytest.raises(DataError, match=r"no folder given; download it from .* and give --data-root FOLDER"):
        corpora.prepare("vmc2023_track3", tmp_path / "data")
