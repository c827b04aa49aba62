"""Audio in memory and in pieces: shapes, scaling, resampling, mixing, levels, flags."""

import io
import pickle
import tracemalloc

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from distilmos_plugin.audio import (
    CLIP_LEVEL,
    CLIP_RUN,
    LOW_LEVEL_DBFS,
    AudioProblem,
    as_audio,
    open_audio,
    probe,
    read_audio,
)
from distilmos_plugin.errors import DistilmosError

RATE = 16000
RATES = (8000, 16000, 22050, 24000, 44100, 48000)
LSB = 1 / 32768  # one step of 16 bits


def tone(rate=RATE, seconds=1.0, amplitude=0.3, frequency=440.0):
    time = np.arange(round(rate * seconds)) / rate
    return (amplitude * np.sin(2 * np.pi * frequency * time)).astype(np.float32)


def noise(rate=RATE, seconds=1.0, dbfs=-30.0, seed=0):
    return np.random.default_rng(seed).normal(0, 10 ** (dbfs / 20), round(rate * seconds)).astype(np.float32)


def flags(samples, rate=RATE, sample_rate=None):
    return as_audio(samples, rate, sample_rate).flags


class TestResampling:
    @pytest.mark.parametrize("rate", RATES)
    @pytest.mark.parametrize("channels", [1, 2])
    def test_the_same_tone_at_any_rate_is_the_same_signal(self, tmp_path, rate, channels):
        soundfile.write(tmp_path / "tone.wav", np.stack([tone(rate)] * channels, axis=1), rate, subtype="FLOAT")
        audio = read_audio(tmp_path / "tone.wav", RATE)
        assert len(audio.samples) == RATE
        inner = slice(RATE // 10, -RATE // 10)  # the ends ring: the file begins and stops abruptly for the filter
        # 1e-5 of full scale is 40 dB below one step of 16 bits, and what float32 leaves of a filter sum of this size
        np.testing.assert_allclose(audio.samples[inner], tone()[inner], atol=1e-5)

    def test_time_is_resampled_also_where_there_are_few_samples_and_many_channels(self):
        audio = as_audio(np.tile(tone(48000), (8, 1)), 48000, RATE)
        assert audio.samples.shape == (RATE,)

    def test_the_own_rate_is_kept_bit_for_bit(self):
        np.testing.assert_array_equal(as_audio(tone(), RATE, RATE).samples, tone())
        assert as_audio(tone(), RATE).sample_rate == RATE

    @pytest.mark.parametrize("rate", [192000, 11025, 16001])
    def test_odd_rates_keep_the_duration(self, rate):
        audio = as_audio(tone(rate, 0.5), rate, RATE)
        assert len(audio.samples) == pytest.approx(RATE / 2, abs=1)
        assert audio.duration == pytest.approx(0.5, abs=1 / rate)
        assert (audio.native_rate, audio.sample_rate) == (rate, RATE)

    def test_resampling_is_told(self):
        assert "resampled" in flags(tone(8000), 8000, RATE)
        assert "resampled" not in flags(tone(), RATE, RATE)

    @pytest.mark.parametrize("rate", [0, -16000, 16000.5, "16000", None, True])
    def test_a_rate_that_is_none_is_refused(self, rate):
        with pytest.raises(DistilmosError, match="sample rate"):
            as_audio(tone(), rate)


class TestSamplesInMemory:
    @pytest.mark.parametrize(
        ("dtype", "half"), [(np.int8, 64), (np.int16, 16384), (np.int32, 2**30), (np.uint8, 192), (np.float64, 0.5)]
    )
    def test_integers_are_scaled_by_their_width(self, dtype, half):
        np.testing.assert_array_equal(as_audio(np.full(9, half, dtype), RATE).samples, np.full(9, 0.5, np.float32))

    @pytest.mark.parametrize("samples", [np.arange(9), np.ones(9, bool), np.ones(9, complex), np.array(["a"])])
    def test_types_without_a_full_scale_are_refused(self, samples):
        with pytest.raises(DistilmosError, match="full scale"):
            as_audio(samples, RATE)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
    def test_tensors_of_any_float_type_are_taken(self, dtype):
        samples = torch.tensor([0.5, -0.25], dtype=dtype, requires_grad=True)
        np.testing.assert_array_equal(as_audio(samples, RATE).samples, np.float32([0.5, -0.25]))

    def test_an_integer_tensor_is_scaled_as_an_array_is(self):
        np.testing.assert_array_equal(as_audio(torch.full((9,), -16384, dtype=torch.int16), RATE).samples, -0.5)

    def test_channels_come_first_and_are_averaged(self):
        audio = as_audio(np.stack([tone(), np.zeros(RATE, np.float32)]), RATE)
        np.testing.assert_allclose(audio.samples, tone() / 2, atol=1e-7)  # float32 rounding
        assert audio.flags == ("stereo_downmixed",)

    def test_one_channel_is_no_downmix(self):
        assert as_audio(tone()[None], RATE).flags == ()

    def test_equal_channels_give_exactly_the_one(self):
        np.testing.assert_array_equal(as_audio(np.stack([tone()] * 2), RATE).samples, tone())

    def test_time_first_is_refused_with_the_remedy(self):
        with pytest.raises(DistilmosError, match=r"\(16000, 2\).*samples\.T"):
            as_audio(np.zeros((16000, 2), np.float32), RATE)

    @pytest.mark.parametrize("shape", [(), (2, 3, 4)])
    def test_other_shapes_are_refused(self, shape):
        with pytest.raises(DistilmosError, match=r"\[channels, time\]"):
            as_audio(np.zeros(shape, np.float32), RATE)

    def test_the_caller_s_samples_are_not_changed(self):
        samples = tone(48000)
        before = samples.copy()
        as_audio(samples, 48000, RATE)
        np.testing.assert_array_equal(samples, before)

    def test_samples_given_to_the_reader_of_files_are_refused_with_what_it_takes(self):
        with pytest.raises(DistilmosError, match="audio from ndarray: expected a path, bytes"):
            read_audio(tone())


class TestProblems:
    @pytest.mark.parametrize("samples", [np.zeros(0, np.float32), np.zeros((2, 0), np.float32)])
    def test_no_samples_is_empty(self, samples):
        with pytest.raises(AudioProblem) as problem:
            as_audio(samples, RATE)
        assert problem.value.status == "empty"

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("channel", [0, 1])
    def test_not_finite_names_the_sample(self, bad, channel):
        samples = np.stack([tone(), tone()])
        samples[channel, 1234] = bad
        with pytest.raises(AudioProblem, match="sample 1234") as problem:
            as_audio(samples, RATE)
        assert problem.value.status == "non_finite"

    def test_float64_beyond_float32_is_not_finite(self):
        with pytest.raises(AudioProblem) as problem:
            as_audio(np.full(9, 1e300), RATE)
        assert problem.value.status == "non_finite"

    def test_integers_stored_as_floats_are_refused_with_the_remedy(self):
        with pytest.raises(AudioProblem, match="32768"):
            as_audio(tone() * 32768, RATE)

    def test_a_problem_survives_the_way_between_processes(self):
        problem = pickle.loads(pickle.dumps(AudioProblem("empty", "a.wav: no samples")))
        assert (problem.status, str(problem)) == ("empty", "a.wav: no samples")


class TestFlags:
    def test_ordinary_audio_has_none(self):
        assert flags(noise()) == ()

    @pytest.mark.parametrize("level", [0.0, 0.25, -1.0])
    def test_zeros_and_any_other_constant_are_silent(self, level):
        assert "silent" in flags(np.full(RATE, level, np.float32))

    def test_dithered_silence_of_16_bits_is_silent(self):
        steps = np.random.default_rng(0).integers(-1, 2, RATE)
        assert flags(steps.astype(np.int16)) == ("silent",)

    def test_one_sample_is_silent(self):
        assert flags(np.float32([0.5])) == ("silent",)

    def test_channels_that_cancel_are_silent(self):
        assert flags(np.stack([tone(), -tone()])) == ("silent", "stereo_downmixed")

    def test_speech_level_60_db_below_full_scale_is_low(self):
        assert flags(noise(dbfs=-60.0)) == ("low_level",)

    def test_a_constant_offset_does_not_hide_a_low_level(self):
        assert flags(noise(dbfs=-60.0) + 0.5) == ("low_level",)

    @pytest.mark.parametrize(("above", "expected"), [(0.5, ()), (-0.5, ("low_level",))])
    def test_the_low_level_threshold(self, above, expected):
        samples = tone(amplitude=np.sqrt(2) * 10 ** ((LOW_LEVEL_DBFS + above) / 20))
        assert flags(samples) == expected

    def test_level_and_polarity_change_no_sample(self):
        for gain in (1.0, -1.0, 0.001):
            np.testing.assert_array_equal(as_audio(tone() * np.float32(gain), RATE).samples, tone() * np.float32(gain))

    @pytest.mark.parametrize("limit", [1.0, CLIP_LEVEL])
    @pytest.mark.parametrize("sign", [1, -1])
    def test_flat_tops_at_full_scale_are_clipped(self, limit, sign):
        assert "clipped" in flags(sign * np.minimum(tone(amplitude=2.0), limit).astype(np.float32))

    def test_16_bits_clipped_at_their_ends_are_clipped(self):
        clipped = np.clip(2 * 32768 * tone(amplitude=1.0), -32768, 32767).astype(np.int16)
        assert flags(clipped) == ("clipped",)

    def test_floats_beyond_full_scale_are_clipped_when_played(self):
        assert "clipped" in flags(tone(amplitude=1.5))

    def test_a_loud_whole_wave_is_not_clipped(self):
        assert flags(tone(amplitude=1.0)) == ()
        assert flags((tone(amplitude=1.0) * 32767).astype(np.int16)) == ()

    def test_a_flat_top_below_full_scale_is_for_the_score_to_tell(self):
        assert flags(np.clip(tone(amplitude=2.0), -0.5, 0.5)) == ()

    def test_clipping_in_one_channel_counts(self):
        clipped = np.clip(tone(amplitude=2.0), -1, 1)
        assert flags(np.stack([clipped, np.zeros_like(clipped)])) == ("clipped", "stereo_downmixed")

    def test_a_flat_top_across_two_blocks_counts(self, monkeypatch):
        monkeypatch.setattr("distilmos_plugin.decoding.BLOCK_VALUES", 100)
        for start in range(100 - CLIP_RUN, 101):
            samples = np.zeros(200, np.float32)
            samples[start : start + CLIP_RUN] = 1.0
            assert "clipped" in flags(samples), start

    def test_flags_come_in_one_order(self):
        samples = np.clip(tone(48000, amplitude=2.0), -1, 1)
        assert flags(np.stack([samples] * 2), 48000, RATE) == ("clipped", "stereo_downmixed", "resampled")


@settings(max_examples=60, deadline=None)
@given(
    arrays.arrays(
        st.sampled_from([np.int8, np.int16, np.uint8, np.float32, np.float64]),
        arrays.array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=40),
    ),
    st.sampled_from([8000, 16000, 44100]),
)
def test_any_array_gives_finite_mono_samples_or_a_typed_problem(samples, rate):
    try:
        audio = as_audio(samples, rate, RATE)
    except AudioProblem as error:
        audio = error
    if isinstance(audio, AudioProblem):
        assert audio.status in ("unreadable", "empty", "non_finite")
    else:
        assert audio.samples.ndim == 1
        assert audio.samples.dtype == np.float32
        assert np.isfinite(audio.samples).all()


class TestPieces:
    """open_audio: a long file in pieces that equal the slices of the whole."""

    @pytest.mark.parametrize("rate", [8000, 16000, 16001, 22050, 44100, 192000])
    def test_pieces_equal_slices_of_the_whole(self, tmp_path, rate):
        soundfile.write(tmp_path / "a.wav", noise(rate, 3.0), rate, subtype="FLOAT")
        whole = read_audio(tmp_path / "a.wav", RATE).samples
        with open_audio(tmp_path / "a.wav", RATE) as reader:
            assert reader.num_samples == len(whole)
            for start, stop in [(0, 400), (0, len(whole)), (12345, 30001), (len(whole) - 777, len(whole)), (5, 6)]:
                piece = reader.read(start, stop)
                assert len(piece) == stop - start
                # one float32 step at this level: soxr sums the same products, in blocks that begin elsewhere
                np.testing.assert_allclose(piece, whole[start:stop], atol=1e-7)

    def test_slices_beyond_the_end_are_cut(self, tmp_path):
        soundfile.write(tmp_path / "a.wav", tone(), RATE)
        with open_audio(tmp_path / "a.wav") as reader:
            assert len(reader.read(RATE - 10, RATE + 10)) == 10
            assert len(reader.read(RATE, RATE + 10)) == 0
            assert len(reader.read()) == RATE

    @pytest.mark.parametrize(
        ("kind", "subtype", "rate"),
        [
            ("FLAC", None, 48000),
            ("OGG", "VORBIS", 48000),
            ("OGG", "OPUS", 48000),
            ("MP3", None, 48000),
            ("WAV", "GSM610", 8000),
        ],
    )
    def test_compressed_files_in_any_order(self, tmp_path, kind, subtype, rate):
        soundfile.write(tmp_path / "a", noise(rate, 2.0), rate, format=kind, subtype=subtype)
        whole = read_audio(tmp_path / "a", RATE).samples
        with open_audio(tmp_path / "a", RATE) as reader:
            for start in (20000, 1000, 0, 15000):
                # a step of 16 bits: MP3 and Opus decoders settle within the margin that is read before a piece
                np.testing.assert_allclose(reader.read(start, start + 8000), whole[start : start + 8000], atol=LSB)

    def test_flags_of_the_whole_without_holding_it(self, tmp_path):
        long = np.tile(np.int16([100, -100, 120, -90]), 4_000_000)
        soundfile.write(tmp_path / "long.wav", long, 8000)
        tracemalloc.start()
        try:
            with open_audio(tmp_path / "long.wav", RATE) as reader:
                assert reader.duration == 2000.0
                assert reader.flags == ("resampled", "low_level")
                assert len(reader.read(1000 * RATE, 1010 * RATE)) == 10 * RATE
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 20e6  # bytes; the file is 64e6 as float32, a block with its float64 copy 4e6

    def test_flags_equal_those_of_the_whole(self, tmp_path):
        soundfile.write(tmp_path / "a.wav", np.clip(np.stack([tone(amplitude=2.0)] * 2, axis=1), -1, 1), RATE)
        with open_audio(tmp_path / "a.wav", 8000) as reader:
            assert reader.flags == read_audio(tmp_path / "a.wav", 8000).flags == ("clipped", "stereo_downmixed", "resampled")

    def test_a_closed_reader_gives_its_file_back(self, tmp_path):
        soundfile.write(tmp_path / "a.wav", tone(), RATE)
        reader = open_audio(tmp_path / "a.wav")
        reader.close()
        with pytest.raises(Exception, match="closed"):
            reader.read()


def test_probe_reads_the_header_only(tmp_path):
    soundfile.write(tmp_path / "a.flac", tone(44100, 2.0), 44100)
    assert probe(tmp_path / "a.flac") == (88200, 44100)
    assert probe(str(tmp_path / "a.flac")).sample_rate == 44100
    assert probe(io.BytesIO((tmp_path / "a.flac").read_bytes())).num_samples == 88200
