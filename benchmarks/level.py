"""How the score moves with level: the same clips at several levels, and what a model says of each.

    python benchmarks/level.py data/mini/test [--model mini] [--clips 60]

Prints a Markdown table: level (RMS in dBFS), mean and spread of the change against the clip as it is, and the flags given.
Gains that would clip a clip are left out for it.
"""

from __future__ import annotations

import argparse
import statistics
from collections import Counter

import numpy as np

import distilmos_plugin as dm
from distilmos_plugin.audio import read_audio
from distilmos_plugin.data.directory import DataDirectory

LEVELS = (-12, -20, -26, -32, -40, -50, -60, -70)  # dBFS, RMS over the clip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="data directory")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--clips", type=int, default=60, help="so many, evenly spread over the directory")
    arguments = parser.parse_args()
    directory = DataDirectory.read(arguments.data)
    keys = directory.keys[:: max(1, len(directory.keys) // arguments.clips)]
    sounds = [read_audio(directory.wav[key]) for key in keys]
    predictor = dm.load(arguments.model)
    own = [score.mos for score in predictor.score_many((sound.samples, sound.sample_rate) for sound in sounds)]
    print(f"{predictor.signature}; {len(keys)} clips of {directory.path}\n")
    print("| RMS, dBFS | clips | mean change, MOS | mean absolute change | largest | rank correlation with own | flags |")
    print("|--:|--:|--:|--:|--:|--:|---|")
    for level in LEVELS:
        print(_row(level, predictor, sounds, own))


def _row(level: float, predictor: dm.Predictor, sounds: list, own: list[float]) -> str:
    from scipy.stats import spearmanr

    before, scores = [], []
    for sound, reference in zip(sounds, own, strict=True):
        gain = 10 ** (level / 20) / np.sqrt(np.mean(np.square(sound.samples, dtype=np.float64)))
        if gain * np.abs(sound.samples).max() < 1:
            before.append(reference)
            scores.append(predictor.score((sound.samples * gain).astype(np.float32), sound.sample_rate))
    changes = [score.mos - reference for score, reference in zip(scores, before, strict=True)]
    given = Counter(flag for score in scores for flag in score.flags if flag in ("silent", "low_level", "clipped"))
    flags = ", ".join(f"{flag} {count}" for flag, count in given.items()) or "-"
    order = spearmanr(before, [score.mos for score in scores]).statistic
    return (
        f"| {level} | {len(scores)} | {statistics.fmean(changes):+.2f} | {statistics.fmean(map(abs, changes)):.2f} | "
        f"{max(changes, key=abs):+.2f} | {order:.3f} | {flags} |"
    )


if __name__ == "__main__":
    main()
