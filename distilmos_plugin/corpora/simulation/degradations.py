"""What can happen to speech between a mouth and an ear: noise, loss, filtering, rooms, distortion.

Every function takes float samples [time] at full scale = 1 and returns as many, without delay. Those that draw random
numbers take the generator to draw from.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.signal import butter, fftconvolve, istft, lfilter, sosfiltfilt, stft

from distilmos_plugin.corpora.simulation.levels import active_level, power

LOWEST_NOISE = 20.0  # Hz; coloured noise has no power below
PACKET_SECONDS = 0.02
SPECTRAL_TILT = {"white": 0.0, "pink": 1.0, "brown": 2.0, "blue": -1.0}  # power falls as 1 / frequency ** tilt
_SMALL = 1e-12


def coloured_noise(num_samples: int, rate: int, colour: str, rng: np.random.Generator) -> np.ndarray:
    """Return Gaussian noise [num_samples] of power 1 whose spectrum falls as ``SPECTRAL_TILT[colour]`` says."""
    spectrum = np.fft.rfft(rng.standard_normal(num_samples))
    frequencies = np.fft.rfftfreq(num_samples, 1 / rate)
    gain = np.where(frequencies >= LOWEST_NOISE, np.maximum(frequencies, LOWEST_NOISE) ** (-SPECTRAL_TILT[colour] / 2), 0)
    noise = np.fft.irfft(spectrum * gain, num_samples)
    return noise / np.sqrt(np.mean(noise**2))


def modulated_noise(num_samples: int, rate: int, frequency: float, rng: np.random.Generator) -> np.ndarray:
    """Return white noise [num_samples] that swells and fades ``frequency`` times a second."""
    time = np.arange(num_samples) / rate
    envelope = 1 + np.sin(2 * np.pi * (frequency * time + rng.uniform()))
    return envelope * rng.standard_normal(num_samples)


def hum(num_samples: int, rate: int, mains: float, rng: np.random.Generator) -> np.ndarray:
    """Return mains hum [num_samples]: ``mains`` Hz with its harmonics below 2 kHz, each of its own phase."""
    time = np.arange(num_samples) / rate
    harmonics = np.arange(1, int(2000 / mains) + 1)
    phases = rng.uniform(size=len(harmonics))
    return sum(np.sin(2 * np.pi * (mains * n * time + phase)) / n for n, phase in zip(harmonics, phases, strict=True))


def add_noise(speech: np.ndarray, rate: int, noise: np.ndarray, snr: float) -> np.ndarray:
    """Add ``noise`` [time] so that the active speech level (ITU-T P.56) is ``snr`` dB above the noise power."""
    gain = 10 ** ((active_level(speech, rate) - snr - power(noise)) / 20)
    return speech + gain * noise


def mnru(speech: np.ndarray, q: float, rng: np.random.Generator) -> np.ndarray:
    """Modulated noise reference unit, ITU-T P.810 (02/96) eq. 3-1: ``y = x (1 + 10 ** (-Q / 20) N)``, N Gaussian of power 1.

    ``q`` is the ratio of speech power to modulated-noise power in dB. The band is that of the sampling rate.
    """
    return speech * (1 + 10 ** (-q / 20) * rng.standard_normal(len(speech)))


def clip_peaks(speech: np.ndarray, rate: int, headroom: float) -> np.ndarray:
    """Cut every peak that is more than ``headroom`` dB above the active speech level."""
    limit = 10 ** ((active_level(speech, rate) + headroom) / 20)
    return np.clip(speech, -limit, limit)


def limit_band(speech: np.ndarray, rate: int, low: float = 0.0, high: float = math.inf) -> np.ndarray:
    """Keep what lies between ``low`` and ``high`` Hz: Butterworth, run both ways (no delay), -6 dB at the edges."""
    if high < rate / 2:
        speech = sosfiltfilt(butter(8, high, "lowpass", fs=rate, output="sos"), speech)
    if low > 0:
        speech = sosfiltfilt(butter(4, low, "highpass", fs=rate, output="sos"), speech)
    return speech


def lose_packets(
    speech: np.ndarray, rate: int, loss: float, rng: np.random.Generator, burst: float = 1.0, repeat: bool = False
) -> np.ndarray:
    """Drop packets of 20 ms.

    Args:
        speech: [time].
        rate: Hz.
        loss: share of lost packets, 0 to 1.
        rng: draws the losses.
        burst: mean number of packets lost in a row (Gilbert model); 1 draws them independently.
        repeat: fill a gap with the last packet that came, 3 dB weaker each time; otherwise with silence.
    """
    length = round(PACKET_SECONDS * rate)
    output = speech.copy()
    lost, gap = False, 0
    for start in range(length, len(speech), length):  # the first packet always comes
        into, stay = (loss, loss) if burst <= 1 else (loss / (1 - loss) / burst, 1 - 1 / burst)
        lost = bool(rng.uniform() < (stay if lost else into))
        gap = gap + 1 if lost else 0
        if lost:
            here = output[start : start + length]
            here[:] = output[start - length : start][: len(here)] * 10 ** (-3 / 20) if repeat else 0
    return output


def reverberate(
    speech: np.ndarray, rate: int, decay_seconds: float, direct_to_reverberant: float, rng: np.random.Generator
) -> np.ndarray:
    """Put the speaker into a room.

    The impulse response is a direct path and, 3 ms later, Gaussian noise that loses 60 dB in ``decay_seconds`` (Polack's
    model, 1988), ``direct_to_reverberant`` dB weaker in energy. The tail beyond the end of the clip is cut.
    """
    time = np.arange(round(decay_seconds * rate)) / rate
    tail = rng.standard_normal(len(time)) * 10 ** (-3 * time / decay_seconds)
    tail *= 10 ** (-direct_to_reverberant / 20) / np.sqrt(np.sum(tail**2))
    response = np.concatenate([[1.0], np.zeros(round(0.003 * rate)), tail])
    return fftconvolve(speech, response)[: len(speech)]


def echo(speech: np.ndarray, rate: int, delay: float, attenuation: float) -> np.ndarray:
    """Add one echo, ``delay`` seconds later and ``attenuation`` dB weaker."""
    output = speech.copy()
    shift = round(delay * rate)
    output[shift:] += 10 ** (-attenuation / 20) * speech[: len(speech) - shift]
    return output


def quantise(speech: np.ndarray, bits: int) -> np.ndarray:
    """Round to ``bits`` bits over the range of the clip's own peak, without dither."""
    peak = np.max(np.abs(speech))
    if peak == 0:
        return speech
    steps = 2 ** (bits - 1) - 1
    return np.round(speech / peak * steps) * peak / steps


def compress_dynamics(speech: np.ndarray, rate: int, ratio: float, threshold: float) -> np.ndarray:
    """Compress by ``ratio`` what is more than ``threshold`` dB above the active level, then undo the loss of level."""
    decay = math.exp(-1 / (0.01 * rate))  # 10 ms
    envelope = np.sqrt(np.maximum(lfilter([1 - decay], [1, -decay], speech**2), _SMALL))
    over = 20 * np.log10(envelope) - (active_level(speech, rate) + threshold)
    output = speech * 10 ** (-np.maximum(over, 0) * (1 - 1 / ratio) / 20)
    return output * 10 ** ((active_level(speech, rate) - active_level(output, rate)) / 20)


def subtract_spectrum(noisy: np.ndarray, rate: int, noise: np.ndarray, floor: float = 0.02) -> np.ndarray:
    """Clean up by magnitude subtraction (Boll, 1979) of the mean spectrum of ``noise`` [time], which leaves musical tones.

    Args:
        noisy: [time].
        rate: Hz.
        noise: [time], as loud as it is in ``noisy``.
        floor: smallest gain that a time-frequency cell keeps.
    """
    window = 2 * (round(0.032 * rate) // 2)
    _, _, cells = stft(noisy, nperseg=window)
    _, _, noise_cells = stft(noise, nperseg=window)
    mean = np.mean(np.abs(noise_cells), axis=1, keepdims=True)
    gain = np.maximum(1 - 1.3 * mean / np.maximum(np.abs(cells), _SMALL), floor)
    _, output = istft(cells * gain, nperseg=window)
    return output[: len(noisy)]
