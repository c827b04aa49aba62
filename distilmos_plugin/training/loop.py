"""The training loop: batches, optimiser steps, epochs; what a checkpoint restores is all that it goes on from."""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch

from distilmos_plugin.config import Config
from distilmos_plugin.data.batches import LengthBatches
from distilmos_plugin.data.dataset import Batch, Item, TrainingClips, collate
from distilmos_plugin.errors import DistilmosError, TrainingError, some
from distilmos_plugin.models import MOSModel
from distilmos_plugin.progress import Progress
from distilmos_plugin.training.checkpoints import Checkpoints, State
from distilmos_plugin.training.module import TrainingModule, seed_batch, to_device
from distilmos_plugin.training.optimisation import rate_factor, set_rates
from distilmos_plugin.training.ranking import Criterion, best_epochs, epochs_without_gain

if TYPE_CHECKING:
    from lightning.fabric import Fabric


class EpochBatches:
    """The batches of any epoch, from any batch on, read by ``num_workers`` processes."""

    def __init__(self, clips: TrainingClips, sampler: LengthBatches, num_workers: int) -> None:
        self.clips, self.sampler, self.num_workers = clips, sampler, num_workers

    def __len__(self) -> int:
        return len(self.sampler)

    def epoch(self, number: int, done: int) -> Iterator[Batch]:
        """Yield the batches of epoch ``number``, from 0, without the first ``done``."""
        self.clips.set_epoch(number)
        self.sampler.set_epoch(number)
        loader = torch.utils.data.DataLoader(
            _Carried(self.clips),
            batch_sampler=list(self.sampler)[done:],
            collate_fn=_collate,
            num_workers=self.num_workers,
        )
        for batch in loader:
            if isinstance(batch, DistilmosError):
                raise batch
            yield batch


class _Carried(torch.utils.data.Dataset):
    """Gives the user's errors as items: raised in a loading process they would arrive as a traceback."""

    def __init__(self, clips: TrainingClips) -> None:
        self.clips = clips

    def __getitem__(self, index: int) -> Item | DistilmosError:
        try:
            return self.clips[index]
        except DistilmosError as error:
            return error


def _collate(items: list[Item | DistilmosError]) -> Batch | DistilmosError:
    return next((item for item in items if isinstance(item, DistilmosError)), None) or collate(items)


class Loop:
    """Trains until ``max_epoch``, or until ``patience`` epochs have brought nothing better.

    Args:
        fabric: launched; gives devices, precision and the exchange between processes.
        config: the experiment's.
        module: as set up by fabric.
        optimiser: as set up by fabric.
        batches: of this process.
        validate: model -> figures by name, the same in every process.
        criterion: what ranks epochs.
        checkpoints: of the experiment; only the first process writes.
        state: where to start.
        on_epoch: called by the first process with the history after each epoch.
    """

    def __init__(
        self,
        fabric: Fabric,
        config: Config,
        module: TrainingModule,
        optimiser: torch.optim.Optimizer,
        batches: EpochBatches,
        validate: Callable[[MOSModel], dict[str, float | None]],
        criterion: Criterion,
        checkpoints: Checkpoints,
        state: State,
        on_epoch: Callable[[list[dict[str, Any]], list[int]], None],
    ) -> None:
        self.fabric, self.config, self.module, self.optimiser = fabric, config, module, optimiser
        self.batches, self.validate, self.criterion = batches, validate, criterion
        self.checkpoints, self.state, self.on_epoch = checkpoints, state, on_epoch
        self.groups_per_epoch = -(-len(batches) // config.accum_grad)
        state.total_steps = state.total_steps or config.max_epoch * self.groups_per_epoch
        self.trained = [parameter for group in optimiser.param_groups for parameter in group["params"]]

    def run(self) -> list[int]:
        """Train; return the numbers of the best epochs, best first."""
        config, state = self.config, self.state
        steps = state.total_steps - state.step
        with Progress("training", steps, "steps") if self.fabric.is_global_zero else contextlib.nullcontext() as progress:
            while state.epoch < config.max_epoch and not self._out_of_patience():
                started = time.monotonic()
                self._train_epoch(progress)
                train = self._train_figures()
                valid = self.validate(self.module.model)
                self._finish_epoch(train, valid, time.monotonic() - started)
        return best_epochs(state.history, self.criterion, config.keep_nbest_models)

    def _out_of_patience(self) -> bool:
        patience = self.config.patience
        return patience is not None and epochs_without_gain(self.state.history, self.criterion) >= patience

    def _train_epoch(self, progress: Progress | None) -> None:
        state = self.state
        self.module.train()
        batches = self.batches.epoch(state.epoch, state.batch)
        while group := list(itertools.islice(batches, self.config.accum_grad)):
            self._step(group)
            if progress is not None:
                loss = state.sums["loss"] / state.sums["clips"]
                progress.advance(note=f"steps, epoch {state.epoch + 1}, loss {loss:.3f}")
            if state.batch < len(self.batches) and self._same_everywhere(self.checkpoints.due()):
                self._share_sums()
                if self.fabric.is_global_zero:
                    self.checkpoints.save(state)

    def _step(self, group: list[Batch]) -> None:
        """Take one optimiser step on the mean loss of the batches of ``group``."""
        config, fabric, state = self.config, self.fabric, self.state
        set_rates(self.optimiser, rate_factor(config, state.step, state.total_steps))
        results = []
        for number, batch in enumerate(group):
            seed_batch(config.seed, state.epoch, state.batch + number, fabric.global_rank)
            with fabric.no_backward_sync(self.module, enabled=number + 1 < len(group)):
                loss, stats, weight = self.module(to_device(batch, fabric.device))
                fabric.backward(loss / len(group))
            results.append(torch.stack([weight, *(value.float() for value in stats.values())]))
        norm = torch.nn.utils.clip_grad_norm_(self.trained, config.grad_clip or math.inf)
        # One transfer from the device for all figures of the step.
        *figures, norm = torch.cat([*results, norm[None]]).tolist()
        names = ("clips", *stats)
        rows = [dict(zip(names, figures[i : i + len(names)], strict=True)) for i in range(0, len(figures), len(names))]
        self._check_finite(group, rows, norm)
        self.optimiser.step()
        self.optimiser.zero_grad()
        for row in rows:
            clips = row.pop("clips")
            state.sums["clips"] = state.sums.get("clips", 0.0) + clips
            for name, value in row.items():
                state.sums[name] = state.sums.get(name, 0.0) + clips * value
        state.step += 1
        state.batch += len(group)

    def _check_finite(self, group: list[Batch], rows: list[dict[str, float]], norm: float) -> None:
        if math.isfinite(norm) and all(math.isfinite(row["loss"]) for row in rows):
            return
        where = f"epoch {self.state.epoch + 1}, step {self.state.step + 1}"
        for batch, row in zip(group, rows, strict=True):
            if not math.isfinite(row["loss"]):
                parts = ", ".join(f"{name} {value:g}" for name, value in row.items())
                raise TrainingError(f"{where}: the loss is not finite ({parts}) on the clips {some(batch.keys, 64)}")
        keys = some([key for batch in group for key in batch.keys], 64)
        raise TrainingError(
            f"{where}: the gradient is not finite on the clips {keys} (or on those of another process); "
            "a lower learning rate or use_amp: false may help"
        )

    def _same_everywhere(self, decision: bool) -> bool:
        """Return the first process's decision."""
        return self.fabric.broadcast(decision) if self.fabric.world_size > 1 else decision

    def _share_sums(self) -> None:
        """Add the sums of all processes, and leave them with the first alone."""
        sums, fabric = self.state.sums, self.fabric
        if fabric.world_size > 1:
            values = torch.tensor([sums[name] for name in sorted(sums)], dtype=torch.float64, device=fabric.device)
            total = fabric.all_reduce(values, reduce_op="sum").tolist()
            self.state.sums = dict(zip(sorted(sums), total if fabric.is_global_zero else [0.0] * len(sums), strict=True))

    def _train_figures(self) -> dict[str, float]:
        """Return the epoch's training figures, averaged over clips."""
        self._share_sums()
        sums = self.fabric.broadcast(self.state.sums) if self.fabric.world_size > 1 else self.state.sums
        return {name: value / sums["clips"] for name, value in sums.items() if name != "clips"}

    def _finish_epoch(self, train: dict[str, float], valid: dict[str, float | None], seconds: float) -> None:
        state, count = self.state, self.config.keep_nbest_models
        rates = {group["name"]: group["lr"] for group in self.optimiser.param_groups}
        before = best_epochs(state.history, self.criterion, count)
        state.epoch, state.batch, state.sums = state.epoch + 1, 0, {}
        entry = {"epoch": state.epoch, "step": state.step, "seconds": round(seconds, 1), "lr": rates}
        state.history.append({**entry, "train": train, "valid": valid})
        best = best_epochs(state.history, self.criterion, count)
        if self.fabric.is_global_zero:
            if state.epoch in best:
                self.checkpoints.save_epoch(state.epoch)
            self.checkpoints.save(state)
            self.checkpoints.keep_epochs({*best, *before})  # the checkpoint before this one still counts on its own
            self.on_epoch(state.history, best)
