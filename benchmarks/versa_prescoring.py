"""VERSA's own loop with and without scoring ahead, side by side: 200 clips of mixed lengths and rates.

    PYTHONPATH=<checkout of VERSA> python benchmarks/versa_prescoring.py --threads 2

Both sides are ``VersaScorer.score_utterances`` on the same files with the same model; one has ``prescore: false``. They take
turns, so that a machine that is busy with other things slows both. The scores of both are compared.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

RATES = (8000, 16000, 22050)
SECONDS = (1.0, 8.0)


def main() -> None:
    """Print a line for each round, and the median ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="mini")
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, help="of torch; the default is torch's own")
    arguments = parser.parse_args()

    import torch
    from versa.scorer_shared import VersaScorer

    from distilmos_plugin.integrations import versa_hook
    from distilmos_plugin.integrations.versa import generation

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    versa_hook.install()
    scorer = VersaScorer()
    logging.disable(logging.WARNING)
    print(f"VERSA {generation()}; {arguments.clips} clips; torch threads: {torch.get_num_threads()}")
    with tempfile.TemporaryDirectory() as folder:
        files = write_clips(Path(folder), arguments.clips)
        suites = {
            prescore: scorer.load_metrics(
                [{"name": "distilmos", "model": arguments.model, "prescore": prescore}], use_gt=False
            )
            for prescore in (False, True)
        }
        scorer.score_utterances(dict(list(files.items())[:4]), suites[False], io="soundfile")  # first calls are slow
        ratios = []
        for _ in range(arguments.rounds):
            seconds, rows = {}, {}
            for prescore, suite in suites.items():
                started = time.perf_counter()
                rows[prescore] = scorer.score_utterances(files, suite, io="soundfile")
                seconds[prescore] = time.perf_counter() - started
            apart = max(abs(a["distilmos"] - b["distilmos"]) for a, b in zip(rows[False], rows[True], strict=True))
            ratios.append(seconds[False] / seconds[True])
            print(
                f"VERSA's loop {seconds[False]:.1f} s, scoring ahead {seconds[True]:.1f} s, ratio {ratios[-1]:.2f}, "
                f"scores apart by at most {apart:.1e}",
                flush=True,
            )
    print(f"median ratio {statistics.median(ratios):.2f}")


def write_clips(folder: Path, count: int) -> dict[str, str]:
    """Write noise in syllables, 1 to 8 s at 8, 16 and 22.05 kHz; return key -> path."""
    generator = np.random.default_rng(0)
    files = {}
    for index in range(count):
        rate = RATES[index % len(RATES)]
        time_axis = np.arange(round(generator.uniform(*SECONDS) * rate)) / rate
        samples = generator.standard_normal(len(time_axis)) * (0.05 + 0.05 * np.sin(2 * np.pi * 4 * time_axis))
        files[f"clip{index:03d}"] = str(folder / f"clip{index:03d}.wav")
        soundfile.write(files[f"clip{index:03d}"], samples, rate)
    return files


if __name__ == "__main__":
    main()
