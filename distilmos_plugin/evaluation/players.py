"""Audio inside a page: short, small WAV files that any browser plays."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
import soundfile

from distilmos_plugin.audio import AudioProblem, open_audio

MAX_RATE = 16_000  # Hz; the rate that the models hear
MAX_SECONDS = 10.0  # of a clip: 320 kB at most, 427 kB as base64


@dataclass(frozen=True)
class Player:
    """A clip to play.

    Attributes:
        uri: ``data:`` address of a mono 16-bit WAV of at most :data:`MAX_RATE` and :data:`MAX_SECONDS`, or empty.
        note: what a listener must know: why there is no sound, or that only the beginning is there.
    """

    uri: str
    note: str = ""


def player(path: str | None) -> Player:
    """Return the beginning of the sound at ``path`` as a player; where it cannot be read, the player's note says why."""
    if path is None:
        return Player("", "the audio was scored from memory")
    try:
        with open_audio(path) as reader:
            rate, seconds = min(reader.native_rate, MAX_RATE), reader.duration
        with open_audio(path, rate) as reader:
            samples = reader.read(0, int(MAX_SECONDS * rate))
    except AudioProblem as problem:
        return Player("", str(problem))
    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(samples, -1.0, 1.0), rate, format="WAV", subtype="PCM_16")
    uri = "data:audio/wav;base64," + base64.b64encode(buffer.getvalue()).decode()
    return Player(uri, f"the first {MAX_SECONDS:.0f} of {seconds:.0f} s" if seconds > MAX_SECONDS else "")
