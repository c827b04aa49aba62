"""Pre-train the bundled upstream ``tiny`` on two CPU cores.

    python egs/mini/local/pretrain_tiny.py --work exp/tiny --output tiny.pt --minutes 50 \
        --prompts /usr/share/asterisk/sounds --speech recordings/ --noise noises/

Two iterations of masked prediction: of k-means codes of MFCC, then of codes of the network's own middle layer. See README.md
in this folder for the data. The wall time is a budget: the learning rate follows the time that has passed, and a killed run
goes on where its last checkpoint was. ``--steps`` makes the same updates again, whatever the machine's speed.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tiny_degrade
import tiny_model
import tiny_speech
import torch
from torch import Tensor

from distilmos_plugin.files import atomic_write
from distilmos_plugin.progress import say

CLIP_SECONDS, BATCH = 3.2, 10
SHARES = {"espeak-ng": 0.45, "prompts": 0.25, "recordings": 0.3}  # of the clips, by source
CODES = (100, 200)  # of iteration 1 and 2; HuBERT takes 100 and 500
TARGET_LAYER = 3  # of iteration 1, the middle one of 5, gives the codes of iteration 2
FIRST_ITERATION = 0.35  # of the time
PEAK_RATE, WARM_UP, LAST_RATE = 1.5e-3, 0.04, 0.02  # AdamW; share of the iteration; share of the peak
WEIGHT_DECAY, BETAS, MAX_NORM = 0.01, (0.9, 0.98), 5.0
KMEANS_BATCHES = 60  # some 95,000 frames
REPORT_SECONDS, SAVE_SECONDS, EXPORT_SECONDS = 15.0, 120.0, 300.0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "--work", type=Path, required=True, help="folder of the streams and checkpoints; a second call resumes"
    )
    parser.add_argument("--output", type=Path, required=True, help="the upstream, written now and then and at the end")
    parser.add_argument(
        "--minutes", type=float, default=50.0, help="wall time of both iterations, without preparing the speech"
    )
    parser.add_argument("--steps", type=int, nargs=2, help="updates of both iterations instead of --minutes")
    parser.add_argument("--synthetic-hours", type=float, default=10.0, help="espeak-ng speech to make")
    parser.add_argument("--prompts", type=Path, help="folder of Debian's asterisk-core-sounds-*-g722")
    parser.add_argument("--speech", type=Path, action="append", help="folder of recorded speech; may be repeated")
    parser.add_argument("--noise", type=Path, action="append", help="folder of recorded noise; may be repeated")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    return parser.parse_args()


@dataclass
class Teacher:
    """Codes of audio: the standardised MFCC, or a layer of a frozen network, and its k-means centroids."""

    centroids: Tensor
    mean: Tensor
    scale: Tensor
    model: torch.nn.Module | None = None

    def features(self, waveforms: Tensor) -> Tensor:
        if self.model is None:
            return tiny_model.mfcc(waveforms)
        return tiny_model.hidden_state(self.model, waveforms, TARGET_LAYER)

    @torch.no_grad()
    def codes(self, waveforms: Tensor) -> Tensor:
        """[batch, time] -> int64 [batch, frames]."""
        return tiny_model.nearest_code((self.features(waveforms) - self.mean) / self.scale, self.centroids)

    @classmethod
    @torch.no_grad()
    def fit(cls, model: torch.nn.Module | None, clips: tiny_degrade.Clips, codes: int, seed: int) -> Teacher:
        """Fit the centroids on the audio that targets come from, clean and degraded."""
        teacher = cls(torch.empty(0), torch.empty(0), torch.empty(0), model)
        frames = [
            teacher.features(torch.from_numpy(clips.batch(99, number)[1])).flatten(0, 1) for number in range(KMEANS_BATCHES)
        ]
        weights = None if model else torch.tensor(tiny_model.MFCC_WEIGHTS).repeat_interleave(tiny_model.NUM_CEPSTRA)
        teacher.centroids, teacher.mean, teacher.scale = tiny_model.fit_kmeans(torch.cat(frames), codes, seed, weights)
        say(f"{codes} codes of {sum(map(len, frames)):,} frames")
        return teacher


class Iteration:
    """One of the two rounds of masked prediction, with its optimiser and its place in the schedule."""

    def __init__(self, number: int, wavlm: torch.nn.Module, teacher: Teacher, options: argparse.Namespace) -> None:
        self.number, self.teacher = number, teacher
        self.step, self.elapsed = 0, 0.0
        torch.manual_seed(options.seed + number)
        self.network = tiny_model.MaskedPrediction(wavlm, CODES[number - 1])
        self.replicas = [self.network]
        for _ in range(options.threads - 1):
            replica = tiny_model.MaskedPrediction(tiny_model.build_wavlm(options.seed), CODES[number - 1])
            tiny_model.share_parameters(self.network, replica)
            self.replicas.append(replica)
        self.optimiser = torch.optim.AdamW(self.network.parameters(), PEAK_RATE, BETAS, weight_decay=WEIGHT_DECAY)
        share = FIRST_ITERATION if number == 1 else 1 - FIRST_ITERATION
        self.seconds = options.minutes * 60 * share
        self.steps = options.steps[number - 1] if options.steps else None

    def __str__(self) -> str:
        return f"iteration {self.number}: {100 * self.done:.1f} %, step {self.step}, rate {self.rate():.1e}"

    @property
    def done(self) -> float:
        """Share of this iteration that has passed, 0 to 1."""
        return min(1.0, self.step / self.steps if self.steps else self.elapsed / self.seconds)

    def rate(self) -> float:
        """Learning rate: linear warm-up, then a cosine down to LAST_RATE of the peak."""
        if self.done < WARM_UP:
            return PEAK_RATE * max(self.done / WARM_UP, 1e-3)
        cosine = (1 + math.cos(math.pi * (self.done - WARM_UP) / (1 - WARM_UP))) / 2
        return PEAK_RATE * (LAST_RATE + (1 - LAST_RATE) * cosine)

    def update(self, inputs: Tensor, sources: Tensor, mask: Tensor, pool: ThreadPoolExecutor) -> tuple[float, float]:
        """Take one step; return (loss, accuracy on hidden frames).

        Every thread works on a part of the batch with its own replica. On a shared machine this is 1.4 times as fast as
        giving all threads to each small operation, where all wait for the slowest.
        """
        parts = zip(self.replicas, *(value.chunk(len(self.replicas)) for value in (inputs, sources, mask)), strict=True)
        losses, hits, gradients = zip(*pool.map(self._part, parts), strict=True)
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate()
        for parameter, *shares in zip(self.network.parameters(), *gradients, strict=True):
            parameter.grad = sum(shares) / len(shares)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), MAX_NORM)
        self.optimiser.step()
        self.step += 1
        return float(np.mean(losses)), float(np.mean(hits))

    def _part(self, part: tuple[tiny_model.MaskedPrediction, Tensor, Tensor, Tensor]) -> tuple[float, float, list[Tensor]]:
        replica, inputs, sources, mask = part
        torch.set_num_threads(1)  # of this thread
        loss, hit = replica(inputs, self.teacher.codes(sources), mask)
        return loss.item(), hit.item(), torch.autograd.grad(loss, list(replica.parameters()))

    def save(self, path: Path) -> None:
        """Write everything that is needed to go on."""
        state = {
            "number": self.number,
            "step": self.step,
            "elapsed": self.elapsed,
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "teacher": {name: getattr(self.teacher, name) for name in ("centroids", "mean", "scale")},
            "teacher_model": self.teacher.model.state_dict() if self.teacher.model else None,
        }
        with atomic_write(path, "wb") as file:
            torch.save(state, file)

    @classmethod
    def load(cls, path: Path, options: argparse.Namespace) -> Iteration:
        """Read what :meth:`save` wrote."""
        state = torch.load(path, weights_only=True)
        teacher = Teacher(**state["teacher"])
        if state["teacher_model"]:
            teacher.model = tiny_model.build_wavlm(options.seed).eval()
            teacher.model.load_state_dict(state["teacher_model"])
        iteration = cls(state["number"], tiny_model.build_wavlm(options.seed), teacher, options)
        iteration.network.load_state_dict(state["network"])
        iteration.optimiser.load_state_dict(state["optimiser"])
        iteration.step, iteration.elapsed = state["step"], state["elapsed"]
        return iteration


def run(iteration: Iteration, clips: tiny_degrade.Clips, checkpoint: Path, output: Path) -> None:
    """Train until the iteration's share of the time or of the steps is used."""
    iteration.network.train()
    reported = saved = exported = time.monotonic()
    losses, hits = [], []
    now = time.monotonic()
    # The next batch is made while this one is learnt.
    with ThreadPoolExecutor(1) as maker, ThreadPoolExecutor(len(iteration.replicas)) as pool:
        waiting = maker.submit(clips.batch, iteration.number, iteration.step)
        while iteration.done < 1:
            started = now
            inputs, sources = (torch.from_numpy(part) for part in waiting.result())
            waiting = maker.submit(clips.batch, iteration.number, iteration.step + 1)
            rng = np.random.default_rng([clips.seed, iteration.number, iteration.step, 1])
            frames = (inputs.shape[1] - tiny_model.WINDOW) // tiny_model.HOP + 1
            loss, hit = iteration.update(inputs, sources, tiny_model.span_mask(len(inputs), frames, rng), pool)
            losses.append(loss)
            hits.append(hit)
            now = time.monotonic()
            iteration.elapsed += now - started
            if now - reported >= REPORT_SECONDS:
                say(f"{iteration}, {_progress(losses, hits, now - reported)}")
                reported, losses, hits = now, [], []
            if now - saved >= SAVE_SECONDS:
                iteration.save(checkpoint)
                saved = now
            if now - exported >= EXPORT_SECONDS:
                tiny_model.save_wavlm(iteration.network.wavlm, output)
                exported = now
    iteration.save(checkpoint)
    tiny_model.save_wavlm(iteration.network.wavlm, output)
    say(f"iteration {iteration.number}: {iteration.step} steps in {iteration.elapsed / 60:.1f} min; wrote {output}")


def _progress(losses: list[float], hits: list[float], seconds: float) -> str:
    speed = len(losses) * BATCH * CLIP_SECONDS / seconds
    return f"loss {np.mean(losses):.3f}, hidden frames right {100 * np.mean(hits):.1f} %, {speed:.0f} s audio/s"


def main() -> None:
    """Prepare the speech, run both iterations, write the upstream."""
    options = parse_arguments()
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    streams, noise = tiny_speech.load_streams(options.work, options)
    clips = tiny_degrade.Clips(streams, SHARES, noise, round(CLIP_SECONDS * tiny_model.SAMPLE_RATE), BATCH, options.seed)
    checkpoint = options.work / "checkpoint.pt"
    if checkpoint.exists():
        iteration = Iteration.load(checkpoint, options)
        say(f"going on in iteration {iteration.number} at step {iteration.step}")
    else:
        wavlm = tiny_model.build_wavlm(options.seed)
        say(f"{sum(value.numel() for value in wavlm.parameters()):,} parameters")
        iteration = Iteration(1, wavlm, Teacher.fit(None, clips, CODES[0], options.seed), options)
    if iteration.number == 1:
        run(iteration, clips, checkpoint, options.output)
        # The network goes on from its own weights: a new start, as in HuBERT, would need a third of the time again.
        frozen = tiny_model.build_wavlm(options.seed).eval().requires_grad_(False)
        frozen.load_state_dict(iteration.network.wavlm.state_dict())
        teacher = Teacher.fit(frozen, clips, CODES[1], options.seed)
        iteration = Iteration(2, iteration.network.wavlm, teacher, options)
    run(iteration, clips, checkpoint, options.output)


if __name__ == "__main__":
    main()
