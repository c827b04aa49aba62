"""Degradations of the pre-training speech: noise, band limits, clipping, signal-correlated noise, reverberation, lost packets.

An upstream that serves MOS prediction has to keep what was done to the speech, not only what was said. Therefore a degraded
clip is asked for the codes of the *degraded* audio in half of the cases, and for those of the clean audio in the other half
(the denoising task of WavLM, Chen et al. 2022).
"""

from __future__ import annotations

import numpy as np
from scipy import fft, signal

SAMPLE_RATE = 16000  # Hz
CLEAN_SHARE = 0.5  # of the clips
OWN_CODES_SHARE = 0.5  # of the degraded clips
SNR = (0.0, 40.0)  # dB
Q = (5.0, 35.0)  # dB, signal to modulated noise (ITU-T P.810)
REVERBERATION_TIME = (0.15, 0.9)  # s, RT60
PACKET = 320  # samples
NARROW_BAND = 3400.0  # Hz, upper edge of telephone speech


class Clips:
    """Random clips of the streams, with degradations; batch ``step`` is always the same.

    Args:
        streams: int16 [time] by source.
        shares: probability of each source.
        noise: int16 [time] of recorded noise, or None.
        num_samples: length of a clip, samples.
        batch_size: clips.
    """

    def __init__(
        self,
        streams: dict[str, np.ndarray],
        shares: dict[str, float],
        noise: np.ndarray | None,
        num_samples: int,
        batch_size: int,
        seed: int,
    ) -> None:
        self.streams, self.noise, self.num_samples, self.batch_size, self.seed = streams, noise, num_samples, batch_size, seed
        self.names = list(streams)
        weights = np.array([shares[name] for name in self.names])
        self.weights = weights / weights.sum()

    def batch(self, iteration: int, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (input, audio that the target codes come from), both float32 [batch, time]."""
        rng = np.random.default_rng([self.seed, iteration, step])
        inputs, sources = [], []
        for _ in range(self.batch_size):
            clean = self._clip(rng)
            heard = clean if rng.random() < CLEAN_SHARE else self.degrade(clean, rng)
            sources.append(heard if rng.random() < OWN_CODES_SHARE else clean)
            level = 10 ** (rng.uniform(-30, 0) / 20) * 0.9 / max(float(np.abs(heard).max()), 1e-3)
            inputs.append(heard * np.float32(level))
        return np.stack(inputs).astype(np.float32), np.stack(sources).astype(np.float32)

    def _clip(self, rng: np.random.Generator) -> np.ndarray:
        stream = self.streams[self.names[int(rng.choice(len(self.names), p=self.weights))]]
        return self._cut(stream, rng)

    def _cut(self, stream: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        start = int(rng.integers(0, len(stream) - self.num_samples))
        return stream[start : start + self.num_samples].astype(np.float32) / np.float32(32768)

    def degrade(self, clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return ``clean`` [time] with one or more degradations, of the same length and time alignment."""
        samples = clean
        order = [
            (0.2, reverberate),
            (0.6, self._add_noise),
            (0.15, clip),
            (0.2, modulate),
            (0.3, limit_band),
            (0.12, lose_packets),
        ]
        chosen = [apply for chance, apply in order if rng.random() < chance] or [self._add_noise]
        for apply in chosen:
            samples = apply(samples, rng)
        return samples.astype(np.float32)

    def _add_noise(self, samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        kind = rng.random()
        if kind < 0.45 or (kind < 0.75 and self.noise is None):
            noise = coloured_noise(len(samples), rng.choice([0.0, 1.0, 2.0]), rng)
        elif kind < 0.75:
            noise = self._cut(self.noise, rng)
        else:
            noise = sum(self._clip(rng) for _ in range(int(rng.integers(1, 6))))
        gain = power(samples) / max(power(noise), 1e-9) * 10 ** (-rng.uniform(*SNR) / 10)
        return samples + np.sqrt(gain) * noise


def power(samples: np.ndarray) -> float:
    """Return the mean square, never zero."""
    return float(np.mean(samples**2)) + 1e-9


def coloured_noise(num_samples: int, exponent: float, rng: np.random.Generator) -> np.ndarray:
    """Return noise [time] whose power falls with frequency**exponent: 0 white, 1 pink, 2 brown."""
    spectrum = fft.rfft(rng.standard_normal(num_samples, dtype=np.float32))
    frequency = np.maximum(np.arange(len(spectrum)), 20 * num_samples / SAMPLE_RATE)  # flat below 20 Hz
    return fft.irfft(spectrum * frequency ** (-exponent / 2), num_samples)


def reverberate(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Convolve with a direct path and an exponentially decaying tail of noise."""
    decay = rng.uniform(*REVERBERATION_TIME)
    time = np.arange(int(decay * SAMPLE_RATE)) / SAMPLE_RATE
    tail = rng.standard_normal(len(time)) * 10 ** (-3 * time / decay)
    direct_to_tail = 10 ** (rng.uniform(-3, 12) / 10)
    response = tail / np.sqrt(np.sum(tail**2) * direct_to_tail)
    response[0] = 1.0
    return signal.oaconvolve(samples, response)[: len(samples)]


def clip(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cut the peaks so that 0.5 to 20 % of the samples are clipped."""
    limit = max(float(np.quantile(np.abs(samples), 1 - 10 ** rng.uniform(-2.3, -0.7))), 1e-3)
    return np.clip(samples, -limit, limit)


def modulate(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add noise that follows the signal (ITU-T P.810)."""
    noise = rng.standard_normal(len(samples), dtype=np.float32)
    return samples * (1 + 10 ** (-rng.uniform(*Q) / 20) * noise)


def limit_band(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Low-pass at the telephone band or at any edge from 1.5 to 7 kHz."""
    edge = NARROW_BAND if rng.random() < 0.4 else rng.uniform(1500, 7000)
    spectrum = fft.rfft(samples)
    frequency = np.arange(len(spectrum)) * SAMPLE_RATE / len(samples)
    return fft.irfft(spectrum / (1 + (frequency / edge) ** 40), len(samples))


def lose_packets(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Silence 2 to 25 % of the 20 ms packets."""
    lost = rng.random(-(-len(samples) // PACKET)) < rng.uniform(0.02, 0.25)
    return samples * ~np.repeat(lost, PACKET)[: len(samples)]
