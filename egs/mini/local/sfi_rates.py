"""The same sentence at several rates: how far hidden states and scores of SFI-SSL-MOS move, against plain resampling.

    python egs/mini/local/sfi_rates.py --data data/mini/test --sfi exp/mini_sfi_ssl_mos_tiny/sfi \
        --model exp/mini_sfi_ssl_mos_tiny/model

Clips are brought to 16 kHz, so that nothing is above 8 kHz, and from there to every rate; below 16 kHz they lose what does not
fit. Written as tables to standard output:

- hidden states, relative error (root of mean squared error over variance, all layers together): of the SFI upstream before and
  after distillation against the upstream that it was made of, which hears 16 kHz, and against itself at 16 kHz; and of the
  former hearing what resampling to the rate and back leaves of the clip;
- scores, against the model's own at 16 kHz: of the clip at its rate; of the clip resampled back to 16 kHz first; and of its
  samples taken for 16 kHz without resampling, which is what ignoring the rate does. ``--model`` may be given several times.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from distilmos_plugin.audio import as_audio, read_audio
from distilmos_plugin.config import UpstreamConfig
from distilmos_plugin.data.directory import DataDirectory
from distilmos_plugin.progress import track
from distilmos_plugin.scoring.models import load
from distilmos_plugin.scoring.predictor import Predictor
from distilmos_plugin.upstreams.sfi import folder
from distilmos_plugin.upstreams.sfi.distillation import state_errors
from distilmos_plugin.upstreams.sfi.stages import CONVERTED, DISTILLED
from distilmos_plugin.upstreams.upstream import load_upstream

RATES = (8000, 16000, 22050, 24000, 44100, 48000)  # Hz
WIDE = (16000, 24000, 48000)  # Hz: rates that hold all of the clips' band
BASE = 16000  # Hz

Clips = Sequence[np.ndarray]


def main() -> None:
    """Write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="data directory")
    parser.add_argument("--sfi", type=Path, required=True, help="folder with the converted and the distilled upstream")
    parser.add_argument("--model", type=Path, action="append", default=[], help="released model; may be repeated")
    parser.add_argument("--clips", type=int, default=60, help="so many of the directory's, evenly spaced")
    arguments = parser.parse_args()
    directory = DataDirectory.read(arguments.data)
    keys = [directory.keys[place] for place in np.linspace(0, len(directory.keys) - 1, arguments.clips).astype(int)]
    clips = [read_audio(directory.wav[key], BASE).samples for key in keys]
    print(f"{len(clips)} clips of {directory.path.name}, band-limited to {BASE // 2000} kHz\n")
    print_table("hidden states: relative error", hidden_states(arguments.sfi, clips))
    for model in arguments.model:
        print_scores(str(model), load(model), clips)


def at(rate: int, clips: Clips, native: int = BASE) -> list[np.ndarray]:
    """Return clips of ``native`` Hz resampled to ``rate`` Hz."""
    return [as_audio(clip, native, rate).samples for clip in clips]


def hidden_states(sfi: Path, clips: Clips) -> dict[str, list[float]]:
    """Return the error at each rate: plain resampling, before and after distillation."""
    description = folder.describe(sfi / CONVERTED)
    teacher = load_upstream(description.teacher, UpstreamConfig(ckpt=description.teacher_ckpt, trainable=False)).eval()
    heard = [(clip, BASE) for clip in clips]
    rows = {"plain resampling": [resampling_error(teacher, clips, rate) for rate in track(RATES, "plain resampling")]}
    for name in (CONVERTED, DISTILLED):
        student = load_upstream(str(sfi / name)).eval()
        for other, what in ((teacher, "against the first upstream"), (student, "against itself at 16 kHz")):
            errors = state_errors(student, other, heard, RATES)
            rows[f"{name}, {what}"] = [errors[rate] for rate in RATES]
    return rows


@torch.no_grad()
def resampling_error(teacher: torch.nn.Module, clips: Clips, rate: int) -> float:
    """Return the error of the teacher itself on clips that have been at ``rate`` Hz."""
    error = variance = 0.0
    for clip, back in zip(clips, at(BASE, at(rate, clips), rate), strict=True):
        theirs, ours = (torch.cat(teacher([torch.from_numpy(samples)]).states) for samples in (clip, back))
        count = min(ours.shape[1], theirs.shape[1])
        error += float((ours[:, :count] - theirs[:, :count]).square().sum())
        variance += float((theirs - theirs.mean(1, keepdim=True)).square().sum())
    return (error / variance) ** 0.5


def print_scores(name: str, predictor: Predictor, clips: Clips) -> None:
    """Print how scores move with the rate."""

    def scores(sounds: Clips, rate: int) -> np.ndarray:
        return np.array([score.mos for score in predictor.score_many([(sound, rate) for sound in sounds])])

    ways: dict[str, Callable[[int], np.ndarray]] = {
        "at its rate": lambda rate: scores(at(rate, clips), rate),
        "resampled to 16 kHz": lambda rate: scores(at(BASE, at(rate, clips), rate), BASE),
        "taken for 16 kHz": lambda rate: scores(at(rate, clips), BASE),
    }
    found = {way: {rate: score(rate) for rate in track(RATES, way)} for way, score in ways.items()}
    base = found["at its rate"][BASE]
    rows = {way: [float(np.abs(by_rate[rate] - base).mean()) for rate in RATES] for way, by_rate in found.items()}
    print_table(f"{name}: mean difference of a clip's score from that at 16 kHz, MOS", rows)
    wide = np.stack([found["at its rate"][rate] for rate in WIDE])
    spread = wide.max(0) - wide.min(0)
    rates = ", ".join(f"{rate / 1000:g}" for rate in WIDE)
    print(f"range over {rates} kHz: mean {spread.mean():.4f}, 95 % of clips below {np.quantile(spread, 0.95):.4f} MOS\n")


def print_table(title: str, rows: dict[str, list[float]]) -> None:
    """Print a table with a column a rate."""
    print(f"| {title} | " + " | ".join(f"{rate / 1000:g} kHz" for rate in RATES) + " |")
    print("|---|" + "--:|" * len(RATES))
    for name, values in rows.items():
        print(f"| {name} | " + " | ".join(f"{value:.4f}" for value in values) + " |")
    print()


if __name__ == "__main__":
    main()
