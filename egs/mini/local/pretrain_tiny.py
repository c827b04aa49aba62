"""Pre-train the bundled upstream ``tiny`` on two CPU cores.

    python egs/mini/local/pretrain_tiny.py --work exp/tiny --output tiny.pt --minutes 50 \
        --prompts /usr/share/asterisk/sounds --speech recordings/ --noise noises/

A warm-up of the convolutions, then two iterations of masked prediction: of k-means codes of MFCC, and of codes of the
network's own middle layer. See README.md in this folder for the data. The wall time is a budget: the learning rate follows
the time that has passed, and a killed run goes on where its last checkpoint was. ``--steps`` makes the same updates again,
whatever the machine's speed.
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
CODES = (100, 100, 200)  # of the iterations; HuBERT takes 100 and 500
TARGET_LAYER = 3  # of iteration 1, the middle one of 5, gives the codes of iteration 2
TIME_SHARES = (0.12, 0.33, 0.55)  # warm-up of the convolutions, iteration 1, iteration 2
PEAK_RATE, WARM_UP, LAST_RATE = 1.5e-3, 0.04, 0.02  # AdamW; share of the iteration; share of the peak
WEIGHT_DECAY, BETAS, MAX_NORM = 0.01, (0.9, 0.98), 5.0
KMEANS_BATCHES = 99  # first number of their random keys; 0, 1 and 2 are the iterations
REPORT_SECONDS, SAVE_SECONDS, EXPORT_SECONDS = 15.0, 120.0, 300.0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "--work", type=Path, required=True, help="folder of the streams and checkpoints; a second call resumes"
    )
    parser.add_argument("--output", type=Path, required=True, help="the upstream, written now and then and at the end")
    parser.add_argument("--minutes", type=float, default=50.0, help="wall time of the training, without preparing the speech")
    parser.add_argument(
        "--steps", type=int, nargs=3, help="updates of the warm-up and of both iterations, instead of --minutes"
    )
    parser.add_argument("--synthetic-hours", type=float, default=10.0, help="espeak-ng speech to make")
    parser.add_argument("--prompts", type=Path, help="folder of Debian's asterisk-core-sounds-*-g722")
    parser.add_argument("--speech", type=Path, action="append", help="folder of recorded speech; may be repeated")
    parser.add_argument("--noise", type=Path, action="append", help="folder of recorded noise; may be repeated")
    parser.add_argument("--frames", type=int, default=95000, help="that k-means is fitted on")
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

    def state(self) -> dict:
        """Return what :meth:`of_state` builds the teacher from."""
        weights = self.model.state_dict() if self.model else None
        return {"centroids": self.centroids, "mean": self.mean, "scale": self.scale, "weights": weights}

    @classmethod
    def of_state(cls, state: dict, seed: int) -> Teacher:
        model = None
        if state["weights"]:
            model = tiny_model.build_wavlm(seed).eval().requires_grad_(False)
            model.load_state_dict(state["weights"])
        return cls(state["centroids"], state["mean"], state["scale"], model)

    @classmethod
    @torch.no_grad()
    def fit(cls, model: torch.nn.Module | None, clips: tiny_degrade.Clips, codes: int, options: argparse.Namespace) -> Teacher:
        """Fit the centroids on the audio that targets come from, clean and degraded."""
        teacher = cls(torch.empty(0), torch.empty(0), torch.empty(0), model)
        frames: list[Tensor] = []
        while sum(map(len, frames)) < options.frames:
            audio = torch.from_numpy(clips.batch(KMEANS_BATCHES, len(frames))[1])
            frames.append(teacher.features(audio).flatten(0, 1))
        weights = None if model else torch.tensor(tiny_model.MFCC_WEIGHTS).repeat_interleave(tiny_model.NUM_CEPSTRA)
        teacher.centroids, teacher.mean, teacher.scale = tiny_model.fit_kmeans(torch.cat(frames), codes, options.seed, weights)
        say(f"{codes} codes of {sum(map(len, frames)):,} frames")
        return teacher


class Iteration:
    """A round of training with its optimiser and its place in the schedule: 0 the convolutions alone, 1 and 2 everything."""

    def __init__(self, number: int, wavlm: torch.nn.Module, teacher: Teacher | None, options: argparse.Namespace) -> None:
        self.number, self.teacher = number, teacher
        self.step, self.elapsed = 0, 0.0
        torch.manual_seed(options.seed + number)
        self.network = tiny_model.MaskedPrediction(wavlm, CODES[number])
        self.replicas = [self.network]
        for _ in range(options.threads - 1):
            replica = tiny_model.MaskedPrediction(tiny_model.build_wavlm(options.seed), CODES[number])
            tiny_model.share_parameters(self.network, replica)
            self.replicas.append(replica)
        self.optimiser = torch.optim.AdamW(self.network.parameters(), PEAK_RATE, BETAS, weight_decay=WEIGHT_DECAY)
        self.seconds = options.minutes * 60 * TIME_SHARES[number]
        self.steps = options.steps[number] if options.steps else None

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
            parameter.grad = None if shares[0] is None else sum(shares) / len(shares)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), MAX_NORM)
        self.optimiser.step()
        self.step += 1
        return float(np.mean(losses)), float(np.mean(hits))

    def _part(self, part: tuple[tiny_model.MaskedPrediction, Tensor, Tensor, Tensor]) -> tuple[float, float, list[Tensor]]:
        replica, inputs, sources, mask = part
        torch.set_num_threads(1)  # of this thread
        if self.teacher is None:
            loss, hit = replica.spectrum_loss(tiny_model.front(replica.wavlm, inputs), inputs), torch.zeros(())
        else:
            loss, hit = replica(inputs, self.teacher.codes(sources), mask)
        return loss.item(), hit.item(), torch.autograd.grad(loss, list(replica.parameters()), allow_unused=True)

    def save(self, path: Path) -> None:
        """Write everything that is needed to go on."""
        state = {
            "number": self.number,
            "step": self.step,
            "elapsed": self.elapsed,
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "teacher": self.teacher.state() if self.teacher else None,
        }
        with atomic_write(path, "wb") as file:
            torch.save(state, file)

    @classmethod
    def load(cls, path: Path, options: argparse.Namespace) -> Iteration:
        """Read what :meth:`save` wrote."""
        state = torch.load(path, weights_only=True)
        teacher = Teacher.of_state(state["teacher"], options.seed) if state["teacher"] else None
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
        say(f"going on: {iteration}")
    else:
        wavlm = tiny_model.build_wavlm(options.seed)
        say(f"{sum(value.numel() for value in wavlm.parameters()):,} parameters")
        iteration = Iteration(0, wavlm, None, options)
    run(iteration, clips, checkpoint, options.output)
    while iteration.number < 2:
        iteration = following(iteration, clips, options)
        run(iteration, clips, checkpoint, options.output)


def following(iteration: Iteration, clips: tiny_degrade.Clips, options: argparse.Namespace) -> Iteration:
    """Return the next iteration. The network goes on from its weights: a new start, as in HuBERT, would take too long."""
    number, wavlm = iteration.number + 1, iteration.network.wavlm
    frozen = None
    if number == 2:
        frozen = tiny_model.build_wavlm(options.seed).eval().requires_grad_(False)
        frozen.load_state_dict(wavlm.state_dict())
    return Iteration(number, wavlm, Teacher.fit(frozen, clips, CODES[number], options), options)


if __name__ == "__main__":
    main()
