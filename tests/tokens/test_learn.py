"""Code books from one pass over the audio."""

import numpy as np
import pytest
import soundfile
import torch

from distilmos_plugin.config import TokenConfig
from distilmos_plugin.data.directory import write_data_directory
from distilmos_plugin.errors import ConfigError, DataError, TokenError
from distilmos_plugin.tokens.codebook import FILE, CodeBook
from distilmos_plugin.tokens.learn import fit_layer, learn

from .conftest import CONF, voice


def test_every_layer_gets_a_code_book_by_default(learned, upstream):
    book = CodeBook.load(learned / FILE)
    assert book.layers == tuple(range(1, upstream.num_layers + 1))
    assert book.centroids.shape == (upstream.num_layers, 12, upstream.dim)
    assert (book.upstream, book.upstream_digest, book.rate, book.seed) == ("tiny", upstream.digest, 50.0, 3)


def test_the_report_tells_usage_and_inertia_of_every_layer(learned):
    book = CodeBook.load(learned / FILE)
    assert [figures["layer"] for figures in book.report] == list(book.layers)
    for figures in book.report:
        assert figures["used"] + figures["dead"] == 12
        assert 2 < figures["perplexity"] <= 12
        assert figures["inertia"] > 0
        assert 0 < figures["explained"] < 1


def test_the_same_seed_gives_the_same_code_book_and_another_seed_another(directory, upstream, learned, tmp_path):
    again = learn(upstream, directory, CONF, tmp_path)
    first = CodeBook.load(learned / FILE)
    assert torch.equal(again.centroids, first.centroids)
    assert again.digest == first.digest
    assert (tmp_path / FILE).read_bytes() == (learned / FILE).read_bytes()
    conf = TokenConfig(clusters=12, max_frames=600, iterations=8, seed=4)
    assert not torch.equal(learn(upstream, directory, conf, tmp_path).centroids, first.centroids)


def test_only_the_chosen_layers_are_fitted_and_they_are_the_same_then(directory, upstream, learned, tmp_path):
    conf = TokenConfig(clusters=12, max_frames=600, iterations=8, seed=3, layers=(4, 2))
    book = learn(upstream, directory, conf, tmp_path)
    assert book.layers == (2, 4)
    assert torch.equal(book.centroids, CodeBook.load(learned / FILE).centroids[[1, 3]])


def test_the_centroids_are_the_means_of_their_frames_and_the_figures_are_those_of_brute_force():
    generator = np.random.default_rng(0)
    frames = generator.standard_normal((1500, 5)) * [1, 2, 3, 1, 1] + 100  # a large mean, as upstream layers have
    found, figures = fit_layer(1, frames.astype(np.float32), TokenConfig(clusters=6, iterations=200, seed=1))
    distances = np.square(frames[:, None] - found[None]).sum(axis=2)
    nearest = distances.argmin(axis=1)
    means = np.stack([frames[nearest == cluster].mean(axis=0) for cluster in range(6)])
    assert found == pytest.approx(means, abs=1e-4)  # k-means has converged; float32 at 100 resolves 1e-5
    usage = np.bincount(nearest) / 1500
    assert figures["inertia"] == pytest.approx(distances.min(axis=1).mean(), rel=1e-4)
    assert figures["explained"] == pytest.approx(1 - figures["inertia"] / frames.var(axis=0).sum(), abs=1e-4)
    assert figures["perplexity"] == pytest.approx(np.exp(-(usage * np.log(usage)).sum()), abs=0.05)  # one decimal is kept
    assert (figures["used"], figures["dead"], figures["frames"]) == (6, 0, 1500)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (np.ones((500, 8)), r"layer 7: collapsed: its 500 frames hold 1 different vectors"),
        (np.repeat(np.random.default_rng(0).standard_normal((5, 8)), 100, axis=0), "hold 5 different vectors"),
        # 1 frame in 100 differs from one vector and its tiny noise: all but one cluster share what is left
        (
            np.where(np.arange(2000)[:, None] % 100, 1.0, np.random.default_rng(0).standard_normal((2000, 8)) * 50),
            r"layer 7: collapsed: .*perplexity",
        ),
        (np.full((500, 8), np.nan), "not finite"),
    ],
)
def test_a_collapsed_layer_is_an_error_that_says_so(frames, message):
    with pytest.raises(TokenError, match=message):
        fit_layer(7, frames.astype(np.float32), TokenConfig(clusters=20))


def test_one_clip_over_and_over_collapses_and_nothing_is_written(upstream, tmp_path):
    soundfile.write(tmp_path / "clip.wav", voice(0.4, 16000, 0), 16000)
    same = write_data_directory(tmp_path / "data", {f"copy{index}": tmp_path / "clip.wav" for index in range(5)})
    with pytest.raises(TokenError, match="layer 1: collapsed: its 95 frames hold 19 different vectors"):
        learn(upstream, same, TokenConfig(clusters=30), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("conf", "error", "message"),
    [
        (TokenConfig(layers=(1, 99)), ConfigError, "99 is not a layer of tiny"),
        (TokenConfig(layers=(0,)), ConfigError, "0 is not a layer"),
        (TokenConfig(layers=()), ConfigError, "no layer is left"),
        (TokenConfig(clusters=1), ConfigError, "clusters: at least 2"),
        (TokenConfig(clusters=50, max_frames=40), ConfigError, "max_frames: at least 50"),
        (TokenConfig(clusters=5000), TokenError, "too few for token_conf: clusters: 5000"),
    ],
)
def test_numbers_that_make_no_code_book_are_refused_before_the_audio_is_read(
    conf, error, message, directory, upstream, tmp_path
):
    with pytest.raises(error, match=message):
        learn(upstream, directory, conf, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("content", "message"), [(np.zeros(399), "399 samples"), (np.full(8000, np.nan), "NaN")])
def test_a_clip_that_cannot_be_used_is_named(content, message, upstream, tmp_path):
    soundfile.write(tmp_path / "good.wav", voice(1.0, 16000, 0), 16000)
    soundfile.write(tmp_path / "bad.wav", content, 16000, subtype="FLOAT")
    wav = {"good": tmp_path / "good.wav", "bad": tmp_path / "bad.wav"}
    with pytest.raises(DataError, match=rf"key 'bad'.*{message}"):
        learn(
            upstream, write_data_directory(tmp_path / "data", wav), TokenConfig(clusters=4, max_frames=100), tmp_path / "out"
        )
