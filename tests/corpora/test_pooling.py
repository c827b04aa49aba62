"""Several corpora as one: keys, domains, scales, and a test set for each."""

import json
import subprocess
from pathlib import Path

import pytest

from distilmos_plugin.corpora import card_of
from distilmos_plugin.corpora.pooling import pool
from distilmos_plugin.data.directory import DataDirectory, Rating, write_data_directory
from distilmos_plugin.errors import DataError
from distilmos_plugin.files import write_stamp

ROOT = Path(__file__).parents[2]
SETS = {"train": 4, "dev": 2, "test": 2}


def corpus(folder: Path, scale=(1, 5), target="mos", systems=True, ratings=True, sets=SETS, offset=0, known=True) -> Path:
    """Write the data directories of a corpus: labels over all of its scale; the same keys in every corpus."""
    for part, count in sets.items():
        keys = [f"{part}-{number}" for number in range(count)]
        labels = {key: scale[0] + (scale[1] - scale[0]) * i / (count - 1) + offset for i, key in enumerate(keys)}
        wav = {key: f"/audio/{folder.name}/{key}.wav" for key in keys}
        rows = [Rating(key, "kim", target, labels[key]) for key in keys] if ratings else None
        lengths = [dict.fromkeys(keys, value) for value in (16000, 8000)]
        write_data_directory(
            folder / part, wav, {target: labels}, dict.fromkeys(keys, "A") if systems else None, rows, *lengths
        )
    if known:
        (folder / "corpus.json").write_text(json.dumps({"scales": {target: list(scale)}}))
    return folder


def test_keys_systems_and_listeners_begin_with_the_corpus(tmp_path):
    pool(tmp_path / "pool", [corpus(tmp_path / "bvcc"), corpus(tmp_path / "somos")])
    train = DataDirectory.read(tmp_path / "pool" / "train")
    assert len(train.keys) == 8
    assert train.wav["somos/train-3"] == "/audio/somos/train-3.wav"
    assert train.domains == {key: key.partition("/")[0] for key in train.keys}
    assert set(train.systems.values()) == {"bvcc/A", "somos/A"}  # an A of one corpus is not the A of another
    assert train.listeners == ("bvcc/kim", "somos/kim")
    assert train.seconds() == dict.fromkeys(train.keys, 2.0)


def test_clips_that_a_corpus_lists_as_missing_are_missing_in_its_test_set_here(tmp_path):
    bvcc = corpus(tmp_path / "bvcc")
    (bvcc / "missing.tsv").write_text("set\tid\tpath\ntrain\ta\twav/a.wav\ntest\tb\twav/b.wav\n")
    pool(tmp_path / "pool", [bvcc, corpus(tmp_path / "somos")])
    assert (tmp_path / "pool" / "missing.tsv").read_text() == "set\tid\tpath\ntest_bvcc\tb\twav/b.wav\n"


def test_keys_that_have_their_corpus_already_stay_as_they_are(tmp_path):
    folder = tmp_path / "bvcc"
    for part in ("train", "dev", "test"):
        write_data_directory(folder / part, {"bvcc/utt1": "/a.wav"}, {"mos": {"bvcc/utt1": 3.0}})
    pool(tmp_path / "pool", [folder, corpus(tmp_path / "somos")])
    assert "bvcc/utt1" in DataDirectory.read(tmp_path / "pool" / "train").keys


def test_each_corpus_is_tested_apart_and_others_out_of_domain(tmp_path):
    nisqa = corpus(tmp_path / "nisqa", sets={"train": 3, "test_for": 2, "test_p501": 2})
    pool(tmp_path / "pool", [corpus(tmp_path / "bvcc"), corpus(tmp_path / "somos")], tested_only=[nisqa])
    found = sorted(path.parent.name for path in (tmp_path / "pool").glob("*/wav.scp"))
    assert found == ["dev", "test_bvcc", "test_ood_nisqa_for", "test_ood_nisqa_p501", "test_somos", "train"]
    assert DataDirectory.read(tmp_path / "pool" / "test_bvcc").domains == {"bvcc/test-0": "bvcc", "bvcc/test-1": "bvcc"}
    assert DataDirectory.read(tmp_path / "pool" / "test_ood_nisqa_for").domains is None
    assert not any(key.startswith("nisqa") for key in DataDirectory.read(tmp_path / "pool" / "train").keys)


def test_tests_know_the_corpus_that_they_are_of(tmp_path):
    mini = corpus(tmp_path / "small")
    write_stamp(mini, {"corpus": "mini"})
    pool(tmp_path / "pool", [mini, corpus(tmp_path / "bvcc")])
    assert card_of(tmp_path / "pool" / "test_small").name == "mini"
    assert card_of(tmp_path / "pool" / "test_bvcc") is None  # nothing says that an importer made it


def test_labels_of_a_declared_scale_are_mapped_to_the_first_corpus_scale(tmp_path):
    mushra = corpus(tmp_path / "mushra", scale=(0, 100))
    pool(tmp_path / "pool", [corpus(tmp_path / "bvcc"), mushra], scales=["mushra=0,100"])
    train = DataDirectory.read(tmp_path / "pool" / "train")
    for name in ("bvcc", "mushra"):
        assert [train.targets["mos"][f"{name}/train-{i}"] for i in range(4)] == pytest.approx([1, 7 / 3, 11 / 3, 5])
    assert {rating.value for rating in train.ratings if rating.key == "mushra/train-3"} == {5.0}
    assert DataDirectory.read(tmp_path / "pool" / "test_mushra").targets["mos"]["mushra/test-1"] == 5.0


def test_the_common_scale_may_be_another_than_the_first_corpus_has(tmp_path):
    mushra, bvcc = corpus(tmp_path / "mushra", scale=(0, 100)), corpus(tmp_path / "bvcc")
    pool(tmp_path / "pool", [mushra], tested_only=[bvcc], scales=["common=1,5"])
    assert DataDirectory.read(tmp_path / "pool" / "train").targets["mos"]["mushra/train-3"] == 5.0
    assert DataDirectory.read(tmp_path / "pool" / "test_ood_bvcc").targets["mos"]["bvcc/test-1"] == 5.0
    with pytest.raises(DataError, match="a corpus cannot be called 'common'"):
        pool(tmp_path / "pool2", [f"common={bvcc}"])


def test_other_scales_are_never_pooled_unasked(tmp_path):
    mushra = corpus(tmp_path / "mushra", scale=(0, 100))
    with pytest.raises(DataError, match=r"mushra: 'mos' is rated from 0 to 100, .* 1 to 5; --scale mushra.mos=0,100 maps it"):
        pool(tmp_path / "pool", [corpus(tmp_path / "bvcc"), mushra])
    unknown = corpus(tmp_path / "unknown", scale=(0, 10), known=False)
    with pytest.raises(DataError, match=r"'mos' of 2 clips is outside 1 to 5 \(.*: 0\); say the corpus's scale: --scale"):
        pool(tmp_path / "pool", [tmp_path / "bvcc", unknown])
    assert not (tmp_path / "pool").exists()


def test_targets_that_only_one_corpus_has_are_missing_in_the_other(tmp_path):
    pool(tmp_path / "pool", [corpus(tmp_path / "bvcc"), corpus(tmp_path / "loudness", target="loud")])
    train = DataDirectory.read(tmp_path / "pool" / "train")
    assert train.targets["loud"]["loudness/train-3"] == 5.0
    assert train.targets["loud"]["bvcc/train-3"] != train.targets["loud"]["bvcc/train-3"]  # NaN: no label


def test_systems_and_ratings_are_kept_only_where_all_have_them(tmp_path, capsys):
    tencent = corpus(tmp_path / "tencent", systems=False, ratings=False)
    pool(tmp_path / "pool", [corpus(tmp_path / "bvcc"), tencent])
    train = DataDirectory.read(tmp_path / "pool" / "train")
    assert (train.systems, train.ratings) == (None, None)
    assert "tencent without systems, so the pool has none" in capsys.readouterr().err
    assert DataDirectory.read(tmp_path / "pool" / "test_bvcc").systems is not None  # apart, it has


def test_a_current_pool_is_left_alone_and_a_changed_one_is_made_again(tmp_path, capsys):
    corpora = [corpus(tmp_path / "bvcc"), corpus(tmp_path / "somos")]
    pool(tmp_path / "pool", corpora)
    before = (tmp_path / "pool" / "train" / "wav.scp").stat().st_mtime_ns
    pool(tmp_path / "pool", corpora)
    assert (tmp_path / "pool" / "train" / "wav.scp").stat().st_mtime_ns == before
    assert "complete and current" in capsys.readouterr().err
    corpus(tmp_path / "somos", sets=SETS | {"train": 5})
    pool(tmp_path / "pool", corpora)
    assert len(DataDirectory.read(tmp_path / "pool" / "train").keys) == 9


def test_audio_of_a_test_that_another_corpus_trains_on_is_told(tmp_path, capsys):
    for name, sizes in (("bvcc", (100, 200, 300)), ("blizzard", (400, 500, 100))):  # blizzard's test is in bvcc's train
        for part, size in zip(("train", "dev", "test"), sizes, strict=True):
            path = tmp_path / name / f"{part}.wav"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(bytes(size))
            write_data_directory(tmp_path / name / part, {part: path}, {"mos": {part: 3.0}})
    pool(tmp_path / "pool", [tmp_path / "bvcc", tmp_path / "blizzard"])
    printed = capsys.readouterr().err
    assert "train and test_blizzard have audio in common" in printed
    assert "1 (bvcc/train = blizzard/test)" in printed
    assert "test_bvcc have" not in printed


def test_tests_of_an_earlier_pool_do_not_stay(tmp_path):
    bvcc, somos = corpus(tmp_path / "bvcc"), corpus(tmp_path / "somos")
    pool(tmp_path / "pool", [bvcc], tested_only=[somos])
    pool(tmp_path / "pool", [bvcc, somos])
    assert {path.name for path in (tmp_path / "pool").glob("test*")} == {"test_bvcc", "test_somos"}
    (tmp_path / "pool" / ".complete.json").unlink()  # as a pool that was cut off
    pool(tmp_path / "pool", [bvcc])
    assert {path.name for path in (tmp_path / "pool").glob("test*")} == {"test_bvcc"}


def test_other_data_directories_are_never_overwritten(tmp_path):
    bvcc, somos = corpus(tmp_path / "bvcc"), corpus(tmp_path / "somos")
    with pytest.raises(DataError, match="somos holds other data directories; a pool needs a folder of its own"):
        pool(somos, [bvcc])
    assert "somos" not in DataDirectory.read(somos / "train").keys[0]


def test_what_cannot_be_pooled_is_named(tmp_path):
    bvcc, other = corpus(tmp_path / "bvcc"), corpus(tmp_path / "elsewhere" / "bvcc")
    with pytest.raises(DataError, match="two corpora are called 'bvcc'"):
        pool(tmp_path / "pool", [bvcc, other])
    pool(tmp_path / "pool", [bvcc, f"again={other}"])
    assert "again/train-0" in DataDirectory.read(tmp_path / "pool" / "train").keys
    with pytest.raises(DataError, match=r"no dev set, which a corpus to train on needs"):
        pool(tmp_path / "pool2", [bvcc, corpus(tmp_path / "half", sets={"train": 2, "test": 2})])
    with pytest.raises(DataError, match="no such folder; make it: distilmos corpus prepare somos"):
        pool(tmp_path / "pool2", [bvcc, tmp_path / "somos"])
    with pytest.raises(DataError, match="no corpus 'bvvc' in the pool"):
        pool(tmp_path / "pool2", [bvcc], scales=["bvvc=1,5"])
    for text in ("bvcc", "bvcc=5,1", "bvcc=a,b", "bvcc=1"):
        with pytest.raises(DataError, match=f"scale '{text}': expected"):
            pool(tmp_path / "pool2", [bvcc], scales=[text])
    with pytest.raises(DataError, match="needs a folder of its own"):
        pool(bvcc, [bvcc])


def test_the_recipe_pools_what_is_there_and_names_what_is_tested_only(tmp_path):
    for name, scale in (("bvcc", (1, 5)), ("mushra", (0, 100)), ("nisqa", (1, 5))):
        corpus(tmp_path / name, scale=scale)
    places = {name: f"{name}={tmp_path / name}" for name in ("bvcc", "mushra", "nisqa")}
    options = ["--corpus", f"{places['bvcc']}+{places['mushra']}", "--test_corpora", places["nisqa"]]
    options += ["--scales", "mushra=0,100", "--datadir", tmp_path / "pool", "--stage", "1", "--stop_stage", "1"]
    done = subprocess.run([ROOT / "run.sh", *options, "--expdir", tmp_path / "exp"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = sorted(path.parent.name for path in (tmp_path / "pool").glob("*/wav.scp"))
    assert found == ["dev", "test_bvcc", "test_mushra", "test_ood_nisqa", "train"]
