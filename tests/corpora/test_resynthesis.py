"""Vocoders: coarser features give worse speech; pitch moves as asked; the same input gives the same output."""

from __future__ import annotations

import numpy as np
import pytest

from distilmos_plugin.corpora.simulation import resynthesis
from distilmos_plugin.corpora.simulation.quality import pesq_wideband

RATE = 16000


def fundamental(samples: np.ndarray) -> float:
    pyworld = resynthesis.load_pyworld()
    f0 = pyworld.dio(np.ascontiguousarray(samples), RATE)[0]
    return float(np.median(f0[f0 > 0]))


def test_world_keeps_length_and_pitch(speech):
    output = resynthesis.world(speech, RATE)
    assert output.shape == speech.shape
    assert fundamental(output) == pytest.approx(fundamental(speech), rel=0.03)


def test_world_moves_the_pitch(speech):
    assert fundamental(resynthesis.world(speech, RATE, pitch=1.2)) == pytest.approx(1.2 * fundamental(speech), rel=0.03)


def test_world_is_repeatable(speech):
    assert np.array_equal(resynthesis.world(speech, RATE), resynthesis.world(speech, RATE))


def test_coarser_world_is_worse(speech):
    fine, coarse = resynthesis.world(speech, RATE), resynthesis.world(speech, RATE, frame_ms=15.0, envelope_dims=16)
    assert pesq_wideband(speech, fine) > pesq_wideband(speech, coarse) + 0.1


def griffin_lim(speech: np.ndarray, iterations: int, mels: int | None) -> np.ndarray:
    return resynthesis.griffin_lim(speech, RATE, iterations, mels, np.random.default_rng(0))


def test_griffin_lim_gets_better_with_iterations_and_bands(speech):
    best, few, coarse = griffin_lim(speech, 30, None), griffin_lim(speech, 2, None), griffin_lim(speech, 30, 32)
    assert best.shape == speech.shape
    scores = [pesq_wideband(speech, output) for output in (best, few, coarse)]
    assert scores[0] > scores[1] + 0.1
    assert scores[0] > scores[2] + 0.5


def test_mel_filters_cover_the_band():
    filters = resynthesis.mel_filters(RATE, 736, 80)
    assert filters.shape == (80, 369)
    assert filters.min() >= 0
    assert filters.max() <= 1
    assert (filters.sum(axis=0)[10:-1] > 0).all()  # above the lowest band, whose filters are narrower than a bin
