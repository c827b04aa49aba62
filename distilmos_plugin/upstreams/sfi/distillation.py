"""Distillation: an SFI upstream hears a clip at any rate and gives what its teacher gives at 16 kHz.

Nishikawa et al. (MSR-UTMOS, see the package's text) and their code: mean squared error over all hidden states, one rate a
batch, RAdam. Theirs leaves padding in the loss; here only frames of clips count.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distilmos_plugin.audio import AudioProblem, as_audio, read_audio
from distilmos_plugin.config import DistilConfig, UpstreamConfig
from distilmos_plugin.data.directory import WAV, DataDirectory
from distilmos_plugin.errors import ConfigError, DataError, UpstreamError
from distilmos_plugin.files import atomic_write, fingerprint
from distilmos_plugin.progress import Progress, say
from distilmos_plugin.typed_yaml import to_dict
from distilmos_plugin.upstreams.sfi import folder
from distilmos_plugin.upstreams.sfi.convolution import HIGHEST_RATE, LOWEST_RATE
from distilmos_plugin.upstreams.upstream import HiddenStates, Upstream, load_upstream

CHECKPOINT = "distillation.pt"
CHECKPOINT_SECONDS = 120.0
MEASURED_CLIPS = 12  # on which the error is measured before and after


def distil(
    source: str | Path,
    directory: DataDirectory,
    conf: DistilConfig,
    output: str | Path,
    *,
    device: str | None = None,
    allow_pipes: bool = False,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> None:
    """Distil the SFI upstream of the folder ``source`` into the folder ``output``; what was cut off goes on.

    Args:
        source: what ``distilmos upstream sfi`` wrote.
        directory: clips, of any rates; no labels are read.
        conf: rates, steps and learning rate.
        output: folder of the distilled upstream.
        device: None takes CUDA if there is any, else the CPU.
        allow_pipes: run ``command |`` entries of ``wav.scp``.
        checkpoint_seconds: between two checkpoints.

    Raises:
        ConfigError: if the numbers are no good.
        UpstreamError: if the teacher is not the one that the upstream was made of.
        DataError: naming a clip that cannot be used.
    """
    _check(conf)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    description = folder.describe(source)
    teacher = load_upstream(description.teacher, UpstreamConfig(ckpt=description.teacher_ckpt, trainable=False))
    if teacher.digest != description.teacher_digest:
        raise UpstreamError(
            f"{source} was made of {description.teacher} ({description.teacher_digest}), which is {teacher.digest} now; "
            "convert it again (distilmos upstream sfi)"
        )
    student = load_upstream(str(source), UpstreamConfig(trainable=True, train_front_end=True))
    teacher.to(device).eval()
    student.to(device)
    lesson = _Lesson(student, teacher, directory, conf, allow_pipes)
    measured = [lesson.clip(key) for key in lesson.keys[:: max(1, len(lesson.keys) // MEASURED_CLIPS)][:MEASURED_CLIPS]]
    before = state_errors(student, teacher, measured, conf.rates, conf.teacher_band)
    origin = fingerprint([to_dict(conf), student.digest, directory.wav])
    _train(lesson, Path(output) / CHECKPOINT, origin, checkpoint_seconds)
    after = state_errors(student, teacher, measured, conf.rates, conf.teacher_band)
    for rate in before:
        say(f"hidden states at {rate} Hz: off the teacher's by {before[rate]:.2%} before, {after[rate]:.2%} after")
    report = {**description.report, "states_error": {"before": before, "after": after}}
    folder.write(output, replace(description, report=report), student.expert.state_dict())
    (Path(output) / CHECKPOINT).unlink(missing_ok=True)


def _check(conf: DistilConfig) -> None:
    for name, least in (("steps", 0), ("batch_size", 1)):
        if getattr(conf, name) < least:
            raise ConfigError(f"distil_conf: {name}: expected at least {least}, found {getattr(conf, name)}")
    if not conf.rates or not all(LOWEST_RATE <= rate <= HIGHEST_RATE for rate in conf.rates):
        raise ConfigError(f"distil_conf: rates: expected {LOWEST_RATE} to {HIGHEST_RATE} Hz, found {list(conf.rates)}")
    if not conf.seconds > 0:
        raise ConfigError(f"distil_conf: seconds: expected more than 0, found {conf.seconds:g}")


class _Lesson:
    """What the student is asked at each step, and what it costs to be wrong."""

    def __init__(
        self, student: Upstream, teacher: Upstream, directory: DataDirectory, conf: DistilConfig, allow_pipes: bool
    ) -> None:
        self.student, self.teacher, self.directory, self.conf = student, teacher, directory, conf
        self._allow_pipes = allow_pipes
        shortest = 2 * teacher.min_samples / teacher.sample_rate  # a cut may round to a sample less
        self.keys = [key for key, seconds in directory.seconds(allow_pipes).items() if seconds >= shortest]
        if not self.keys:
            raise DataError(f"{directory.path}: no clip is longer than {shortest:.3f} s")

    def loss(self, step: int) -> Tensor:
        """Return the error of the student on what is drawn for a step: the same whenever it is asked."""
        conf, draw = self.conf, np.random.default_rng([self.conf.seed, step])
        rate = int(draw.choice(conf.rates))
        clips = []
        for index in draw.integers(len(self.keys), size=conf.batch_size):
            samples, native = self.clip(self.keys[index])
            longest = round(conf.seconds * native)
            start = int(draw.integers(max(0, len(samples) - longest) + 1))
            clips.append((samples[start : start + longest], native))
        student, teacher = hear(self.student, self.teacher, clips, rate, conf.teacher_band)
        return squared_error(student, teacher)

    def clip(self, key: str) -> tuple[np.ndarray, int]:
        """Return a clip, float32 ``[samples]``, and its rate, Hz."""
        try:
            audio = read_audio(self.directory.wav[key], allow_pipes=self._allow_pipes)
        except AudioProblem as problem:
            raise DataError(f"{self.directory.path / WAV}: key '{key}': {problem}") from None
        return audio.samples, audio.native_rate


def hear(
    student: Upstream, teacher: Upstream, clips: Sequence[tuple[np.ndarray, int]], rate: int, teacher_band: str = "full"
) -> tuple[HiddenStates, HiddenStates]:
    """Return the hidden states of an SFI upstream at ``rate`` Hz and of its teacher at its own rate, for ``(samples, Hz)``."""
    heard = [as_audio(samples, native, rate).samples for samples, native in clips]
    if teacher_band == "rate" and rate < teacher.sample_rate:
        clips = [(samples, rate) for samples in heard]
    taught = [as_audio(samples, native, teacher.sample_rate).samples for samples, native in clips]
    device = next(student.parameters()).device
    with torch.no_grad():
        answers = teacher([torch.from_numpy(samples).to(device) for samples in taught])
    return student([torch.from_numpy(samples).to(device) for samples in heard], rates=[rate] * len(heard)), answers


def squared_error(student: HiddenStates, teacher: HiddenStates) -> Tensor:
    """Mean squared error over hidden states, frames of clips and dimensions; where lengths differ by a frame, the shorter."""
    lengths = torch.minimum(student.lengths, teacher.lengths)
    count = int(lengths.max())
    there = torch.arange(count, device=lengths.device) < lengths[:, None]
    errors = [
        (ours[:, :count] - theirs[:, :count])[there].square().mean()
        for ours, theirs in zip(student.states, teacher.states, strict=True)
    ]
    return torch.stack(errors).mean()


@torch.no_grad()
def state_errors(
    student: Upstream,
    teacher: Upstream,
    clips: Sequence[tuple[np.ndarray, int]],
    rates: Sequence[int],
    teacher_band: str = "full",
) -> dict[int, float]:
    """Return the relative error of the hidden states at each rate: mean squared error over their variance, square root.

    Args:
        student, teacher: an SFI upstream, and the one that it follows.
        clips: ``(samples, Hz)``.
        rates: Hz.
        teacher_band: as in :class:`~distilmos_plugin.config.DistilConfig`.
    """
    training = student.training
    student.eval()
    errors = {}
    for rate in rates:
        ours, theirs = hear(student, teacher, clips, rate, teacher_band)
        centred = HiddenStates(tuple(state.mean((0, 1)).expand_as(state) for state in theirs.states), theirs.lengths)
        errors[int(rate)] = round(math.sqrt(float(squared_error(ours, theirs) / squared_error(centred, theirs))), 5)
    student.train(training)
    return errors


def _train(lesson: _Lesson, path: Path, origin: str, checkpoint_seconds: float) -> None:
    """Take the steps that are left, with a checkpoint now and then."""
    conf, student = lesson.conf, lesson.student
    trained = [parameter for parameter in student.parameters() if parameter.requires_grad]
    optimiser = torch.optim.RAdam(trained, lr=conf.lr, weight_decay=conf.weight_decay, decoupled_weight_decay=True)
    done = _resume(path, origin, student, optimiser)
    saved, total = time.monotonic(), 0.0
    student.train()
    with Progress("distillation", conf.steps - done, "steps") as progress:
        for step in range(done, conf.steps):
            torch.manual_seed(int(np.random.SeedSequence([conf.seed, step]).generate_state(1)[0]))  # of dropout
            optimiser.param_groups[0]["lr"] = conf.lr * 0.5 * (1 + math.cos(math.pi * step / conf.steps))
            loss = lesson.loss(step)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += float(loss.detach())
            progress.advance(note=f"steps, mean squared error {total / (step + 1 - done):.5f}")
            if time.monotonic() - saved >= checkpoint_seconds:
                content = {"student": student.expert.state_dict(), "optimiser": optimiser.state_dict()}
                with atomic_write(path, "wb") as file:
                    torch.save({**content, "step": step + 1, "origin": origin}, file)
                saved = time.monotonic()
    student.eval()


def _resume(path: Path, origin: str, student: Upstream, optimiser: torch.optim.Optimizer) -> int:
    """Go back to a checkpoint of this very distillation; return the steps that it has behind it."""
    if not path.is_file():
        return 0
    try:
        content: Mapping[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if content["origin"] != origin:
            say(f"{path}: of another distillation; starting again")
            return 0
        student.expert.load_state_dict(content["student"])
        optimiser.load_state_dict(content["optimiser"])
        step = int(content["step"])
    except Exception as error:  # whatever a damaged file makes torch raise
        raise UpstreamError(f"{path}: unreadable checkpoint ({type(error).__name__}); remove it to start again") from error
    say(f"{path}: going on after step {step}")
    return step
