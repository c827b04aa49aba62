"""Files are whole or absent."""

import json
import os

import pytest

from distilmos_plugin.files import (
    atomic_directory,
    atomic_write,
    file_digest,
    fingerprint,
    stamp_is_current,
    write_json,
    write_stamp,
)


class Cut(Exception):
    """Stands for anything that ends a write half-way."""


def test_a_write_that_is_cut_off_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "scores.txt"
    path.write_text("old")

    def cut_write():
        with atomic_write(path) as file:
            file.write("new")
            raise Cut

    with pytest.raises(Cut):
        cut_write()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["scores.txt"]


def test_a_finished_write_takes_the_place_of_the_file_with_ordinary_permissions(tmp_path):
    path = tmp_path / "new" / "scores.txt"
    with atomic_write(path) as file:
        file.write("a\n")
    assert path.read_bytes() == b"a\n"
    plain = tmp_path / "plain"
    plain.touch()
    assert path.stat().st_mode == plain.stat().st_mode


def test_a_directory_appears_whole_or_not_at_all(tmp_path):
    target = tmp_path / "model"

    def cut_write():
        with atomic_directory(target) as folder:
            (folder / "half").touch()
            raise Cut

    with pytest.raises(Cut):
        cut_write()
    assert os.listdir(tmp_path) == []
    for content in ("first", "second"):
        with atomic_directory(target) as folder:
            (folder / content).touch()
    assert os.listdir(target) == ["second"]
    assert os.listdir(tmp_path) == ["model"]


def test_json_refuses_nan_and_keeps_the_old_file(tmp_path):
    path = tmp_path / "metrics.json"
    write_json(path, {"lcc": None})
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"lcc": float("nan")})
    assert json.loads(path.read_text()) == {"lcc": None}


def test_a_stamp_is_current_for_the_same_inputs_only(tmp_path):
    assert not stamp_is_current(tmp_path, {"seed": 0})
    write_stamp(tmp_path, {"seed": 0})
    assert stamp_is_current(tmp_path, {"seed": 0})
    assert not stamp_is_current(tmp_path, {"seed": 1})


def test_digests_are_sha256_and_fingerprints_follow_the_value_not_the_order(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc")  # the test vector of FIPS 180-2
    assert file_digest(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1}) != fingerprint({"a": 1, "b": 3})
