"""What all importers have in common, on a corpus of three clips."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from distilmos_plugin.corpora.card import Card
from distilmos_plugin.corpora.importing import Clip, id_of, import_corpus, key_of, seeded_part
from distilmos_plugin.corpora.leakage import shared_audio
from distilmos_plugin.data.directory import DataDirectory
from distilmos_plugin.errors import DataError
from distilmos_plugin.files import write_stamp
from tests.corpora.miniatures.material import write_wav

CARD = Card("three", "three clips", "nowhere", "free", {"test": 3}, ("mos",), {"mos": (1, 5)}, marks=("wav",), ids=r"[a-c].*")
CLIPS = [Clip(name, f"wav/{name}.wav", {"mos": 3.5}, "s1", (("kim", "mos", 3.0),)) for name in ("a", "b", "c 1")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for clip in CLIPS:
        write_wav(tmp_path / "root" / clip.wav)
    return tmp_path / "root"


def run(folder: Path, clips: list[Clip] = CLIPS, card: Card = CARD, **options: object) -> Path:
    output = folder.parent / "data"
    import_corpus(card, lambda root: {"test": clips}, output, data_root=folder, **options)
    return output


def change(number: int, **fields: object) -> list[Clip]:
    return [dataclasses.replace(clip, **fields) if index == number else clip for index, clip in enumerate(CLIPS)]


def test_keys_have_the_name_of_the_corpus_and_give_the_id_back(folder):
    data = DataDirectory.read(run(folder) / "test")
    assert data.keys == ("three/a", "three/b", "three/c%201")
    assert [id_of(key) for key in data.keys] == ["a", "b", "c 1"]
    assert id_of(key_of("x", "100% b\tc/d")) == "100% b\tc/d"


@pytest.mark.parametrize(
    ("clips", "said"),
    [
        (change(0, id="z9"), "'z9' in test is not an id of this corpus"),
        (change(1, id="a"), "the clip 'a' is twice in test"),
        (change(0, labels={"mos": 50.0}), "clip 'a': mos is 50; expected 1 to 5"),
        (change(0, ratings=(("kim", "mos", 0.0),)), "clip 'a': mos is 0; expected 1 to 5"),
        (change(0, system=None), "some clips of test have a system and some have none"),
        (CLIPS[:2], "2 clips in the tables of test, 3 expected"),
        (change(0, wav="wav/gone.wav"), "1 of 3 audio files are missing, wav/gone.wav"),
        (change(0, about={"ref_path": "wav/gone.wav"}), "1 of 3 audio files are missing, wav/gone.wav"),
        ([], "no clips for test"),
    ],
)
def test_what_is_wrong_is_one_sentence(folder, clips, said):
    with pytest.raises(DataError) as caught:
        run(folder, clips)
    assert said in str(caught.value)
    assert str(caught.value).startswith("three: ")
    assert not (folder.parent / "data").exists()


def test_an_id_of_another_corpus_says_whose_it_is(folder):
    other = dataclasses.replace(CARD, name="other", ids="z.*")
    with pytest.raises(DataError, match="it looks like an id of other"):
        run(folder, change(0, id="z9"), others=[CARD, other])


def test_the_folder_of_another_corpus_says_whose_it_is(folder, tmp_path):
    other = dataclasses.replace(CARD, name="other", marks=("flac",))
    (tmp_path / "elsewhere" / "flac").mkdir(parents=True)
    with pytest.raises(DataError, match="it looks like other; expected wav in it"):
        import_corpus(CARD, lambda root: {"test": CLIPS}, tmp_path / "data", data_root=tmp_path / "elsewhere", others=[other])


def test_a_number_from_a_paper_is_said_and_not_refused(folder, capsys):
    card = dataclasses.replace(CARD, unverified=("test",))
    run(folder, CLIPS[:2], card)
    assert "2 clips in the tables of test, 3 expected (from the paper)" in capsys.readouterr().err
    with pytest.raises(DataError, match="3 expected"):
        run(folder, CLIPS[:2], card, strict=True)


def test_missing_audio_is_left_out_on_request_and_listed(folder):
    (folder / "wav/b.wav").unlink()
    output = run(folder, allow_missing=True)
    assert DataDirectory.read(output / "test").keys == ("three/a", "three/c%201")
    assert (output / "missing.tsv").read_text() == "set\tid\tpath\ntest\tb\twav/b.wav\n"
    write_wav(folder / "wav/b.wav")
    assert len(DataDirectory.read(run(folder) / "test").keys) == 3
    assert not (output / "missing.tsv").exists()


def test_a_set_without_any_audio_is_refused_even_where_it_may_be_withheld(folder):
    for clip in CLIPS:
        (folder / clip.wav).unlink()
    with pytest.raises(DataError, match="3 of 3 audio files are missing"):
        run(folder, card=dataclasses.replace(CARD, withheld="not in the download"))


def test_damaged_audio_is_one_sentence(folder):
    (folder / "wav/b.wav").write_bytes(b"RIFF")
    with pytest.raises(DataError, match=r"b\.wav.*the folder is damaged"):
        run(folder)


def test_a_change_of_a_label_or_of_audio_is_noticed(folder, capsys):
    output = run(folder)
    run(folder, change(0, labels={"mos": 4.0}))
    assert DataDirectory.read(output / "test").targets["mos"]["three/a"] == 4.0
    write_wav(folder / "wav/a.wav", 48000)
    run(folder, change(0, labels={"mos": 4.0}))
    assert DataDirectory.read(output / "test").rates["three/a"] == 48000
    capsys.readouterr()
    run(folder, change(0, labels={"mos": 4.0}))
    assert "nothing to do" in capsys.readouterr().err


def test_what_was_cut_off_goes_on_with_the_sets_that_are_not_done(folder):
    output = folder.parent / "data"
    sets = {"train": CLIPS[:1], "test": CLIPS[1:]}
    broken = folder / CLIPS[2].wav
    whole = broken.read_bytes()
    broken.write_bytes(b"")
    card = dataclasses.replace(CARD, clips={})
    with pytest.raises(DataError):
        import_corpus(card, lambda root: sets, output, data_root=folder)
    before = (output / "train" / "wav.scp").stat().st_mtime_ns
    broken.write_bytes(whole)
    import_corpus(card, lambda root: sets, output, data_root=folder)
    assert (output / "train" / "wav.scp").stat().st_mtime_ns == before
    assert len(DataDirectory.read(output / "test").keys) == 2


def test_sets_of_other_options_do_not_stay(folder):
    output = folder.parent / "data"
    card = dataclasses.replace(CARD, clips={})
    import_corpus(card, lambda root: {"train": CLIPS[:1], "test": CLIPS[1:]}, output, data_root=folder)
    (output / "mine").mkdir()
    import_corpus(card, lambda root: {"train": CLIPS[:1]}, output, data_root=folder)
    assert sorted(path.name for path in output.iterdir() if path.is_dir()) == ["mine", "train"]


def test_a_folder_with_another_corpus_is_not_written_over(folder):
    run(folder)
    with pytest.raises(DataError, match="holds the corpus 'three'"):
        run(folder, card=dataclasses.replace(CARD, name="four"))
    write_stamp(folder.parent / "data", {"corpus": "mini", "seed": 0})
    with pytest.raises(DataError, match="holds the corpus 'mini'"):
        run(folder)


def test_audio_that_two_sets_share_is_said_whatever_it_is_called(folder):
    write_wav(folder / "wav/b.wav", 8000)
    write_wav(folder / "wav/copy.wav", 16000)  # the content of a.wav
    sets = {
        "train": [Clip("a", "wav/a.wav", {"mos": 3.0}), Clip("b", "wav/b.wav", {"mos": 3.0})],
        "test": [Clip("c", "wav/copy.wav", {"mos": 4.0})],
    }
    card = dataclasses.replace(CARD, clips={})
    import_corpus(card, lambda root: sets, folder.parent / "data", data_root=folder)
    about = json.loads((folder.parent / "data" / "corpus.json").read_text())
    assert about["notes"] == ["train and test have audio in common: 1 (a = c)"]


def test_files_that_differ_by_a_single_byte_are_not_shared(tmp_path):
    content = bytes(range(256)) * 100
    for place in (0, len(content) // 2, len(content) - 1):
        other = bytearray(content)
        other[place] ^= 1
        (tmp_path / "a").write_bytes(content)
        (tmp_path / "b").write_bytes(other)
        assert shared_audio({"train": {"a": str(tmp_path / "a")}, "test": {"b": str(tmp_path / "b")}}) == {}
    (tmp_path / "b").write_bytes(content)
    sets = {"train": {"a": str(tmp_path / "a")}, "test": {"b": str(tmp_path / "b")}}
    assert shared_audio(sets) == {("train", "test"): [("a", "b")]}


def test_scales_and_counts_are_kept_for_pooling(folder):
    about = json.loads((run(folder) / "corpus.json").read_text())
    assert about["scales"] == {"mos": [1, 5]}
    assert about["sets"] == {"test": {"clips": 3, "systems": 1, "ratings": 3, "missing": 0}}


def test_a_split_by_hash_is_the_same_for_any_order_and_close_to_its_share():
    ids = [f"clip{number}" for number in range(1000)]
    chosen = seeded_part(ids, 0.1, "dev 0")
    assert len(chosen) == 100
    assert chosen == seeded_part(reversed(ids), 0.1, "dev 0")
    assert chosen != seeded_part(ids, 0.1, "dev 1")
