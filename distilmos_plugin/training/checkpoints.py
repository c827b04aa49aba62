"""Checkpoints that survive a kill at any moment, and the state that training goes on from.

``checkpoints/state-<epochs done>-<batches done>.pt`` hold all that training needs; the two newest are kept, each written
beside its final name and then renamed, so that what has that name is whole. ``checkpoints/epoch-<number>.pt`` hold the
weights after the best epochs.
No random state is stored, because none outlives a batch: every batch seeds its own from seed, epoch, batch and rank.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from distilmos_plugin.errors import TrainingError, some
from distilmos_plugin.files import atomic_write
from distilmos_plugin.progress import say

KEPT_STATES = 2


@dataclass
class State:
    """Where training is.

    Attributes:
        epoch: epochs done.
        batch: batches done of the epoch after those.
        step: optimiser steps done.
        total_steps: that the learning-rate schedule counts on.
        sums: of each training figure over the clips of the running epoch; ``clips`` is their number.
        history: one entry an epoch: ``epoch``, ``step``, ``seconds``, ``lr``, ``train`` and ``valid`` figures. The n-best
            list and the patience follow from it.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    total_steps: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)


def trained_state(model: nn.Module) -> dict[str, Tensor]:
    """Return the tensors that training can change, trained parameters and buffers; frozen weights are where they came from."""
    trained = {name: value.detach() for name, value in model.named_parameters() if value.requires_grad}
    return trained | dict(model.named_buffers())


def load_trained_state(model: nn.Module, state: dict[str, Tensor]) -> None:
    """Put back what :func:`trained_state` gave.

    Raises:
        TrainingError: if the model is another one.
    """
    expected = trained_state(model)
    if expected.keys() != state.keys():
        raise TrainingError(f"the checkpoint is of another model: {some(expected.keys() ^ state.keys())} differ")
    model.load_state_dict(state, strict=False)


class Checkpoints:
    """The ``checkpoints`` folder of an experiment.

    Args:
        directory: the folder.
        model: whose trained parameters and buffers are kept.
        optimiser: whose state is kept.
        upstream: digest of the upstream that training began with; its frozen weights are not in the checkpoints.
        interval: seconds after which a checkpoint within an epoch is due.
    """

    def __init__(
        self, directory: Path, model: nn.Module, optimiser: torch.optim.Optimizer, upstream: str, interval: float
    ) -> None:
        self.directory, self.model, self.optimiser = directory, model, optimiser
        self.upstream, self.interval = upstream, interval
        self.saved_at = time.monotonic()

    def due(self) -> bool:
        """Tell whether the last checkpoint is ``interval`` seconds old."""
        return time.monotonic() - self.saved_at >= self.interval

    def save(self, state: State) -> None:
        """Write a full checkpoint, then remove the oldest beyond two."""
        content = {"model": trained_state(self.model), "optimiser": self.optimiser.state_dict(), "state": vars(state)}
        save(content | {"upstream": self.upstream}, self.directory / f"state-{state.epoch:04d}-{state.batch:07d}.pt")
        self.saved_at = time.monotonic()
        for old in self._states()[KEPT_STATES:]:
            old.unlink()

    def resume(self) -> State | None:
        """Go back to the newest readable checkpoint; None if there is none.

        Raises:
            TrainingError: if there are checkpoints and none can be read, or they are of another model.
        """
        paths = self._states()
        for path in paths:
            try:
                content = torch.load(path, map_location="cpu", weights_only=True)
                model, optimiser, state = content["model"], content["optimiser"], State(**content["state"])
                upstream = content["upstream"]
            except Exception as error:  # whatever a damaged file makes torch raise
                say(f"{path}: unreadable checkpoint ({type(error).__name__}); going back to the one before")
                continue
            if upstream != self.upstream:
                raise TrainingError(
                    f"{path}: began with the upstream {upstream}, which is {self.upstream} now; "
                    "bring the old one back, or remove the directory"
                )
            load_trained_state(self.model, model)
            self.optimiser.load_state_dict(optimiser)
            return state
        if paths:
            raise TrainingError(
                f"{self.directory}: none of the checkpoints can be read; remove the folder to train from the start"
            )
        return None

    def _states(self) -> list[Path]:
        """Checkpoints, newest first."""
        return sorted(self.directory.glob("state-*.pt"), reverse=True)

    def save_epoch(self, epoch: int) -> None:
        """Keep the weights after this epoch."""
        save(trained_state(self.model), self._epoch(epoch))

    def keep_epochs(self, epochs: Iterable[int]) -> None:
        """Remove the weights of all other epochs."""
        kept = {self._epoch(epoch) for epoch in epochs}
        for path in self.directory.glob("epoch-*.pt"):
            if path not in kept:
                path.unlink()

    def load_average(self, epochs: list[int]) -> None:
        """Set the model to the mean of the weights after these epochs; whole numbers are those of the first."""
        load_trained_state(self.model, average(self._epoch(epoch) for epoch in epochs))

    def _epoch(self, epoch: int) -> Path:
        return self.directory / f"epoch-{epoch:04d}.pt"

    def clear_leftovers(self) -> None:
        """Remove what a killed run left half-written."""
        for path in self.directory.glob(".*.tmp"):
            path.unlink()


def average(paths: Iterable[Path]) -> dict[str, Tensor]:
    """Return the mean of the weights in these files; whole numbers are those of the first."""
    states = [torch.load(path, map_location="cpu", weights_only=True) for path in paths]
    return {
        name: torch.stack([state[name] for state in states]).mean(dim=0) if value.is_floating_point() else value
        for name, value in states[0].items()
    }


def save(content: Any, path: Path) -> None:
    """Write what ``torch.save`` can hold, whole or not at all."""
    with atomic_write(path, "wb") as file:
        torch.save(content, file)
