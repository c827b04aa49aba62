"""Speech taken apart and put together again: the WORLD vocoder and Griffin-Lim.

Both stand for what a vocoder adds to synthetic speech; coarser features give worse speech.
"""

from __future__ import annotations

import functools
import warnings
from types import ModuleType

import numpy as np
from scipy.signal import get_window

from distilmos_plugin.errors import require

MOMENTUM = 0.99  # of the fast Griffin-Lim algorithm (Perraudin, Balazs, Sondergaard, WASPAA 2013)
LOWEST_MEL = 20.0  # Hz


def world(
    speech: np.ndarray, rate: int, frame_ms: float = 5.0, envelope_dims: int | None = None, pitch: float = 1.0
) -> np.ndarray:
    """Analyse and re-synthesise with WORLD (Morise, Yokomori, Ozawa, 2016).

    Args:
        speech: [time].
        rate: Hz, 16 kHz or more for coded aperiodicity.
        frame_ms: frame period in ms; longer is coarser.
        envelope_dims: dimensions that the spectral envelope is coded to (mel cepstrum); None keeps it whole.
        pitch: factor on the fundamental frequency.

    Returns:
        float64 [time], as long as the input.
    """
    pyworld = load_pyworld()
    samples = np.ascontiguousarray(speech, dtype=np.float64)
    coarse, times = pyworld.dio(samples, rate, frame_period=frame_ms)
    f0 = pyworld.stonemask(samples, coarse, times, rate)
    envelope = pyworld.cheaptrick(samples, f0, times, rate)
    aperiodicity = pyworld.d4c(samples, f0, times, rate)
    if envelope_dims is not None:
        size = pyworld.get_cheaptrick_fft_size(rate)
        coded = pyworld.code_spectral_envelope(envelope, rate, envelope_dims)
        envelope = pyworld.decode_spectral_envelope(coded, rate, size)
        aperiodicity = pyworld.decode_aperiodicity(pyworld.code_aperiodicity(aperiodicity, rate), rate, size)
    output = pyworld.synthesize(f0 * pitch, envelope, aperiodicity, rate, frame_period=frame_ms)[: len(samples)]
    return np.pad(output, (0, len(samples) - len(output)))


@functools.lru_cache(maxsize=1)
def load_pyworld() -> ModuleType:
    """Import pyworld without its warning.

    Raises:
        MissingExtra: if pyworld, or the setuptools that it needs, is not installed.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "pkg_resources is deprecated")  # pyworld asks it for its own version
        return require("pyworld", "simulate")


def griffin_lim(speech: np.ndarray, rate: int, iterations: int, mels: int | None, rng: np.random.Generator) -> np.ndarray:
    """Throw the phase away and estimate it again from the magnitudes (Griffin and Lim, 1984).

    Args:
        speech: [time].
        rate: Hz.
        iterations: more is better.
        mels: number of mel bands that the magnitudes pass through; None keeps the linear spectrum.
        rng: draws the first phases.

    Returns:
        float64 [time], as long as the input.
    """
    window = 2 * round(0.023 * rate)  # 46 ms, a common choice for text to speech
    hop = window // 4
    magnitude = np.abs(_stft(speech, window, hop))
    if mels is not None:
        filters = mel_filters(rate, window, mels)
        magnitude = np.maximum(magnitude @ filters.T @ np.linalg.pinv(filters).T, 0)
    cells = magnitude * np.exp(2j * np.pi * rng.uniform(size=magnitude.shape))
    previous = np.zeros_like(cells)
    for _ in range(iterations):
        rebuilt = _stft(_istft(cells, window, hop, len(speech)), window, hop)
        leap = rebuilt + MOMENTUM * (rebuilt - previous)
        previous = rebuilt
        cells = magnitude * leap / np.maximum(np.abs(leap), 1e-12)
    return _istft(cells, window, hop, len(speech))


def _stft(samples: np.ndarray, window: int, hop: int) -> np.ndarray:
    """[time] -> [frames, window // 2 + 1]; frames are centred on multiples of ``hop``."""
    padded = np.pad(samples, (window // 2, window // 2 + -len(samples) % hop))
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    return np.fft.rfft(frames * get_window("hann", window))


def _istft(cells: np.ndarray, window: int, hop: int, num_samples: int) -> np.ndarray:
    """[frames, window // 2 + 1] -> [num_samples] by weighted overlap-add."""
    taper = get_window("hann", window)
    frames = np.fft.irfft(cells, window) * taper
    length = hop * (len(frames) - 1) + window
    total, weight = np.zeros(length), np.zeros(length)
    for index, frame in enumerate(frames):
        total[index * hop : index * hop + window] += frame
        weight[index * hop : index * hop + window] += taper**2
    return (total / np.maximum(weight, 1e-8))[window // 2 : window // 2 + num_samples]


@functools.lru_cache(maxsize=8)
def mel_filters(rate: int, window: int, mels: int) -> np.ndarray:
    """Return triangular filters [mels, window // 2 + 1], evenly spaced in mel (O'Shaughnessy) from 20 Hz to half the rate."""
    top = 2595 * np.log10(1 + rate / 2 / 700)
    bottom = 2595 * np.log10(1 + LOWEST_MEL / 700)
    edges = 700 * (10 ** (np.linspace(bottom, top, mels + 2) / 2595) - 1)
    frequencies = np.fft.rfftfreq(window, 1 / rate)
    rising = (frequencies - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - frequencies) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(np.minimum(rising, falling), 0)
