"""Token archives."""

import shutil

import kaldiio
import numpy as np
import pytest
import torch

from distilmos_plugin.audio import read_audio
from distilmos_plugin.config import UpstreamConfig
from distilmos_plugin.data.directory import write_data_directory
from distilmos_plugin.errors import DataError, TokenError
from distilmos_plugin.tokens.codebook import FILE, CodeBook
from distilmos_plugin.tokens.extract import extract, read_tokens
from distilmos_plugin.upstreams.upstream import load_upstream


@pytest.fixture(scope="module")
def book(learned):
    return CodeBook.load(learned / FILE)


@pytest.fixture(scope="module")
def folder(upstream, book, directory, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokens")
    extract(upstream, book, directory, folder)
    return folder


def test_every_clip_has_a_token_for_every_frame_and_layer(folder, directory, upstream, book):
    tokens = read_tokens(folder)
    assert tuple(tokens) == directory.keys  # sorted, although the archive is in order of length
    for key in directory.keys:
        samples = torch.from_numpy(read_audio(directory.wav[key], 16000).samples)
        with torch.inference_mode():
            expected = book.assign(upstream([samples]))[0]
        assert tokens[key].dtype == np.uint8
        assert np.array_equal(tokens[key], expected.numpy())


def test_the_index_is_valid_for_kaldiio_itself(folder, directory):
    ours, theirs = read_tokens(folder), kaldiio.load_scp(str(folder / "tokens.scp"))
    assert set(theirs) == set(directory.keys)
    assert all(np.array_equal(theirs[key], ours[key]) for key in directory.keys)


def test_the_archive_alone_can_be_read_in_sequence(folder, directory):
    assert {key for key, _ in kaldiio.load_ark(str(folder / "tokens.ark"))} == set(directory.keys)


def test_a_folder_that_was_moved_still_opens(folder, directory, tmp_path):
    shutil.copytree(folder, tmp_path / "moved")
    (tmp_path / "moved" / "tokens.scp").write_text((folder / "tokens.scp").read_text().replace(str(folder), "/gone"))
    assert len(read_tokens(tmp_path / "moved")[directory.keys[0]])


def test_the_tokens_name_their_code_book(folder, book):
    assert read_tokens(folder).codebook == book.digest


def test_another_upstream_is_refused_before_anything_is_written(book, directory, tmp_path):
    with pytest.raises(TokenError, match=r"tiny .*fbank"):
        extract(load_upstream("fbank", UpstreamConfig(trainable=False)), book, directory, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_failure_leaves_no_index_and_no_half_archive(upstream, book, directory, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "out")
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    wav = {**directory.wav, "broken": tmp_path / "broken.wav"}
    samples = dict.fromkeys(wav, 9000)
    broken = write_data_directory(tmp_path / "data", wav, num_samples=samples, rates=dict.fromkeys(wav, 16000))
    with pytest.raises(DataError, match="key 'broken'"):
        extract(upstream, book, broken, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["tokens.ark"]  # the old one, whole
    with pytest.raises(TokenError, match="no tokens"):
        read_tokens(tmp_path / "out")


def test_damage_is_named(folder, directory, tmp_path):
    shutil.copytree(folder, tmp_path / "out")
    (tmp_path / "out" / "tokens.ark").write_bytes((folder / "tokens.ark").read_bytes()[:300])
    with pytest.raises(TokenError, match=r"tokens\.ark: key 'clip0'"):
        read_tokens(tmp_path / "out")["clip0"]
    (tmp_path / "out" / "tokens.scp").write_text("clip0 nowhere\n")
    with pytest.raises(TokenError, match=r"tokens\.scp:1"):
        read_tokens(tmp_path / "out")


def test_an_entry_that_would_unpickle_is_refused(tmp_path):
    kaldiio.save_ark(str(tmp_path / "tokens.ark"), {"a": np.zeros(3)}, str(tmp_path / "tokens.scp"), write_function="pickle")
    with pytest.raises(TokenError, match="no matrix"):
        read_tokens(tmp_path)["a"]
