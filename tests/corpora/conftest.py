"""Clean synthetic speech."""

from __future__ import annotations

import numpy as np
import pytest

from distilmos_plugin.corpora.simulation.espeak import SAMPLE_RATE
from distilmos_plugin.corpora.simulation.levels import at_level
from distilmos_plugin.corpora.simulation.quality import at_rate
from distilmos_plugin.corpora.simulation.sources import SyntheticVoices


@pytest.fixture(scope="session")
def native() -> np.ndarray:
    """About 3 s of one voice at 22.05 kHz and -26 dBov."""
    voices = SyntheticVoices()
    samples, rate = voices.speech("en-us-f1", voices.items("train", "en-us-f1")[0])
    assert rate == SAMPLE_RATE
    return at_level(samples, rate)


@pytest.fixture(scope="session")
def speech(native: np.ndarray) -> np.ndarray:
    """The same at 16 kHz."""
    return at_rate(native, SAMPLE_RATE, 16000)
