"""Real codecs: all that are listed work, come back in time, and cost what their name says."""

from __future__ import annotations

import numpy as np
import pytest

from distilmos_plugin.corpora.simulation.codecs import CODECS, align, encode, transcode


@pytest.mark.parametrize("codec", sorted(CODECS))
@pytest.mark.parametrize("rate", [8000, 16000])
def test_every_codec_returns_the_speech_in_time_and_changed(speech, codec, rate):
    samples = speech[::2] if rate == 8000 else speech
    compression = 0.95 if codec in ("opus", "mp3", "vorbis") else None
    decoded = transcode(samples, rate, codec, compression)
    assert decoded.shape == samples.shape
    correlation = np.fft.irfft(np.fft.rfft(decoded) * np.conj(np.fft.rfft(samples)), len(samples))
    assert np.argmax(correlation) == 0
    assert 0.8 < np.corrcoef(decoded, samples)[0, 1] < 1 - 1e-7  # MP3 at 8 kbit/s, the worst here, gives about 0.9


@pytest.mark.parametrize(
    ("codec", "rate", "compression", "kbps"),
    [
        ("opus", 16000, 1.0, 8),
        ("opus", 16000, 0.985, 12),
        ("opus", 16000, 0.93, 24),
        ("opus", 24000, 0.97, 16),
        ("mp3", 22050, 0.85, 32),
        ("mp3", 22050, 0.7, 64),
        ("gsm", 8000, None, 13.2),
        ("mu-law", 8000, None, 64),
    ],
)
def test_bit_rates_of_the_system_names_are_true(speech, codec, rate, compression, kbps):
    samples = np.resize(speech, 8 * rate)
    measured = len(encode(samples, rate, codec, compression)) * 8 / 8 / 1000
    assert measured == pytest.approx(kbps, rel=0.15)  # Opus and MP3 keep their rate on average only


def test_delay_of_low_rate_mp3_is_taken_out(speech):
    plain = np.frombuffer(encode(speech, 16000, "mp3", 0.9), np.uint8)
    assert len(plain) > 0
    decoded = transcode(speech, 16000, "mp3", 0.9)
    late = np.roll(speech, 1105)  # the delay that LAME and its decoder have together
    assert np.corrcoef(decoded, speech)[0, 1] > 0.9 > np.corrcoef(decoded, late)[0, 1]


def test_align_pads_what_is_too_short():
    reference = np.random.default_rng(0).standard_normal(1000)
    assert np.array_equal(align(reference, reference[:900], 50), np.pad(reference[:900], (0, 100)))
