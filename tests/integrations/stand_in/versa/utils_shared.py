"""How audio comes to a metric: float64, first channel, integers divided by their largest value."""

import numpy as np
import soundfile


def load_audio(info, io):
    if io == "kaldi":
        return info
    samples, rate = soundfile.read(info)
    return rate, samples


def wav_normalize(wave_array):
    samples = wave_array[:, 0] if wave_array.ndim > 1 else wave_array
    return np.ascontiguousarray(samples.astype(np.float64) / (32767 if samples.dtype == np.int16 else 1))
