"""What a processed clip is worth against its clean original: wideband PESQ, STOI and the speech distortion index.

Reference and processed signal are aligned in time and as long as each other; whoever adds a delay takes it out again
(:func:`distilmos_plugin.corpora.simulation.codecs.align`).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import soxr

from distilmos_plugin.errors import DataError, require

RATE = 16000  # Hz, of wideband PESQ; everything is brought to it


@dataclass(frozen=True)
class Quality:
    """Objective quality of one clip.

    Attributes:
        pesq: MOS-LQO of ITU-T P.862.2 (wide band), about 1.0 to 4.64.
        stoi: short-time objective intelligibility, about 0 to 1.
        sdi: speech distortion index, 0 (none) upwards, see :func:`speech_distortion_index`.
    """

    pesq: float
    stoi: float
    sdi: float


def measure(reference: np.ndarray, reference_rate: int, processed: np.ndarray, processed_rate: int) -> Quality:
    """Measure ``processed`` [time] against ``reference`` [time], each at its own rate in Hz; both are brought to 16 kHz.

    A processed signal of 8 kHz therefore counts as one whose upper band is gone.

    Raises:
        DataError: if PESQ finds no speech in one of them.
        MissingExtra: if pesq or pystoi is not installed.
    """
    clean, heard = at_rate(reference, reference_rate, RATE), at_rate(processed, processed_rate, RATE)
    length = min(len(clean), len(heard))  # they differ by a sample at most, from rounding in the resampler
    clean, heard = clean[:length], heard[:length]
    return Quality(pesq_wideband(clean, heard), stoi(clean, heard), speech_distortion_index(clean, heard))


def at_rate(samples: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """Resample [time] from ``rate`` to ``wanted`` Hz without delay (soxr, very high quality)."""
    return samples if rate == wanted else soxr.resample(samples, rate, wanted, quality="VHQ")


def pesq_wideband(reference: np.ndarray, processed: np.ndarray) -> float:
    """Return the MOS-LQO of ITU-T P.862.2 for two signals [time] at 16 kHz.

    Raises:
        DataError: if PESQ finds no speech, or less than a quarter of a second of signal.
    """
    pesq = require("pesq", "simulate")
    try:
        return float(pesq.pesq(RATE, reference.astype(np.float32), processed.astype(np.float32), "wb"))
    except pesq.PesqError as error:
        reason = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        raise DataError(f"PESQ cannot compare the clip with its original: {reason}") from error


def stoi(reference: np.ndarray, processed: np.ndarray) -> float:
    """Return the short-time objective intelligibility (Taal et al., 2011; not the extended form) of signals [time] at 16 kHz.

    Raises:
        DataError: if fewer than 30 frames of 25.6 ms hold speech, of which STOI cannot say anything.
    """
    pystoi = require("pystoi", "simulate")
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # pystoi warns and returns 1e-5 where there is too little speech
        try:
            return float(pystoi.stoi(reference, processed, RATE))
        except RuntimeWarning as warning:
            raise DataError(f"STOI cannot compare the clip with its original: {warning}") from warning


def speech_distortion_index(reference: np.ndarray, processed: np.ndarray) -> float:
    """Return the speech distortion index ``sum (s - x)**2 / sum s**2``, linear, over the whole clip.

    Chen, Benesty, Huang and Doclo (2006) define it on the speech component after a filter, which is not known for a codec or
    a vocoder. As others do, the whole processed signal x takes its place: s and x are aligned in time, no gain is fitted.
    0 is no distortion, 1 is what silence gives, unrelated speech of the same level gives about 2, and additive noise gives
    10 ** (-SNR / 10). It depends on level and phase, unlike PESQ.

    >>> speech_distortion_index(np.array([1.0, -2.0, 2.0]), np.array([1.0, -2.0, -1.0]))
    1.0

    Raises:
        DataError: if the reference is silent.
    """
    energy = float(np.sum(np.square(reference, dtype=np.float64)))
    if energy == 0:
        raise DataError("the clean original is silent, so nothing can be measured against it")
    return float(np.sum(np.square(reference.astype(np.float64) - processed)) / energy)
