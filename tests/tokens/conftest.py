"""A data directory of synthesised clips and the bundled upstream, frozen."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from scipy.signal import lfilter

from distilmos_plugin.config import TokenConfig, UpstreamConfig
from distilmos_plugin.data.directory import DataDirectory, write_data_directory
from distilmos_plugin.tokens.learn import learn
from distilmos_plugin.upstreams.upstream import Upstream, load_upstream

CONF = TokenConfig(clusters=12, max_frames=600, iterations=8, seed=3)


def voice(seconds: float, rate: int, seed: int) -> np.ndarray:
    """Return something like speech: pulses and noise through formants that move, with pauses; float ``[time]``."""
    generator = np.random.default_rng(seed)
    pieces = []
    while sum(map(len, pieces)) < seconds * rate:
        length = int(rate * generator.uniform(0.08, 0.25))
        kind = generator.integers(4)
        source = 0.05 * generator.standard_normal(length)
        if kind < 2:  # voiced
            source[:: int(rate / generator.uniform(90, 220))] += 1.0
        elif kind == 3:  # pause
            source *= 0.02
        for formant in generator.uniform(250, 3400, 3):
            radius, angle = 0.97, 2 * np.pi * formant / rate
            source = lfilter([1 - radius], [1, -2 * radius * np.cos(angle), radius**2], source)
        pieces.append(source / (np.abs(source).max() + 1e-9) * (0.01 if kind == 3 else generator.uniform(0.1, 0.6)))
    return np.concatenate(pieces)[: int(seconds * rate)]


@pytest.fixture(scope="session")
def directory(tmp_path_factory) -> DataDirectory:
    """Nine clips of 0.3 to 3 s, at 16 kHz and one at 8 kHz; ``long`` is as long as the others together."""
    folder = tmp_path_factory.mktemp("data")
    wav = {}
    for index in range(9):
        key, seconds, rate = f"clip{index}", 0.3 + 0.1 * index, 8000 if index == 4 else 16000
        if index == 8:
            key, seconds = "long", 6.0
        soundfile.write(folder / f"{key}.wav", voice(seconds, rate, seed=index), rate)
        wav[key] = folder / f"{key}.wav"
    return write_data_directory(folder / "train", wav)


@pytest.fixture(scope="session")
def upstream() -> Upstream:
    return load_upstream("tiny", UpstreamConfig(trainable=False)).eval()


@pytest.fixture(scope="session")
def learned(directory, upstream, tmp_path_factory):
    """The folder of a code book of every layer."""
    folder = tmp_path_factory.mktemp("learned")
    learn(upstream, directory, CONF, folder)
    return folder
