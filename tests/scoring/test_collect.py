"""What a user names, expanded into clips."""

import io
import os

import pytest

from distilmos_plugin.errors import DataError
from distilmos_plugin.scoring.collect import collect


def make(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def keys(*inputs, **options):
    return [clip.key for clip in collect(inputs, **options)]


def test_folders_are_searched_through_all_levels_for_audio(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make(
        tmp_path,
        "in/b.wav",
        "in/a.FLAC",
        "in/deep/er/c.mp3",
        "in/notes.txt",
        "in/.hidden.wav",
        "in/.git/d.wav",
        "in/x.wav/e.ogg",
    )
    assert keys("in") == ["in/a.FLAC", "in/b.wav", "in/deep/er/c.mp3", "in/x.wav/e.ogg"]


def test_a_named_file_is_taken_whatever_its_ending_and_also_if_missing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make(tmp_path, "speech.bin")
    assert keys("speech.bin", "missing.wav") == ["speech.bin", "missing.wav"]


def test_the_order_of_the_inputs_is_kept_and_a_file_comes_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make(tmp_path, "in/a.wav", "in/b.wav", "z.wav")
    assert keys("z.wav", "in/b.wav", "in") == ["z.wav", "in/b.wav", "in/a.wav"]


def test_globs_and_a_file_whose_name_looks_like_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make(tmp_path, "a1.wav", "a2.wav", "deep/a3.wav", "take[1].wav")
    assert keys("a?.wav") == ["a1.wav", "a2.wav"]
    assert keys("**/a*.wav") == ["a1.wav", "a2.wav", "deep/a3.wav"]
    assert keys("take[1].wav") == ["take[1].wav"]
    with pytest.raises(DataError, match=r"no file matches 'b\*\.wav'"):
        keys("b*.wav")


def test_wav_scp_gives_its_keys_in_its_order(tmp_path):
    scp = tmp_path / "wav.scp"
    scp.write_text("utt2 /data/b with blank.wav\nutt1 /data/a.wav\n")
    clips = collect([scp])
    assert [(clip.key, clip.path) for clip in clips] == [("utt2", "/data/b with blank.wav"), ("utt1", "/data/a.wav")]
    assert [clip.key for clip in collect([tmp_path])] == ["utt2", "utt1"]  # a data directory


def test_pipes_are_refused_unless_allowed(tmp_path):
    scp = tmp_path / "wav.scp"
    scp.write_text("utt1 cat /data/a.wav |\n")
    with pytest.raises(DataError, match="--allow-pipes"):
        collect([scp])
    assert collect([scp], allow_pipes=True)[0].source == "cat /data/a.wav |"


def test_one_key_for_two_files_is_refused(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "wav.scp").write_text(f"utt1 /data/{name}.wav\n")
    with pytest.raises(DataError, match=r"key 'utt1' names both /data/one\.wav and /data/two\.wav"):
        collect([tmp_path / "one", tmp_path / "two"])


@pytest.mark.parametrize("text", [b"a.wav\nb c.wav\n\n", b"a.wav\r\nb c.wav\r\n", b"a.wav\0b c.wav\0"])
def test_a_list_on_standard_input(text):
    assert keys("-", stdin=io.BytesIO(text)) == ["a.wav", "b c.wav"]


def test_a_list_parted_by_nul_may_hold_line_ends_and_any_bytes():
    assert keys("-", stdin=io.BytesIO(b"line\nend.wav\0\xff.wav\0")) == ["line\nend.wav", os.fsdecode(b"\xff.wav")]


def test_links_that_lead_in_circles_end(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make(tmp_path, "in/a.wav", "in/deep/b.wav")
    (tmp_path / "in/deep/up").symlink_to("..")
    (tmp_path / "in/self.wav").symlink_to("self.wav")
    (tmp_path / "in/gone.wav").symlink_to("nowhere.wav")
    assert keys("in") == ["in/a.wav", "in/deep/b.wav", "in/gone.wav", "in/self.wav"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_searched_is_kept_so_that_its_result_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make(tmp_path, "in/a.wav", "in/closed/b.wav")
    (tmp_path / "in/closed").chmod(0)
    assert keys("in") == ["in/a.wav", "in/closed"]
    (tmp_path / "in/closed").chmod(0o700)


def test_nothing_to_score_is_said(tmp_path):
    (tmp_path / "in").mkdir()
    with pytest.raises(DataError, match="no audio files in this folder"):
        collect([tmp_path / "in"])
    with pytest.raises(DataError, match="nothing to score: name files, folders"):
        collect(["-"], stdin=io.BytesIO(b"\n"))
