"""Code-book files, and the assignment of tokens."""

import numpy as np
import pytest
import torch

from distilmos_plugin.audio import read_audio
from distilmos_plugin.config import UpstreamConfig
from distilmos_plugin.errors import TokenError
from distilmos_plugin.tokens.codebook import FILE, PADDING, CodeBook
from distilmos_plugin.upstreams.upstream import load_upstream


@pytest.fixture(scope="module")
def book(learned):
    return CodeBook.load(learned / FILE)


@pytest.fixture(scope="module")
def clips(directory):
    return [torch.from_numpy(read_audio(directory.wav[key], 16000).samples) for key in directory.keys]


def book_of(clusters: int, **changes) -> CodeBook:
    values = {"layers": (1,), "upstream": "x", "upstream_digest": "0" * 16, "rate": 50.0, "seed": 0} | changes
    return CodeBook(torch.randn(1, clusters, 4, generator=torch.Generator().manual_seed(0)), **values)


def test_a_token_is_the_nearest_centroid(book, clips, upstream):
    with torch.inference_mode():
        hidden = upstream(clips)
    tokens = book.assign(hidden)
    for row, length in enumerate(hidden.lengths.tolist()):
        for place, layer in enumerate(book.layers):
            distances = torch.cdist(hidden.states[layer][row, :length].double(), book.centroids[place].double())
            assert torch.equal(tokens[row, :length, place], distances.argmin(1))


def test_a_clip_has_the_same_tokens_alone_and_in_a_batch_and_none_past_its_end(book, clips, upstream):
    with torch.inference_mode():
        together, alone = upstream(clips), [upstream([clip]) for clip in clips]
    tokens = book.assign(together)
    for row, single in enumerate(alone):
        length = int(single.lengths)
        assert torch.equal(tokens[row, :length], book.assign(single)[0])
        assert (tokens[row, length:] == PADDING).all()


def test_assignment_in_chunks_equals_assignment_at_once(monkeypatch):
    frames = torch.randn(1000, 4, generator=torch.Generator().manual_seed(1)) + 50
    expected = book_of(30).nearest(frames, 0)
    monkeypatch.setattr("distilmos_plugin.tokens.codebook.ROWS", 7)
    assert torch.equal(book_of(30).nearest(frames, 0), expected)


@pytest.mark.parametrize(
    ("clusters", "dtype"), [(2, np.uint8), (200, np.uint8), (256, np.uint8), (257, np.uint16), (65537, np.uint32)]
)
def test_tokens_take_the_smallest_unsigned_type(clusters, dtype):
    assert book_of(clusters).dtype == dtype


def test_a_file_gives_back_what_was_saved(tmp_path):
    saved = book_of(5, report=({"layer": 1, "used": 5, "inertia": 0.25},))
    saved.save(tmp_path / FILE)
    loaded = CodeBook.load(tmp_path / FILE)
    assert torch.equal(loaded.centroids, saved.centroids)
    fields = ("layers", "upstream", "upstream_digest", "rate", "seed", "report", "clusters", "digest")
    assert [getattr(loaded, name) for name in fields] == [getattr(saved, name) for name in fields]


def test_the_upstream_that_made_it_fits_whole_cut_and_by_another_name(book, upstream):
    book.check_upstream(upstream)
    by_path = load_upstream("wavlm_local", UpstreamConfig(ckpt="distilmos_plugin/upstreams/assets/tiny.pt"))
    book.check_upstream(by_path)  # the same weights


def test_another_upstream_is_refused_by_name_and_digest(book, upstream):
    other = load_upstream("fbank")
    with pytest.raises(TokenError, match=rf"tiny \({upstream.digest}\).*fbank \({other.digest}\)"):
        book.check_upstream(other)


def test_an_upstream_cut_below_the_layers_is_refused(book):
    with pytest.raises(TokenError, match="loaded with 2 layers"):
        book.check_upstream(load_upstream("tiny", UpstreamConfig(num_layers=2)))


def test_another_frame_rate_is_refused(upstream):
    with pytest.raises(TokenError, match=r"100 Hz.*50 Hz"):
        book_of(4, rate=100.0, upstream_digest=upstream.digest).check_upstream(upstream)


@pytest.mark.parametrize("content", [b"", b"not safetensors at all", b"\x08\0\0\0\0\0\0\0{}      "])
def test_a_file_that_is_no_code_book_is_named(content, tmp_path):
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(TokenError, match=r"codebook\.safetensors"):
        CodeBook.load(tmp_path / FILE)


def test_a_missing_code_book_says_how_to_make_it(tmp_path):
    with pytest.raises(TokenError, match="distilmos tokens learn"):
        CodeBook.load(tmp_path / FILE)
