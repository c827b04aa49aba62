"""Train a system: from a configuration and data directories to a released model."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from distilmos_plugin.config import Config
from distilmos_plugin.errors import TrainingError, require
from distilmos_plugin.progress import say
from distilmos_plugin.training.checkpoints import Checkpoints, State
from distilmos_plugin.training.experiment import CHECKPOINTS
from distilmos_plugin.training.loop import Loop
from distilmos_plugin.training.module import TrainingModule
from distilmos_plugin.training.optimisation import make_optimiser
from distilmos_plugin.training.preparation import Preparation
from distilmos_plugin.training.reports import Curves, epoch_line, summary
from distilmos_plugin.training.validation import Validation

if TYPE_CHECKING:
    from lightning.fabric import Fabric

CHECKPOINT_SECONDS = 600.0  # between two checkpoints within an epoch


def train(
    config: Config,
    train_dir: str | Path,
    dev_dir: str | Path,
    expdir: str | Path,
    tokens_dir: str | Path | None = None,
    *,
    ngpu: int | None = None,
    nnodes: int = 1,
    allow_pipes: bool = False,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    states_dir: Path | None = None,
) -> Path:
    """Train, or go on with training that was cut off, and release the mean of the best epochs' models.

    With ``fold_conf: folds`` this is :func:`~.folds.train_folds`, which has no use for ``tokens_dir`` and ``states_dir``.

    A finished experiment is left alone. Under ``torchrun`` or Slurm every process calls this; otherwise it starts the others
    itself.

    Args:
        config: the experiment.
        train_dir, dev_dir: data directories with the labels of all targets.
        expdir: gets ``config.yaml``, ``history.jsonl``, ``tensorboard/``, ``checkpoints/`` and ``model/``.
        tokens_dir: what ``distilmos tokens extract`` wrote; needed with ``loss_conf: token_weight`` above 0.
        ngpu: GPUs on each node; None takes all there are, 0 trains on the CPU.
        nnodes: machines.
        allow_pipes: run ``command |`` entries of ``wav.scp``.
        checkpoint_seconds: between two checkpoints within an epoch.
        states_dir: for the states of a frozen upstream (``upstream_conf: cache_gb``), which runs may share; None keeps them in
            the experiment's directory until it is finished.

    Returns:
        The released model's directory.

    Raises:
        ConfigError, DataError, UpstreamError, TokenError: before training starts.
        TrainingError: if the directory belongs to another experiment, or the loss is not finite.
    """
    if config.fold_conf.folds:
        from distilmos_plugin.training.folds import train_folds

        return train_folds(config, train_dir, dev_dir, expdir, ngpu=ngpu, nnodes=nnodes, allow_pipes=allow_pipes)
    preparation = Preparation.read(
        config, train_dir, dev_dir, expdir, tokens_dir, allow_pipes=allow_pipes, states_dir=states_dir
    )
    if not preparation.trained_already():
        fabric = _launch(ngpu, nnodes)
        _train(preparation.with_lengths(), fabric, checkpoint_seconds)
    return preparation.experiment.model


def _launch(ngpu: int | None, nnodes: int) -> Fabric:
    """Start Lightning Fabric with its processes, or take those that ``torchrun`` has started."""
    found = torch.cuda.device_count()
    gpus = found if ngpu is None else ngpu
    if gpus > found:
        raise TrainingError(f"{gpus} GPUs are wanted (--ngpu), found {found}; --ngpu 0 trains on the CPU")
    fabric = require("lightning.fabric", "train")
    for part in ("fabric", "pytorch"):  # their notes on each process that starts
        logging.getLogger(f"lightning.{part}").setLevel(logging.WARNING)
    devices = gpus or 1
    if torch.distributed.is_torchelastic_launched():
        devices = int(os.environ["LOCAL_WORLD_SIZE"])
        nnodes = int(os.environ["WORLD_SIZE"]) // devices
    launched = fabric.Fabric(
        accelerator="cuda" if gpus else "cpu",
        devices=devices,
        num_nodes=nnodes,
        strategy="ddp" if devices * nnodes > 1 else "auto",
    )
    launched.launch()
    return launched


def _train(preparation: Preparation, fabric: Fabric, checkpoint_seconds: float) -> None:
    """Train in one process of those that there are."""
    experiment, config, criterion = preparation.experiment, preparation.config, preparation.criterion
    model, frozen = preparation.model(fabric)
    batches = preparation.batches(model, fabric)
    validation = Validation(preparation.sets["dev"], config, fabric, preparation.allow_pipes)
    module = fabric.setup_module(TrainingModule(model, frozen, config.use_amp))
    optimiser = make_optimiser(model, config)
    if fabric.is_global_zero:
        experiment.write_config()
        say(summary(model, preparation.sets))
    folder = experiment.directory / CHECKPOINTS
    checkpoints = Checkpoints(folder, model, optimiser, model.upstream.digest, checkpoint_seconds)
    state = _resume(checkpoints, fabric)
    curves = Curves(experiment.directory / "tensorboard", state.epoch) if fabric.is_global_zero else None

    def on_epoch(history: list[dict[str, Any]], best: list[int]) -> None:
        experiment.write_history(history)
        curves.write(history[-1])
        say(epoch_line(history, best, config.max_epoch, criterion))

    best = Loop(fabric, config, module, optimiser, batches, validation, criterion, checkpoints, state, on_epoch).run()
    if fabric.is_global_zero:
        curves.close()
        checkpoints.load_average(best)
        preparation.release(model, best, state.history)
        experiment.finish()
        preparation.clear_states()
    fabric.barrier()


def _resume(checkpoints: Checkpoints, fabric: Fabric) -> State:
    """Go back to the newest checkpoint in every process."""
    first = fabric.is_global_zero
    if first:
        checkpoints.clear_leftovers()
    state = checkpoints.resume() or State()
    if not first:
        state.sums = dict.fromkeys(state.sums, 0.0)  # the first process holds those of all
    elif state.step:
        say(f"{checkpoints.directory}: going on after step {state.step}, epoch {state.epoch} and {state.batch} batches")
    fabric.barrier()
    return state
