"""Audio and models made on the spot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
import torch

from distilmos_plugin.config import Config
from distilmos_plugin.models import MOSModel, build_model
from distilmos_plugin.upstreams.upstream import load_upstream

RATE = 16000


def speech(seconds: float, rate: int = RATE, seed: int = 0) -> np.ndarray:
    """Harmonics of a gliding pitch in syllables of 4 Hz, with a little noise: float32, peak 0.5."""
    generator = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    pitch = generator.uniform(90, 220) * (
        1 + 0.2 * np.sin(2 * np.pi * generator.uniform(0.2, 1) * time + generator.uniform(0, 6))
    )
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    # Below 3.4 kHz at every rate, so that resampling loses nothing.
    voice = sum(np.sin(k * phase) / k for k in range(1, 15))
    voice = voice * (0.1 + np.clip(np.sin(2 * np.pi * 4 * time + generator.uniform(0, 6)), 0, 1))
    voice += 0.003 * generator.standard_normal(len(time))
    return (0.5 * voice / np.abs(voice).max()).astype(np.float32)


def write(path: Path, samples: np.ndarray, rate: int = RATE, **options: str) -> Path:
    """Write samples ``[time]`` or ``[time, channels]``; 32-bit float unless told otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, **({"subtype": "FLOAT"} | options))
    return path


def make_model(config: Config) -> MOSModel:
    """Build the model; the last layer is scaled and shifted: clips lie around 3 and differ by tenths of a MOS point."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = build_model(config, load_upstream(config.upstream, config.upstream_conf))
        with torch.no_grad():
            model.linear.weight.mul_(5.0)
            model.linear.bias.add_(1.25)
    return model.eval()


def with_windows(config: Config, window_seconds: float, hop_seconds: float) -> Config:
    """Return the configuration with other windows for long audio."""
    return replace(config, scoring_conf=replace(config.scoring_conf, window_seconds=window_seconds, hop_seconds=hop_seconds))
