"""Objective quality: known ends of the scales, hand-computed values, and errors instead of numbers."""

from __future__ import annotations

import numpy as np
import pytest

from distilmos_plugin.corpora.simulation.degradations import add_noise, limit_band
from distilmos_plugin.corpora.simulation.levels import active_level, power
from distilmos_plugin.corpora.simulation.quality import at_rate, measure, pesq_wideband, speech_distortion_index, stoi
from distilmos_plugin.errors import DataError

RATE = 16000


def noise(length: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(length)


def test_a_clip_is_as_good_as_itself(speech):
    quality = measure(speech, RATE, speech, RATE)
    assert quality.pesq == pytest.approx(4.644, abs=0.001)  # the top of P.862.2: 0.999 + 4 / (1 + exp(-1.3669 * 4.5 + 3.8224))
    assert quality.stoi == pytest.approx(1, abs=1e-9)
    assert quality.sdi == 0


def test_more_noise_is_worse_on_every_scale(speech):
    measured = [measure(speech, RATE, add_noise(speech, RATE, noise(len(speech)), snr), RATE) for snr in (40, 20, 0)]
    assert [q.pesq for q in measured] == sorted((q.pesq for q in measured), reverse=True)
    assert [q.stoi for q in measured] == sorted((q.stoi for q in measured), reverse=True)
    assert [q.sdi for q in measured] == sorted(q.sdi for q in measured)
    assert 1 < measured[-1].pesq < 1.2  # white noise as loud as the speech


def test_pesq_does_not_hear_the_level(speech):
    noisy = add_noise(speech, RATE, noise(len(speech)), 30)
    assert pesq_wideband(speech, noisy / 4) == pytest.approx(
        pesq_wideband(speech, noisy), abs=0.05
    )  # it sets the level itself


def test_processed_speech_of_a_low_rate_is_compared_over_the_wide_band(speech):
    telephone = at_rate(speech, RATE, 8000)
    same_band = limit_band(speech, RATE, high=3900)
    assert measure(speech, RATE, telephone, 8000).pesq == pytest.approx(pesq_wideband(speech, same_band), abs=0.3)
    assert measure(speech, RATE, telephone, 8000).pesq < 4.3


def test_sdi_by_hand():
    clean = np.array([2.0, -1.0, 0.0, 2.0])  # energy 9
    heard = np.array([1.0, -1.0, 2.0, 0.0])  # differences 1, 0, -2, 2: energy 9
    assert speech_distortion_index(clean, heard) == pytest.approx(1)
    assert speech_distortion_index(clean, 0.5 * clean) == pytest.approx(0.25)
    assert speech_distortion_index(clean, np.zeros(4)) == pytest.approx(1)
    assert speech_distortion_index(clean, -clean) == pytest.approx(4)


def test_sdi_of_noise_is_its_share_of_power(speech):
    noisy = add_noise(speech, RATE, noise(len(speech)), 10)
    ratio = 10 ** ((power(noisy - speech) - power(speech)) / 10)
    assert speech_distortion_index(speech, noisy) == pytest.approx(ratio, rel=1e-9)
    assert ratio == pytest.approx(0.1 * 10 ** ((active_level(speech, RATE) - power(speech)) / 10))


def test_silence_is_an_error_not_a_number(speech):
    silence = np.zeros_like(speech)
    with pytest.raises(DataError, match="silent"):
        speech_distortion_index(silence, speech)
    with pytest.raises(DataError, match="PESQ cannot compare"):
        pesq_wideband(silence, speech)


def test_too_little_speech_is_an_error_not_a_number(speech):
    with pytest.raises(DataError, match="PESQ cannot compare"):
        pesq_wideband(speech[8000:9000], speech[8000:9000])
    with pytest.raises(DataError, match="STOI cannot compare"):
        stoi(speech[:5000], speech[:5000])
