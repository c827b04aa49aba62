"""ESPnet's trainer with our learning rates and dev figures, and with checkpoints that survive a kill. Imports ESPnet."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import itertools
import logging
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import yaml
from espnet2.schedulers.abs_scheduler import AbsBatchStepScheduler
from espnet2.train.reporter import Reporter, SubReporter, WeightedAverage, aggregate
from espnet2.train.trainer import Trainer, TrainerOptions
from numpy._core.multiarray import scalar

from distilmos_plugin.config import Config
from distilmos_plugin.errors import TrainingError, some
from distilmos_plugin.integrations.espnet_model import ESPnetMOS, SealedBatch, load_strictly
from distilmos_plugin.progress import Progress, say
from distilmos_plugin.training.checkpoints import average, save
from distilmos_plugin.training.experiment import CHECKPOINTS
from distilmos_plugin.training.optimisation import rate_factor, set_rates
from distilmos_plugin.training.preparation import Preparation
from distilmos_plugin.training.ranking import best_epochs, epochs_without_gain, standing
from distilmos_plugin.training.reports import epoch_line, summary
from distilmos_plugin.training.validation import Validation

if TYPE_CHECKING:
    from lightning.fabric import Fabric

MERIT = "merit"  # the number that ESPnet ranks epochs by: all of best_model_criterion in one
CONFIG, STATE, STATE_BEFORE = "config.yaml", "checkpoint.pth", "checkpoint.before.pth"
LOG, LOG_FORMAT = "train.log", "%(asctime)s (%(module)s:%(lineno)d) %(levelname)s: %(message)s"
BESIDES_TENSORS = [datetime.timedelta, np.dtype, np.dtypes.Float64DType, scalar]  # in ESPnet's checkpoint: the reporter's

Batches = Iterable[tuple[list[str], dict[str, SealedBatch]]]


class Schedule(AbsBatchStepScheduler):
    """Learning rates of :func:`rate_factor`, set for the first step and after each for the next.

    Attributes:
        steps: optimiser steps done.
        rates: of the last step, by the optimiser's group.
    """

    def __init__(self, optimiser: torch.optim.Optimizer, config: Config, total_steps: int) -> None:
        self.optimiser, self.config, self.total_steps = optimiser, config, total_steps
        self.steps, self.rates = 0, {}
        self._set()

    def _set(self) -> None:
        set_rates(self.optimiser, rate_factor(self.config, self.steps, self.total_steps))

    def step(self, epoch: int | None = None) -> None:
        self.rates = {group["name"]: group["lr"] for group in self.optimiser.param_groups}
        self.steps += 1
        self._set()

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps, "total_steps": self.total_steps, "rates": self.rates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.steps, self.total_steps, self.rates = state["steps"], state["total_steps"], state["rates"]
        self._set()


class Course:
    """How far a run is, in one of its processes.

    Args:
        preparation: what it is made from.
        processes: that share it.

    Attributes:
        folder: ESPnet's ``output_dir``.
        epochs_done: before this run, as the first process knows.
        history: one entry an epoch, as with Fabric.
    """

    def __init__(self, preparation: Preparation, processes: Fabric) -> None:
        self.preparation, self.processes, self.config = preparation, processes, preparation.config
        self.folder = preparation.experiment.directory / CHECKPOINTS
        self.epochs_done = mend(self.folder) if processes.is_global_zero else 0
        self.history = preparation.experiment.read_history()
        self.train_figures: dict[str, float] = {}

    def build(self, upstream_digest: str | None) -> ESPnetMOS:
        """Build model, batches and validation; nothing is written.

        Raises:
            TrainingError: if training began with another upstream.
        """
        preparation, processes = self.preparation, self.processes
        model, frozen = preparation.model(processes)
        found = model.upstream.digest
        if upstream_digest not in (None, found):
            raise TrainingError(
                f"{self.folder}: began with the upstream {upstream_digest}, which is {found} now; "
                "bring the old one back, or remove the directory"
            )
        self.model, self.module = model, ESPnetMOS(model, frozen, self.config)
        self.batches = preparation.batches(model, processes)
        self.validation = Validation(preparation.sets["dev"], self.config, processes, preparation.allow_pipes)
        return self.module

    def upstream_digest(self) -> str | None:
        """Return the digest of the upstream that the run began with; None if it has not begun."""
        if not (self.folder / STATE).is_file():
            return None
        return yaml.safe_load((self.folder / CONFIG).read_text(encoding="utf-8"))["upstream_digest"]

    def begin(self) -> None:
        """Write the experiment's configuration, show what is trained, and take ESPnet's log into a file."""
        if not self.processes.is_global_zero:
            return
        self.preparation.experiment.write_config()
        say(summary(self.model, self.preparation.sets))
        self.folder.mkdir(exist_ok=True)
        handler = logging.FileHandler(self.folder / LOG, encoding="utf-8")
        handler.setFormatter(logging.Formatter(LOG_FORMAT))
        logging.getLogger().addHandler(handler)
        logging.getLogger().setLevel(logging.INFO)

    def steps_per_epoch(self) -> int:
        """Return the number of optimiser steps; the last may be on fewer than ``accum_grad`` batches."""
        return -(-len(self.batches) // self.config.accum_grad)

    def out_of_patience(self) -> bool:
        """Tell whether a run that was cut off had no epoch left to train."""
        patience, begun = self.config.patience, (self.folder / STATE).is_file()
        return begun and patience is not None and epochs_without_gain(self.history, self.preparation.criterion) >= patience

    def begin_epoch(self, epoch: int) -> None:
        """Forget what a killed run recorded of this epoch and later ones, but has no checkpoint of."""
        self.started = time.monotonic()
        del self.history[epoch - 1 :]
        if len(self.history) < epoch - 1:
            raise TrainingError(f"{self.preparation.experiment.directory}: the history lacks epochs; remove the directory")

    def finish_epoch(self, epoch: int, schedule: Schedule) -> dict[str, float]:
        """Score the dev set, record the epoch; return the figures for ESPnet, with ``merit``."""
        valid, criterion = self.validation(self.model), self.preparation.criterion
        seconds = round(time.monotonic() - self.started, 1)
        entry = {"epoch": epoch, "step": schedule.steps, "seconds": seconds, "lr": schedule.rates}
        self.history.append({**entry, "train": self.train_figures, "valid": valid})
        if self.processes.is_global_zero:
            self.preparation.experiment.write_history(self.history)
            best = best_epochs(self.history, criterion, self.config.keep_nbest_models)
            say(epoch_line(self.history, best, self.config.max_epoch, criterion))
        figures = {name: value for name, value in valid.items() if value is not None}
        return figures | {MERIT: standing(self.history, criterion)[-1]}

    def release(self) -> None:
        """Write the released model: the mean of the best epochs' weights."""
        best = best_epochs(self.history, self.preparation.criterion, self.config.keep_nbest_models)
        state = average(self.folder / f"{epoch}epoch.pth" for epoch in best)
        load_strictly(self.module, state, str(self.folder))
        self.preparation.release(self.model, best, self.history)
        self.preparation.experiment.finish()
        self.preparation.clear_states()


class MOSTrainer(Trainer):
    """ESPnet's trainer; its loops over epochs and batches are ESPnet's own. Bound to a run by the attribute ``course``."""

    course: Course

    @classmethod
    def run(cls, *, optimizers: list[torch.optim.Optimizer], trainer_options: TrainerOptions, **given: Any) -> None:
        course, config = cls.course, cls.course.config
        steps = course.steps_per_epoch()
        cls.schedule = Schedule(optimizers[0], config, config.max_epoch * steps)
        if course.out_of_patience():
            trainer_options = dataclasses.replace(trainer_options, max_epoch=len(course.history))
        given["schedulers"] = [cls.schedule]
        left = (trainer_options.max_epoch - course.epochs_done) * steps
        with Progress("training", left, "steps") if course.processes.is_global_zero else contextlib.nullcontext() as progress:
            cls.progress = progress
            super().run(optimizers=optimizers, trainer_options=trainer_options, **given)

    @staticmethod
    def resume(
        checkpoint: Path,
        model: ESPnetMOS,
        reporter: Reporter,
        optimizers: list[torch.optim.Optimizer],
        schedulers: list[Schedule],
        scaler: None,
        ngpu: int = 0,
        strict: bool = True,
    ) -> None:
        """As ESPnet's, without running code from the file."""
        states = load_states(checkpoint)
        load_strictly(model, states["model"], str(checkpoint))
        reporter.load_state_dict(states["reporter"])
        for part, state in zip([*optimizers, *schedulers], [*states["optimizers"], *states["schedulers"]], strict=True):
            part.load_state_dict(state)
        logging.info(f"The training was resumed using {checkpoint}")

    @classmethod
    def train_one_epoch(cls, *, iterator: Batches, reporter: SubReporter, options: TrainerOptions, **given: Any) -> bool:
        """As ESPnet's, which would carry the gradient of an incomplete last group of ``accum_grad`` batches into the next
        epoch: that group is a call of its own, and so a step.
        """
        course, epoch = cls.course, reporter.get_epoch()
        course.begin_epoch(epoch)
        given["reporter"] = reporter
        group, batches = options.accum_grad, len(course.batches)
        rest = batches % group
        watched = cls._watched(iterator, group, epoch)
        invalid = True
        if batches > rest:
            whole = itertools.islice(watched, batches - rest) if rest else watched
            invalid = super().train_one_epoch(iterator=whole, options=options, **given)
        if rest:
            last = dataclasses.replace(options, accum_grad=rest)
            invalid = super().train_one_epoch(iterator=watched, options=last, **given) and invalid
        # What the model reported comes with the number of clips; times, gradient norm and rates, ESPnet's own, do not.
        course.train_figures = {
            name: float(aggregate(values)) for name, values in reporter.stats.items() if isinstance(values[0], WeightedAverage)
        }
        return invalid

    @classmethod
    def validate_one_epoch(cls, *, reporter: SubReporter, **_: Any) -> None:
        """Score the dev set by the one scoring path: figures of the whole set, where ESPnet's are means over batches."""
        course = cls.course
        reporter.register(course.finish_epoch(reporter.get_epoch(), cls.schedule))
        reporter.next()
        if course.processes.is_global_zero and (course.folder / STATE).is_file():
            # ESPnet is about to write the next one in place.
            os.replace(course.folder / STATE, course.folder / STATE_BEFORE)

    @classmethod
    def _watched(cls, batches: Batches, group: int, epoch: int) -> Iterator[Any]:
        """Yield an epoch's batches and advance the progress; stop where ESPnet has left out a step.

        It does so, with a warning in its log, where the gradient is not finite.

        Raises:
            TrainingError: with the keys of the step's batches.
        """
        before, steps = cls.schedule.steps, 0
        keys: list[str] = []

        def check() -> None:
            if cls.schedule.steps != before + steps:
                raise TrainingError(
                    f"epoch {epoch}, step {before + steps}: the gradient is not finite on the clips {some(keys, 64)} "
                    "(or on those of another process); a lower learning rate or use_amp: false may help"
                )
            if cls.progress is not None and steps:
                cls.progress.advance(note=f"steps, epoch {epoch}")

        for number, batch in enumerate(batches):
            if number % group == 0:
                check()
                keys, steps = [], steps + 1
            keys += batch[0]
            yield batch
        check()


def load_states(path: Path) -> dict[str, Any]:
    """Read ESPnet's checkpoint without running code from it."""
    with torch.serialization.safe_globals(BESIDES_TENSORS):
        return torch.load(path, map_location="cpu", weights_only=True)


def mend(folder: Path) -> int:
    """Make the checkpoint whole that ESPnet goes on from: it writes in place, and a kill leaves half a file.

    Returns:
        The epochs done.

    Raises:
        TrainingError: if there are checkpoints and none can be read.
    """
    found = [path for path in (folder / STATE, folder / STATE_BEFORE) if path.is_file()]
    for path in found:
        try:
            states = load_states(path)
            epoch, model = states["reporter"]["epoch"], states["model"]
        except Exception as error:  # whatever a damaged file makes torch raise
            say(f"{path}: unreadable checkpoint ({type(error).__name__}); going back to the one before")
            continue
        save(model, folder / f"{epoch}epoch.pth")  # written after the checkpoint, and perhaps cut off
        if path.name == STATE_BEFORE:
            os.replace(path, folder / STATE)
        say(f"{folder}: going on after epoch {epoch}")
        return epoch
    if found:
        raise TrainingError(f"{folder}: none of the checkpoints can be read; remove the folder to train from the start")
    return 0
