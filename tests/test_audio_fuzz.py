"""Damaged sound files of every kind: a clip or a typed verdict, never a crash, never a number that is not finite."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distilmos_plugin.audio import AudioProblem, read_audio

EXAMPLES = 5000  # in all, over the encodings
ENCODINGS = (
    "WAV/PCM_16 WAV/PCM_24 WAV/FLOAT WAV/DOUBLE WAV/ALAW WAV/IMA_ADPCM WAV/GSM610 WAVEX/PCM_16 RF64/PCM_16 W64/PCM_16 "
    "AIFF/PCM_16 AU/ULAW CAF/ALAC_16 FLAC/PCM_16 OGG/VORBIS OGG/OPUS MP3/MPEG_LAYER_III"
)
STATUSES = {"ok", "unreadable", "empty", "non_finite"}


def encode(encoding: str) -> bytes:
    """Return 0.25 s of a tone as a file of an encoding."""
    container, subtype = encoding.split("/")
    file = io.BytesIO()
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(4000) / 16000)
    soundfile.write(file, tone, 16000, format=container, subtype=subtype)
    return file.getvalue()


SOUND = {encoding: encode(encoding) for encoding in ENCODINGS.split()}


@st.composite
def damaged(draw: st.DrawFn, sound: bytes) -> bytes:
    """Overwrite bytes (half of them in the header), then maybe cut, repeat or append."""
    content = bytearray(sound)
    for _ in range(draw(st.integers(1, 6))):
        end = min(len(content), 64) if draw(st.booleans()) else len(content)
        place = draw(st.integers(0, end - 1))
        value = draw(st.binary(min_size=1, max_size=4))
        content[place : place + len(value)] = value
    change = draw(st.sampled_from(["none", "cut", "drop", "append"]))
    place = draw(st.integers(0, len(content)))
    if change == "cut":
        del content[place:]
    elif change == "drop":
        del content[place : place + draw(st.integers(1, 64))]
    elif change == "append":
        content += draw(st.binary(max_size=64))
    return bytes(content)


@pytest.mark.parametrize("encoding", SOUND)
def test_a_damaged_file_is_a_clip_or_a_verdict(encoding, monkeypatch):
    monkeypatch.setenv("PATH", "")  # no ffmpeg: it would be started for most of these, and is not what is tested
    examples = settings(
        max_examples=-(-EXAMPLES // len(SOUND)),
        deadline=None,  # a loaded machine is no fault of a file
        database=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )

    @examples
    @given(content=damaged(SOUND[encoding]))
    def check(content: bytes) -> None:
        try:
            audio = read_audio(content, 16000)
        except AudioProblem as problem:
            status = problem.status
        else:
            status = "ok"
            assert np.isfinite(audio.samples).all()
            assert audio.samples.dtype == np.float32
            assert len(audio.samples) > 0
        assert status in STATUSES

    check()
