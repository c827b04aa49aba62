"""espeak-ng speech: audio, phone labels, voices, determinism."""

from __future__ import annotations

import multiprocessing
import time

import numpy as np
import pytest

from distilmos_plugin.corpora.simulation import espeak
from distilmos_plugin.errors import DataError

TEXT = "The quick brown fox jumps over the lazy dog. It is late."


def test_speech_is_audible_float32_at_the_stated_rate():
    speech = espeak.synthesize(TEXT, "en-us")
    assert speech.samples.dtype == np.float32
    assert speech.samples.ndim == 1
    assert speech.sample_rate == 22050
    assert 2.0 < speech.duration < 6.0  # 12 words at 175 words a minute are 4 s
    assert 0.1 < np.abs(speech.samples).max() <= 1.0


def test_phones_are_ordered_adjoining_and_within_the_audio():
    speech = espeak.synthesize(TEXT, "en-us")
    assert len(speech.phones) > 30
    for (_, end, _), (start, _, _) in zip(speech.phones, speech.phones[1:], strict=False):
        assert end == start
    assert speech.phones[0][0] >= 0.0
    assert speech.phones[-1][1] == pytest.approx(speech.duration, abs=1e-9)


def test_phone_labels_sit_where_the_sound_is():
    speech = espeak.synthesize("sa sa sa sa sa sa", "de")

    def high_band_share(start: float, end: float) -> float:
        part = speech.samples[int(start * speech.sample_rate) : int(end * speech.sample_rate)]
        power = np.abs(np.fft.rfft(part)) ** 2
        frequency = np.fft.rfftfreq(len(part), 1 / speech.sample_rate)
        return power[frequency > 3000].sum() / power.sum()

    fricatives = [high_band_share(start, end) for start, end, phone in speech.phones if phone in ("s", "z")]
    vowels = [high_band_share(start, end) for start, end, phone in speech.phones if phone.startswith(("a", "ɑ"))]
    assert len(fricatives) == len(vowels) == 6
    assert np.median(fricatives) > 10 * np.median(vowels)  # a sibilant has its energy above 3 kHz, an [a] below


def test_stress_marks_are_not_part_of_a_phone():
    phones = {phone for _, _, phone in espeak.synthesize(TEXT, "en-us").phones}
    assert not [phone for phone in phones if "ˈ" in phone or "ˌ" in phone]


def test_equal_arguments_give_equal_samples_whatever_came_before():
    first = espeak.synthesize(TEXT, "de+f3")
    espeak.synthesize("Etwas anderes.", "ru+whisper", words_per_minute=120, pitch=80)
    again = espeak.synthesize(TEXT, "de+f3")
    np.testing.assert_array_equal(first.samples, again.samples)
    assert first.phones == again.phones


def _samples(voice: str) -> np.ndarray:
    return espeak.synthesize(TEXT, voice).samples


def test_worker_processes_give_the_same_samples():
    voices = ["de+f3", "en-us+m1", "fr"]
    espeak.voices()  # a forked worker inherits a library that is already known here
    with multiprocessing.get_context("fork").Pool(2) as pool:
        made = pool.map(_samples, voices)
    for voice, samples in zip(voices, made, strict=True):
        np.testing.assert_array_equal(samples, _samples(voice))


def test_breath_noise_does_not_follow_the_clock():
    first = _samples("de+whisper")
    time.sleep(1.1)  # the library would seed itself with the time in seconds
    np.testing.assert_array_equal(first, _samples("de+whisper"))


def test_rate_pitch_and_variant_change_the_speech():
    usual = espeak.synthesize(TEXT, "en-us")
    fast = espeak.synthesize(TEXT, "en-us", words_per_minute=300)
    high = espeak.synthesize(TEXT, "en-us", pitch=90)
    other = espeak.synthesize(TEXT, "en-us+f3")
    assert fast.duration < 0.75 * usual.duration  # 175/300 = 0.58, pauses shrink less
    assert not np.array_equal(high.samples[:22050], usual.samples[:22050])
    assert not np.array_equal(other.samples[:22050], usual.samples[:22050])


def test_every_voice_speaks():
    listed = espeak.voices()
    assert len(listed) >= 100
    assert listed == sorted(listed)
    assert {"cmn", "de", "en-us", "es", "fr", "it", "ru"} <= {identifier for identifier, _ in listed}
    for identifier, language in listed:
        assert language
        assert espeak.synthesize("a 1 Ꭰ", identifier).duration > 0.1  # a letter, a digit, and one of Cherokee


def test_every_variant_speaks():
    listed = espeak.variants()
    assert len(listed) >= 50
    spoken = {espeak.synthesize("la", f"it+{variant}").samples.tobytes() for variant in listed}
    assert len(spoken) > 0.9 * len(listed)  # a few variants differ only in the pitch range of longer sentences


@pytest.mark.parametrize(
    ("voice", "message"),
    [("en-uss", "did you mean 'en-us'"), ("xx", "no voice 'xx'"), ("de+f33", "no voice variant 'f33'"), ("de+", "variant ''")],
)
def test_unknown_voices_are_named(voice: str, message: str):
    with pytest.raises(DataError, match=message.replace("+", r"\+")):
        espeak.synthesize("hello", voice)


@pytest.mark.parametrize("bad", [{"words_per_minute": 20}, {"pitch": 101}])
def test_numbers_out_of_range_are_refused(bad: dict):
    with pytest.raises(DataError, match="found"):
        espeak.synthesize("hello", "de", **bad)


def test_text_without_speech_is_refused():
    with pytest.raises(DataError, match="nothing to speak"):
        espeak.synthesize("", "de")
