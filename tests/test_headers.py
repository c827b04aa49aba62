"""Headers that hide audio: written before the length was known, or by a recorder that was killed."""

import io
import struct

import numpy as np
import pytest
import soundfile

from distilmos_plugin.audio import AudioProblem, read_audio
from distilmos_plugin.headers import mpeg_frame

RATE = 16000
SIGNAL = (0.3 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype(np.float32)


@pytest.fixture(autouse=True)
def _libsndfile_alone(monkeypatch):
    """Hide ffmpeg, so that a file that libsndfile should read cannot pass by another way."""
    monkeypatch.setenv("PATH", "")


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFF000, 0x7FFFFFDB])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_wav_from_a_pipe_is_whole(size, order):
    file = io.BytesIO()
    soundfile.write(file, SIGNAL, RATE, format="WAV", endian={"<": "LITTLE", ">": "BIG"}[order])
    data = bytearray(file.getvalue())
    data[4:8] = data[40:44] = struct.pack(order + "I", size)
    audio = read_audio(bytes(data))
    np.testing.assert_allclose(audio.samples, SIGNAL, atol=2**-15)


def test_an_empty_wav_with_notes_behind_stays_empty():
    file = io.BytesIO()
    soundfile.write(file, SIGNAL[:0], RATE, format="WAV")
    data = file.getvalue() + b"LIST" + struct.pack("<I", 10) + b"INFOISFT\0\0"
    with pytest.raises(AudioProblem) as problem:
        read_audio(data)
    assert problem.value.status == "empty"


@pytest.mark.parametrize(("rate", "channels"), [(16000, 1), (44100, 1), (44100, 2)])
def test_an_mp3_stream_of_variable_rate_is_whole(tmp_path, rate, channels):
    quiet_then_loud = np.random.default_rng(0).normal(size=(3 * rate, channels)) * 0.1
    quiet_then_loud[: rate * 3 // 2] *= 1e-3
    file = io.BytesIO()
    soundfile.write(file, quiet_then_loud, rate, format="MP3", compression_level=0.1, bitrate_mode="VARIABLE")
    whole = file.getvalue()
    first = mpeg_frame(whole[:4])
    assert b"Xing" in whole[: first.bytes]
    stream = whole[first.bytes :]
    (tmp_path / "a.mp3").write_bytes(b"ID3\x04\x00\x00\x00\x00\x00\x05junk!" + stream)
    assert soundfile.info(io.BytesIO(stream)).duration < 2.5  # what libsndfile makes of it
    for source in (stream, tmp_path / "a.mp3"):
        audio = read_audio(source)
        # an encoder's delay and padding, which only the first frame would tell, are at most three frames
        assert 3.0 <= audio.duration <= 3.0 + 3 * first.samples / rate
    expected = read_audio(whole).samples[rate : 2 * rate]
    later = np.correlate(audio.samples[rate : 2 * rate + 3 * first.samples], expected, "valid").argmax()
    np.testing.assert_allclose(audio.samples[rate + later : 2 * rate + later], expected, atol=2**-15)


def test_an_mp3_of_constant_rate_is_left_alone():
    file = io.BytesIO()
    soundfile.write(file, SIGNAL, RATE, format="MP3", bitrate_mode="CONSTANT")
    data = file.getvalue()
    stream = data[mpeg_frame(data[:4]).bytes :] if b"Info" in data[:200] or b"Xing" in data[:200] else data
    assert read_audio(stream).duration == pytest.approx(1.0, abs=0.15)
