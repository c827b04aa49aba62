"""Every degradation is as strong as its parameter says: measured on the signal, not read from the code."""

from __future__ import annotations

import numpy as np
import pytest

from distilmos_plugin.corpora.simulation import degradations as d
from distilmos_plugin.corpora.simulation.levels import active_level, at_level, power

RATE = 16000


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def tone(frequency: float, seconds: float = 1.0, rate: int = RATE) -> np.ndarray:
    return 0.1 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)


def decibel(ratio: float) -> float:
    return 10 * np.log10(ratio)


# Levels (ITU-T P.56)


def test_active_level_leaves_pauses_out(speech):
    pause = np.zeros(5 * RATE)
    with_pause = np.concatenate([speech, pause])
    assert power(with_pause) < power(speech) - 3
    assert active_level(with_pause, RATE) == pytest.approx(active_level(speech, RATE), abs=0.3)  # a hangover more is active


def test_active_level_is_the_power_of_a_steady_signal():
    noise = 0.1 * rng().standard_normal(3 * RATE)
    assert active_level(noise, RATE) == pytest.approx(-20, abs=0.2)


def test_active_level_follows_the_gain(speech):
    assert active_level(speech / 10, RATE) == pytest.approx(active_level(speech, RATE) - 20, abs=0.3)


def test_speech_is_brought_to_a_level(speech):
    assert active_level(at_level(speech, RATE, -30.0), RATE) == pytest.approx(-30, abs=0.3)
    assert active_level(np.zeros(RATE), RATE) == -np.inf
    assert not at_level(np.zeros(RATE), RATE).any()


# Noise


@pytest.mark.parametrize("snr", [-5, 10, 40])
def test_noise_has_the_snr_asked_for(speech, snr):
    noise = 3.0 * rng().standard_normal(len(speech))
    added = d.add_noise(speech, RATE, noise, snr) - speech
    assert active_level(speech, RATE) - power(added) == pytest.approx(snr, abs=1e-6)


@pytest.mark.parametrize(("colour", "slope"), [("white", 0), ("pink", -3), ("brown", -6), ("blue", 3)])
def test_coloured_noise_has_its_slope_in_db_an_octave(colour, slope):
    noise = d.coloured_noise(20 * RATE, RATE, colour, rng())
    assert np.mean(noise**2) == pytest.approx(1)
    density = np.abs(np.fft.rfft(noise)) ** 2
    frequencies = np.fft.rfftfreq(len(noise), 1 / RATE)
    octaves = [density[(frequencies >= low) & (frequencies < 2 * low)].mean() for low in (100, 200, 400, 800, 1600, 3200)]
    slopes = np.diff([decibel(octave) for octave in octaves])
    assert slopes == pytest.approx([slope] * 5, abs=0.5)  # 2,000 bins in the lowest octave: 0.1 dB of noise, 3 sigma


def test_swelling_noise_swells_as_often_as_asked():
    noise = d.modulated_noise(4 * RATE, RATE, 2.0, rng())
    envelope = np.abs(np.fft.rfft(noise**2 - np.mean(noise**2)))
    assert np.argmax(envelope[1:]) + 1 == 2 * 4  # 2 Hz over 4 s


def test_hum_holds_harmonics_of_the_mains_only():
    spectrum = np.abs(np.fft.rfft(d.hum(RATE, RATE, 50.0, rng())))  # bins of 1 Hz
    harmonics = spectrum[50:2001:50].copy()
    spectrum[50:2001:50] = 0
    assert harmonics.min() > 100 * spectrum.max()


# Modulated noise (ITU-T P.810)


@pytest.mark.parametrize("q", [5, 20, 40])
def test_mnru_has_the_q_asked_for(speech, q):
    noise = d.mnru(speech, q, rng()) - speech
    # power of the speech over that of the noise; the strongest tenth of the samples carries it, so 3 sigma are about 0.3 dB
    assert decibel(np.sum(speech**2) / np.sum(noise**2)) == pytest.approx(q, abs=0.3)


def test_mnru_is_silent_where_the_speech_is(speech):
    assert not d.mnru(np.zeros(100), 5, rng()).any()


# Distortion


def test_clipping_cuts_above_the_headroom_and_nothing_else(speech):
    clipped = d.clip_peaks(speech, RATE, 6.0)
    limit = 10 ** ((active_level(speech, RATE) + 6) / 20)
    assert np.abs(clipped).max() == pytest.approx(limit)
    below = np.abs(speech) < limit
    assert 0.5 < below.mean() < 1
    assert np.array_equal(clipped[below], speech[below])


def test_band_edges_lie_where_asked():
    def gain(frequency: float, **edges: float) -> float:
        before = tone(frequency)
        middle = slice(RATE // 4, -RATE // 4)  # away from the ends, where the filter starts
        return power(d.limit_band(before, RATE, **edges)[middle]) - power(before[middle])

    assert gain(1000, low=300, high=3400) == pytest.approx(0, abs=0.1)
    assert gain(3400, low=300, high=3400) == pytest.approx(-6, abs=0.1)
    assert gain(300, low=300, high=3400) == pytest.approx(-6, abs=0.1)
    assert gain(5000, low=300, high=3400) < -40
    assert gain(100, low=300, high=3400) < -40
    assert gain(7000) == pytest.approx(0, abs=1e-9)


def test_band_limits_do_not_delay(speech):
    filtered = d.limit_band(speech, RATE, 300, 3400)
    correlation = np.fft.irfft(np.fft.rfft(filtered) * np.conj(np.fft.rfft(speech)))
    assert np.argmax(correlation) == 0


def test_quantising_leaves_that_many_values(speech):
    assert len(np.unique(d.quantise(speech, 4))) <= 2**4 - 1
    step = 2 * np.abs(speech).max() / (2**4 - 2)
    assert np.abs(d.quantise(speech, 4) - speech).max() <= step / 2 + 1e-12
    assert not d.quantise(np.zeros(10), 4).any()


def test_compressor_shrinks_the_dynamic_range_and_keeps_the_level(speech):
    compressed = d.compress_dynamics(speech, RATE, ratio=4.0, threshold=-15.0)
    assert active_level(compressed, RATE) == pytest.approx(active_level(speech, RATE), abs=0.1)

    def dynamics(samples: np.ndarray) -> float:
        frames = samples[: len(samples) // 800 * 800].reshape(-1, 800)
        loud, soft = np.quantile([power(frame) for frame in frames if frame.any()], [0.9, 0.4])
        return loud - soft

    assert dynamics(compressed) < dynamics(speech) - 3


# Packets


def packets(samples: np.ndarray) -> np.ndarray:
    return samples[: len(samples) // 320 * 320].reshape(-1, 320)


@pytest.mark.parametrize("burst", [1.0, 4.0])
def test_packets_are_lost_as_often_and_as_long_as_asked(burst):
    lost = ~packets(d.lose_packets(np.ones(400 * RATE), RATE, 0.1, rng(), burst=burst)).any(axis=1)
    assert lost.mean() == pytest.approx(0.1, abs=0.02)  # 20,000 packets, 4 sigma at a burst of 4
    starts = np.sum(np.diff(lost.astype(int)) == 1)
    expected = burst if burst > 1 else 1 / 0.9  # independent losses follow each other one time in ten
    assert lost.sum() / starts == pytest.approx(expected, rel=0.1)


def test_lost_packets_are_silent_and_others_untouched(speech):
    before, after = packets(speech), packets(d.lose_packets(speech, RATE, 0.3, rng()))
    lost = ~after.any(axis=1) & before.any(axis=1)
    assert 0.1 < lost.mean() < 0.5
    assert np.array_equal(before[~lost], after[~lost])


def test_repeated_packets_fade_by_3_db():
    speech = np.repeat(np.arange(1.0, 201.0), 320)
    values = packets(d.lose_packets(speech, RATE, 0.3, rng(), repeat=True))[:, 0]
    changed = np.flatnonzero(values != np.arange(1, 201))
    assert len(changed) > 20
    assert values[changed] == pytest.approx(values[changed - 1] * 10 ** (-3 / 20))


def test_the_end_of_a_clip_may_be_lost_too():
    speech = np.ones(320 * 3 + 17)  # the last packet is short
    damaged = d.lose_packets(speech, RATE, 0.99, rng(), repeat=True)
    assert len(damaged) == len(speech)
    assert damaged[-17:] == pytest.approx(10 ** (-9 / 20))


# Rooms


def test_a_room_dies_away_by_60_db_in_its_decay_time():
    impulse = np.zeros(RATE)
    impulse[0] = 1.0
    response = d.reverberate(impulse, RATE, 0.5, 3.0, rng())
    assert response[0] == pytest.approx(1)
    left = np.cumsum(response[1:][::-1] ** 2)[::-1]  # Schroeder's backward integration
    decay = 10 * np.log10(left / left[0] + 1e-12)
    t5, t35 = (np.argmax(decay < level) / RATE for level in (-5, -35))
    assert 2 * (t35 - t5) == pytest.approx(0.5, rel=0.1)  # T30
    assert decibel(1 / np.sum(response[1:] ** 2)) == pytest.approx(3, abs=1e-6)


def test_an_echo_comes_when_and_as_loud_as_asked():
    impulse = np.zeros(RATE)
    impulse[0] = 1.0
    response = d.echo(impulse, RATE, 0.12, 20.0)
    assert np.flatnonzero(response).tolist() == [0, 1920]
    assert response[1920] == pytest.approx(0.1)


def test_spectral_subtraction_removes_noise_and_leaves_speech(speech):
    noisy = d.add_noise(speech, RATE, rng().standard_normal(len(speech)), 10)
    cleaned = d.subtract_spectrum(noisy, RATE, noisy - speech)
    assert len(cleaned) == len(speech)
    assert power(cleaned - speech) < power(noisy - speech) - 3
    assert np.corrcoef(cleaned, speech)[0, 1] > 0.95
