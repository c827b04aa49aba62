"""A small listening test with real audio: 6 systems, 6 clips each, single ratings, and the scores of two models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from distilmos_plugin.data.directory import DataDirectory, Rating, write_data_directory
from distilmos_plugin.scoring.results import Score, ScoreWriter

SIGNATURE = "distilmos|model:good@0123456789ab|v:0.1.0|rate:16000|window:none|prec:fp32"
OTHER_SIGNATURE = SIGNATURE.replace("good@0123456789ab", "poor@ba9876543210")
QUALITY = {"a": 1.4, "b": 2.1, "c": 2.7, "d": 3.3, "e": 3.9, "f": 4.5}  # mean MOS of each system
CLIPS = 6  # of each system
RATE = 24_000  # Hz, above what a report embeds


@dataclass(frozen=True)
class ListeningTest:
    """The data and two score files: ``good`` is off by 0.2 MOS points (standard deviation), ``poor`` by 1.0."""

    data: DataDirectory
    good: Path
    poor: Path
    folder: Path

    def scores(self, error: float, signature: str, seed: int) -> list[Score]:
        """Return scores of all clips with normal errors of this standard deviation."""
        rng = np.random.default_rng(seed)
        predictions = {key: label + error * rng.standard_normal() for key, label in self.data.targets["mos"].items()}
        return [
            Score(key, self.data.wav[key], {"mos": value}, "ok", (), 0.3, RATE, signature)
            for key, value in predictions.items()
        ]


def write_scores(path: Path, scores: list[Score]) -> Path:
    with ScoreWriter(path) as writer:
        writer.write(scores)
    return path


@pytest.fixture(scope="session")
def listening_test(tmp_path_factory: pytest.TempPathFactory) -> ListeningTest:
    folder = tmp_path_factory.mktemp("listening")
    rng = np.random.default_rng(0)
    wav, mos, systems, ratings = {}, {}, {}, []
    for system, quality in QUALITY.items():
        for number in range(CLIPS):
            key = f"{system}{number}"
            tone = 0.3 * np.sin(2 * np.pi * (200 + 40 * number) * np.arange(int(0.3 * RATE)) / RATE)
            soundfile.write(folder / f"{key}.wav", tone, RATE)
            votes = np.clip(np.round(quality + rng.normal(0, 0.7, size=6)), 1, 5)
            wav[key], systems[key], mos[key] = folder / f"{key}.wav", system, float(votes.mean())
            ratings += [Rating(key, f"listener{index}", "mos", float(vote)) for index, vote in enumerate(votes)]
    data = write_data_directory(folder / "data", wav, {"mos": mos}, systems, ratings)
    test = ListeningTest(data, folder / "good" / "scores.jsonl", folder / "poor" / "scores.jsonl", folder)
    write_scores(test.good, test.scores(0.2, SIGNATURE, seed=1))
    write_scores(test.poor, test.scores(1.0, OTHER_SIGNATURE, seed=2))
    return test


@pytest.fixture
def without() -> Callable[..., DataDirectory]:
    """Return a data directory without some of its files."""
    return lambda data, *names: replace(data, **dict.fromkeys(names))
