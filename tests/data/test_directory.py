"""Data directories: what is written is read back, and whatever is wrong is named by file, line and key."""

import math
import os
import re
import subprocess

import kaldiio
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from distilmos_plugin.audio import AudioProblem
from distilmos_plugin.data.directory import DataDirectory, Rating, check, read_wav_scp, write_data_directory
from distilmos_plugin.errors import DataError

RATE = 16000
KEYS = ("a-1", "b_2", "é3", "音4")


def write_audio(folder, keys=KEYS, seconds=0.5, rate=RATE):
    folder.mkdir(exist_ok=True)
    paths = {}
    for number, key in enumerate(keys, start=1):
        paths[key] = str(folder / f"clip of {key}.wav")
        soundfile.write(paths[key], np.random.default_rng(number).normal(0, 0.1, round(seconds * rate)), rate)
    return paths


@pytest.fixture
def corpus(tmp_path):
    """A complete data directory of four clips."""
    wav = write_audio(tmp_path / "wav")
    return write_data_directory(
        tmp_path / "data",
        wav,
        {"mos": dict(zip(KEYS, (1.0, 2.5, 3.25, 5.0), strict=True)), "pesq": dict.fromkeys(KEYS, 1.1)},
        dict(zip(KEYS, ("sys 1", "sys 1", "sys2", "sys2"), strict=True)),
        [Rating(key, listener, "mos", float(value)) for key in KEYS for listener, value in (("l2", 3), ("l1", 4))],
        dict.fromkeys(KEYS, RATE // 2),
        dict.fromkeys(KEYS, RATE),
    ).path


def message(action, *arguments):
    with pytest.raises(DataError) as error:
        action(*arguments)
    return str(error.value)


class TestReadAndWrite:
    def test_everything_comes_back(self, corpus, tmp_path):
        directory = DataDirectory.read(corpus)
        assert directory.keys == KEYS
        assert directory.wav["é3"] == str(tmp_path / "wav" / "clip of é3.wav")
        assert directory.targets == {
            "mos": dict(zip(KEYS, (1.0, 2.5, 3.25, 5.0), strict=True)),
            "pesq": dict.fromkeys(KEYS, 1.1),
        }
        assert directory.systems == dict(zip(KEYS, ("sys 1", "sys 1", "sys2", "sys2"), strict=True))
        assert directory.ratings[:2] == (Rating("a-1", "l1", "mos", 4.0), Rating("a-1", "l2", "mos", 3.0))
        assert directory.listeners == ("l1", "l2")
        assert directory.seconds() == dict.fromkeys(KEYS, 0.5)

    def test_files_are_sorted_as_lc_all_c_does(self, corpus):
        for file in corpus.iterdir():
            subprocess.run(["sort", "-c", file], env={"LC_ALL": "C", "PATH": os.environ["PATH"]}, check=True)

    def test_only_wav_scp_is_needed(self, tmp_path):
        directory = write_data_directory(tmp_path / "data", write_audio(tmp_path / "wav"))
        assert (directory.targets, directory.systems, directory.ratings, directory.listeners) == ({}, None, None, ())
        assert directory.seconds() == dict.fromkeys(KEYS, 0.5)  # from the audio's headers

    def test_writing_again_leaves_no_label_of_before_and_nothing_else_touched(self, corpus):
        (corpus / "notes.txt").write_text("mine")
        (corpus / "utt2spk").write_text("a-1 speaker\n")
        wav = DataDirectory.read(corpus).wav
        write_data_directory(corpus, wav, {"sig": dict.fromkeys(KEYS, 3)})
        assert sorted(file.name for file in corpus.iterdir()) == ["notes.txt", "utt2sig", "utt2spk", "wav.scp"]

    def test_a_writer_that_is_refused_changes_nothing(self, corpus):
        before = {file: file.read_bytes() for file in corpus.iterdir()}
        wav = DataDirectory.read(corpus).wav
        assert "keys disagree" in message(write_data_directory, corpus, wav, {"mos": {"a-1": 3.0}})
        assert {file: file.read_bytes() for file in corpus.iterdir()} == before

    @pytest.mark.parametrize("key", ["", "a b", "a\tb", "a\n", "a\u3000b"])
    def test_keys_that_cannot_be_written(self, tmp_path, key):
        assert "white space" in message(write_data_directory, tmp_path / "data", {key: "x.wav"})

    def test_labels_that_are_not_finite_are_not_written(self, tmp_path):
        assert "finite" in message(write_data_directory, tmp_path / "data", {"a": "x.wav"}, {"mos": {"a": float("nan")}})

    def test_numpy_values_are_written_as_plain_numbers(self, tmp_path):
        write_data_directory(
            tmp_path, {"a": "a.wav"}, {"mos": {"a": np.float64(3.1)}}, num_samples={"a": np.int64(9)}, rates={"a": 8000}
        )
        assert (tmp_path / "utt2mos").read_text() == "a 3.1\n"
        assert (tmp_path / "utt2num_samples").read_text() == "a 9\n"

    @settings(max_examples=30, deadline=None)
    @given(
        labels=st.dictionaries(
            st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1),
            st.floats(allow_nan=False, allow_infinity=False),
            min_size=1,
        )
    )
    def test_any_keys_and_numbers_come_back(self, tmp_path_factory, labels):
        path = tmp_path_factory.mktemp("data")
        directory = write_data_directory(path, {key: f"x {key}.wav" for key in labels}, {"mos": labels})
        assert directory.targets["mos"] == labels
        assert list(directory.keys) == sorted(labels, key=lambda key: key.encode())

    def test_relative_paths_start_at_the_working_directory(self, tmp_path, monkeypatch):
        write_audio(tmp_path / "wav", ["a"])
        monkeypatch.chdir(tmp_path)
        directory = write_data_directory("deep/data", {"a": "wav/clip of a.wav"})
        assert directory.seconds() == {"a": 0.5}

    def test_archive_entries(self, tmp_path):
        kaldiio.save_ark(str(tmp_path / "a.ark"), {"x": (RATE, np.full(RATE, 999, np.int16))}, scp=str(tmp_path / "wav.scp"))
        assert check(tmp_path).hours == pytest.approx(1 / 3600)


class TestForeignFiles:
    def test_windows_line_ends_and_byte_order_mark(self, corpus):
        file = corpus / "utt2mos"
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
        assert DataDirectory.read(corpus).targets["mos"]["a-1"] == 1.0

    def test_tabs_and_several_blanks(self, corpus):
        file = corpus / "utt2mos"
        file.write_text(file.read_text().replace(" ", "\t  "))
        assert DataDirectory.read(corpus).targets["mos"]["b_2"] == 2.5

    def test_files_of_other_toolkits_are_no_targets(self, corpus):
        for name in ("utt2spk", "utt2dur", "utt2mos.bak", "utt2mos~"):
            (corpus / name).write_text("a-1 speaker\n")
        assert set(DataDirectory.read(corpus).targets) == {"mos", "pesq"}

    def test_ratings_with_a_header_and_parted_by_blanks(self, corpus):
        lines = [f"{key} l1 mos 4" for key in KEYS]
        (corpus / "ratings.tsv").write_text("\n".join(["key\tlistener\ttarget\tvalue", *lines]) + "\n")
        assert len(DataDirectory.read(corpus).ratings) == len(KEYS)


class TestWhatIsWrong:
    """Each test spoils one thing and reads the message."""

    def spoil(self, corpus, file, old, new):
        text = (corpus / file).read_text()
        assert old in text
        (corpus / file).write_text(text.replace(old, new, 1))
        return message(DataDirectory.read, corpus)

    def test_no_directory(self, tmp_path):
        assert message(DataDirectory.read, tmp_path / "gone") == f"{tmp_path}/gone: no such data directory"

    def test_no_wav_scp(self, tmp_path):
        assert "no wav.scp" in message(DataDirectory.read, tmp_path)

    @pytest.mark.parametrize("name", ["wav.scp", "utt2mos", "utt2system", "ratings.tsv", "utt2rate"])
    @pytest.mark.parametrize("content", ["", "\n\n"])
    def test_an_empty_file(self, corpus, name, content):
        (corpus / name).write_text(content)
        assert message(DataDirectory.read, corpus) == f"{corpus}/{name}: the file is empty; fill it or remove it"

    def test_a_header_without_ratings(self, corpus):
        (corpus / "ratings.tsv").write_text("key\tlistener\ttarget\tvalue\n")
        assert "no rating" in message(DataDirectory.read, corpus)

    @pytest.mark.parametrize("value", ["good", "nan", "inf", "3,5"])
    def test_a_label_that_is_no_number(self, corpus, value):
        text = self.spoil(corpus, "utt2mos", "b_2 2.5", f"b_2 {value}")
        assert text == f"{corpus}/utt2mos: line 2: key 'b_2': '{value}' is not a finite number, or - for no label"

    def test_a_clip_may_have_no_label_if_the_file_says_so(self, corpus):
        path = corpus / "utt2mos"
        path.write_text(path.read_text().replace("b_2 2.5", "b_2 -"))
        labels = DataDirectory.read(corpus).targets["mos"]
        assert math.isnan(labels["b_2"])
        assert labels["a-1"] == 1.0
        assert check(corpus, read_audio=False).labels["mos"][0] == 1.0  # over the labels that there are
        again = write_data_directory(corpus, DataDirectory.read(corpus).wav, {"mos": labels | {"b_2": None}})
        assert math.isnan(again.targets["mos"]["b_2"])

    def test_a_rating_that_is_no_number(self, corpus):
        assert "ratings.tsv: line 1: key 'a-1': 'four' is not" in self.spoil(corpus, "ratings.tsv", "4.0", "four")

    @pytest.mark.parametrize("value", ["0", "-1", "16000.0", "fast"])
    def test_a_rate_that_is_none(self, corpus, value):
        assert "utt2rate: line 1: key 'a-1'" in self.spoil(corpus, "utt2rate", "16000", value)

    def test_a_key_without_a_value(self, corpus):
        assert "utt2system: line 3: key 'é3': no value" in self.spoil(corpus, "utt2system", "é3 sys2", "é3 ")

    def test_a_rating_with_too_few_fields(self, corpus):
        assert "ratings.tsv: line 1: key 'a-1': 3 fields" in self.spoil(corpus, "ratings.tsv", "\tmos\t", "\t")

    def test_a_key_twice(self, corpus):
        text = self.spoil(corpus, "utt2mos", "b_2 2.5", "b_2 2.5\nb_2 4.0")
        assert "utt2mos: line 3: key 'b_2': the key is on line 2 already" in text

    @pytest.mark.parametrize("name", ["wav.scp", "utt2mos", "ratings.tsv"])
    def test_a_file_that_is_not_sorted(self, corpus, name):
        lines = (corpus / name).read_text().splitlines()
        (corpus / name).write_text("\n".join([*lines[2:], *lines[:2]]) + "\n")
        text = message(DataDirectory.read, corpus)
        assert re.search(rf"{name}: line \d: key 'a-1': comes after .*LC_ALL=C sort", text)

    def test_sorting_by_language_instead_of_bytes(self, tmp_path):
        (tmp_path / "wav.scp").write_text("a x.wav\nB y.wav\n")
        assert "line 2: key 'B': comes after 'a'" in message(DataDirectory.read, tmp_path)

    def test_keys_of_one_file_only(self, corpus):
        text = self.spoil(corpus, "utt2mos", "b_2 2.5", "c_9 2.5")
        assert text == f"{corpus}/utt2mos: keys disagree with wav.scp: 1 only in wav.scp (b_2); 1 only in utt2mos (c_9)"

    def test_only_the_first_few_keys_are_named(self, tmp_path):
        (tmp_path / "wav.scp").write_text("".join(f"k{number} x.wav\n" for number in range(9)))
        (tmp_path / "utt2mos").write_text("k8 3\n")
        assert "8 only in wav.scp (k0, k1, k2 and 5 more)" in message(DataDirectory.read, tmp_path)

    def test_ratings_of_unknown_clips(self, corpus):
        with open(corpus / "ratings.tsv", "a") as file:
            file.write("音5\tl1\tmos\t3\n")
        assert "ratings.tsv: keys disagree" in message(DataDirectory.read, corpus)

    def test_bytes_that_are_no_text(self, corpus):
        (corpus / "utt2system").write_bytes(b"a-1 s\nb_2 \xff\xfe\n")
        assert "utt2system: line 2: not UTF-8" in message(DataDirectory.read, corpus)

    def test_a_command_pipe(self, corpus, tmp_path):
        pipe = f"touch {tmp_path}/ran |"
        text = self.spoil(corpus, "wav.scp", f"{tmp_path}/wav/clip of a-1.wav", pipe)
        assert "--allow-pipes" in text
        assert "a-1" in text
        assert DataDirectory.read(corpus, allow_pipes=True).wav["a-1"] == pipe
        assert not (tmp_path / "ran").exists()

    def test_several_problems_are_counted(self, corpus):
        (corpus / "utt2rate").write_text("")
        assert "(and 1 more: distilmos corpus check" in self.spoil(corpus, "utt2mos", "2.5", "good")


class TestWavScpAlone:
    def test_in_any_order(self, tmp_path):
        (tmp_path / "list.scp").write_text("b y z.wav\na x.wav\n")
        assert read_wav_scp(tmp_path / "list.scp") == {"b": "y z.wav", "a": "x.wav"}

    def test_pipes_and_doubles_are_refused(self, tmp_path):
        for text in ("a cat x |\n", "a x\na y\n"):
            (tmp_path / "list.scp").write_text(text)
            assert "key" in message(read_wav_scp, tmp_path / "list.scp")


class TestCheck:
    def test_a_sound_directory_gives_a_summary(self, corpus):
        summary = check(corpus)
        assert (summary.clips, summary.systems, summary.ratings, summary.listeners) == (4, 2, 8, 2)
        assert summary.hours == pytest.approx(4 * 0.5 / 3600)
        assert summary.rates == {RATE: 4}
        assert summary.labels["mos"] == (1.0, 2.9375, 5.0)
        assert summary.flags == {}
        assert "4 clips" in str(summary)
        assert "mos: 1.00 to 5.00" in str(summary)

    def test_audio_with_flags_is_counted(self, corpus):
        path = DataDirectory.read(corpus).wav["a-1"]
        soundfile.write(path, np.zeros(RATE // 2), RATE)
        assert check(corpus).flags == {"silent": 1}
        assert check(corpus, read_audio=False).flags == {}

    def test_every_problem_is_listed(self, corpus):
        wav = DataDirectory.read(corpus).wav
        os.unlink(wav["a-1"])
        with open(wav["b_2"], "r+b") as file:
            file.truncate(2000)
        soundfile.write(wav["é3"], np.full(RATE // 2, np.nan), RATE, subtype="FLOAT")
        soundfile.write(wav["音4"], np.zeros(0), RATE)
        (corpus / "ratings.tsv").write_text("")
        (corpus / "utt2mos").write_text("a-1 good\nb_2 2\né3 3\n音4 4\n")
        text = message(check, corpus)
        assert text.startswith(f"{corpus}: 6 problems\n")
        for part in ("'a-1': 'good'", "ratings.tsv: the file is empty", "no such file", "truncated", "NaN", "no samples"):
            assert part in text
        for key in ("b_2", "é3", "音4"):
            assert f"wav.scp: key '{key}'" in text

    def test_missing_audio_is_found_without_reading_it_all(self, corpus):
        os.unlink(DataDirectory.read(corpus).wav["a-1"])
        assert "no such file" in message(check, corpus, False)

    def test_many_problems_of_a_kind_are_cut_short(self, tmp_path):
        write_data_directory(tmp_path, {f"k{number}": f"gone{number}.wav" for number in range(9)})
        text = message(check, tmp_path)
        assert text.count("no such file") == 3
        assert "6 more like this" in text

    @pytest.mark.parametrize(("name", "value"), [("utt2num_samples", "7999"), ("utt2rate", "8000")])
    def test_lengths_and_rates_that_the_audio_contradicts(self, corpus, name, value):
        text = (corpus / name).read_text()
        (corpus / name).write_text(re.sub(r"b_2 \d+", f"b_2 {value}", text))
        assert f"key 'b_2': {name} says {value}, the audio has" in message(check, corpus)

    def test_seconds_of_missing_audio(self, tmp_path):
        directory = write_data_directory(tmp_path, {"a": str(tmp_path / "gone.wav")})
        with pytest.raises(AudioProblem, match="no such file"):
            directory.seconds()
