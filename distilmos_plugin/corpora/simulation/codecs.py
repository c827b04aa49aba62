"""Real codecs through libsndfile: speech is encoded to memory, decoded again and brought back into time.

What libsndfile 1.2 can write: Opus (8, 12, 16, 24, 48 kHz), Vorbis, MP3, GSM 06.10, mu-law, A-law, IMA and Microsoft ADPCM,
G.721/G.723 and NMS ADPCM. Quality is its ``compression_level``, 0 (best) to 1 (smallest).
"""

from __future__ import annotations

import io

import numpy as np
import soundfile

LONGEST_DELAY = 0.15  # s; LAME's 1,105 samples are 0.14 s at 8 kHz
CODECS: dict[str, tuple[str, str]] = {  # name: container and encoding in libsndfile's words
    "opus": ("OGG", "OPUS"),
    "vorbis": ("OGG", "VORBIS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "gsm": ("WAV", "GSM610"),
    "mu-law": ("WAV", "ULAW"),
    "a-law": ("WAV", "ALAW"),
    "ima-adpcm": ("WAV", "IMA_ADPCM"),
    "ms-adpcm": ("WAV", "MS_ADPCM"),
    "g721": ("AU", "G721_32"),
    "g723-24": ("AU", "G723_24"),
    "nms-16": ("WAV", "NMS_ADPCM_16"),
}


def transcode(samples: np.ndarray, rate: int, codec: str, compression: float | None = None) -> np.ndarray:
    """Encode and decode.

    Args:
        samples: [time], full scale = 1; what exceeds it is cut, as an encoder does.
        rate: Hz; Opus takes 8, 12, 16, 24 and 48 kHz only.
        codec: a key of :data:`CODECS`.
        compression: 0 (best) to 1 (smallest), for Opus, Vorbis and MP3 (constant bit rate).

    Returns:
        float64 [time], as long as the input, the codec's delay taken out.
    """
    return align(samples, _decode(encode(samples, rate, codec, compression)), round(LONGEST_DELAY * rate))


def encode(samples: np.ndarray, rate: int, codec: str, compression: float | None = None) -> bytes:
    """Return the encoded file; arguments as for :func:`transcode`."""
    container, encoding = CODECS[codec]
    options = {} if compression is None else {"compression_level": compression}
    if codec == "mp3":
        options["bitrate_mode"] = "CONSTANT"
    memory = io.BytesIO()
    with soundfile.SoundFile(memory, "w", rate, 1, encoding, format=container, **options) as file:
        file.write(np.clip(samples, -1, 1))
    return memory.getvalue()


def _decode(encoded: bytes) -> np.ndarray:
    return soundfile.read(io.BytesIO(encoded), dtype="float64")[0]


def align(reference: np.ndarray, delayed: np.ndarray, longest: int) -> np.ndarray:
    """Shift ``delayed`` [time] onto ``reference`` [time] by the peak of their cross-correlation.

    Delays of 0 to ``longest`` samples are looked for. The result is as long as the reference.

    >>> reference = np.random.default_rng(0).standard_normal(1000)
    >>> bool(np.allclose(align(reference, np.r_[np.zeros(7), reference], 50), reference))
    True
    """
    size = len(reference) + len(delayed)
    product = np.fft.rfft(delayed, size) * np.conj(np.fft.rfft(reference, size))
    delay = int(np.argmax(np.fft.irfft(product, size)[: longest + 1]))
    moved = delayed[delay : delay + len(reference)]
    return np.pad(moved, (0, len(reference) - len(moved)))
