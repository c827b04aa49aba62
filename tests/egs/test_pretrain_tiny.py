"""The scripts that made the bundled upstream, and the file that they made."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import distilmos_plugin
from distilmos_plugin.corpora.simulation import espeak

LOCAL = Path(__file__).parents[2] / "egs" / "mini" / "local"
ASSET = Path(distilmos_plugin.__file__).parent / "upstreams" / "assets" / "tiny.pt"


@pytest.fixture(scope="module", autouse=True)
def scripts():
    """The scripts import one another by bare names, as they do on the command line."""
    sys.path.insert(0, str(LOCAL))
    yield
    sys.path.remove(str(LOCAL))


@pytest.fixture
def speech() -> torch.Tensor:
    samples = espeak.synthesize("A short sentence for a small network.", "en-us").samples
    return torch.from_numpy(samples[:32000])[None]


def test_the_shipped_file_is_small_and_loads_in_s3prl_by_weights_only(speech: torch.Tensor):
    from s3prl.upstream.wavlm.hubconf import wavlm_local

    assert ASSET.stat().st_size < 4_000_000
    upstream = wavlm_local(str(ASSET)).eval()  # torch.load inside: weights_only is torch's default
    assert sum(parameter.numel() for parameter in upstream.parameters()) < 2_000_000
    with torch.no_grad():
        states = upstream([speech[0]])["hidden_states"]
    assert len(states) == 6
    assert all(state.dtype == torch.float32 and torch.isfinite(state).all() for state in states)
    assert states[0].shape[1] == (32000 - 400) // 320 + 1


def test_mfcc_and_spectrum_have_one_frame_per_frame_of_the_network(speech: torch.Tensor):
    import tiny_model

    model = tiny_model.build_wavlm(seed=0)
    for length in (400, 719, 720, 16000, 31999):
        frames = tiny_model.front(model, speech[:, :length]).shape[1]
        assert tiny_model.mfcc(speech[:, :length]).shape == (1, frames, 39)
        assert tiny_model.log_mel(speech[:, :length]).shape == (1, frames, 40)


def test_mfcc_do_not_depend_on_the_level(speech: torch.Tensor):
    import tiny_model

    # 20 dB; coefficients reach 10, and a floor of the energies that keeps the logarithm finite moves them by up to 0.01
    torch.testing.assert_close(tiny_model.mfcc(speech), tiny_model.mfcc(speech * 10), atol=0.01, rtol=0)


def test_kmeans_finds_separated_clusters():
    import tiny_model

    generator = torch.Generator().manual_seed(0)
    centres = 10 * torch.randn(8, 5, generator=generator)
    labels = torch.arange(8).repeat_interleave(50)
    points = centres[labels] + 0.1 * torch.randn(400, 5, generator=generator)
    centroids, mean, scale = tiny_model.fit_kmeans(points, 16, seed=0)
    codes = tiny_model.nearest_code((points - mean) / scale, centroids)
    for code in codes.unique():
        assert len(labels[codes == code].unique()) == 1  # no code is shared by two clusters


def test_a_mask_has_whole_spans_and_is_reproducible():
    import tiny_model

    mask = tiny_model.span_mask(20, 159, np.random.default_rng(1))
    assert torch.equal(mask, tiny_model.span_mask(20, 159, np.random.default_rng(1)))
    assert 0.4 < mask.float().mean() < 0.55  # spans that would cover 65 % leave 1 - exp(-0.65) = 48 % where they overlap
    for row in mask.int():
        edges = torch.nn.functional.pad(row, (1, 1)).diff()
        assert ((edges == -1).nonzero() - (edges == 1).nonzero()).min() >= tiny_model.MASK_SPAN


def test_clips_are_reproducible_degraded_and_aligned_with_their_sources():
    import tiny_degrade

    stream = (espeak.synthesize("One two three four five six seven eight nine ten. " * 3, "en-us").samples * 32767).astype(
        np.int16
    )
    noise = np.random.default_rng(0).integers(-3000, 3000, 40000).astype(np.int16)
    clips = tiny_degrade.Clips({"espeak-ng": stream}, {"espeak-ng": 1.0}, noise, 16000, 40, seed=3)
    inputs, sources = clips.batch(1, 7)
    again, _ = clips.batch(1, 7)
    np.testing.assert_array_equal(inputs, again)
    assert not np.array_equal(inputs, clips.batch(1, 8)[0])
    assert inputs.shape == sources.shape == (40, 16000)
    assert inputs.dtype == sources.dtype == np.float32
    likeness = [np.corrcoef(heard, source)[0, 1] for heard, source in zip(inputs, sources, strict=True)]
    assert min(likeness) > 0.2  # even at 0 dB SNR or in a strong reverberation the source is in its place
    assert 0.5 < np.mean(np.array(likeness) > 0.9999) < 1.0  # half are clean, half of the others keep their own codes


def test_every_language_has_text_that_espeak_speaks():
    import tiny_speech
    import tiny_text

    known = dict(espeak.voices())
    assert len(tiny_text.LANGUAGES) >= 50
    assert set(tiny_speech.HELD_OUT_LANGUAGES) < set(tiny_text.LANGUAGES) <= set(known)
    assert set(tiny_speech.HELD_OUT_VARIANTS) < set(espeak.variants())
    for language in tiny_text.LANGUAGES:
        text = tiny_text.sentence(language, 6, np.random.default_rng(0))
        assert espeak.synthesize(text, language).duration > 1.0


def test_replicas_of_two_threads_give_the_gradient_of_the_whole_batch():
    import pretrain_tiny
    import tiny_model

    gradients = []
    generator = torch.Generator().manual_seed(0)
    inputs = 0.1 * torch.randn(4, 8000, generator=generator)
    teacher = pretrain_tiny.Teacher(torch.randn(100, 39, generator=generator), torch.zeros(39), torch.ones(39))
    mask = torch.zeros(4, 24, dtype=torch.bool)
    mask[:, 5:12] = True
    for threads in (1, 2):
        options = argparse.Namespace(seed=1, threads=threads, minutes=1.0, steps=[1, 1, 1])
        iteration = pretrain_tiny.Iteration(1, tiny_model.build_wavlm(1), teacher, options)
        with pretrain_tiny.ThreadPoolExecutor(threads) as pool:
            iteration.update(inputs, inputs, mask, pool)
        gradients.append([parameter.grad for parameter in iteration.network.parameters()])
    for one, two in zip(*gradients, strict=True):
        assert (one - two).norm() <= 1e-4 * one.norm() + 1e-6  # float32 sums in another order


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    for number in range(3):
        samples = espeak.synthesize("Some recorded speech, as it were, for the test.", f"en-us+f{number + 1}").samples
        soundfile.write(folder / f"{number}.flac", np.tile(samples, 2), 22050)
    return folder


def _pretrain(work: Path, recordings: Path, steps: str) -> tuple[dict[str, torch.Tensor], str]:
    options = ["--work", work, "--output", work / "tiny.pt", "--speech", recordings, "--synthetic-hours", "0.05"]
    options += ["--threads", "1", "--frames", "1000", "--steps", *steps.split()]
    command = [sys.executable, str(LOCAL / "pretrain_tiny.py"), *map(str, options)]
    run = subprocess.run(command, check=True, timeout=300, stderr=subprocess.PIPE, text=True)
    return torch.load(work / "tiny.pt", weights_only=True)["model"], run.stderr


def test_a_run_that_was_interrupted_gives_the_weights_of_one_that_was_not(tmp_path: Path, recordings: Path):
    _pretrain(tmp_path / "stopped", recordings, "1 1 1")
    resumed, said = _pretrain(tmp_path / "stopped", recordings, "1 1 2")
    assert "going on: iteration 2: 50.0 %, step 1" in said
    whole, _ = _pretrain(tmp_path / "whole", recordings, "1 1 2")
    assert all(torch.isfinite(value).all() for value in whole.values())
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
