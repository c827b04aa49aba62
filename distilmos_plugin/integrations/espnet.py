"""Training by ESPnet's own trainer: the same configurations, data directories, experiment and release as with Fabric.

The task is :class:`~distilmos_plugin.integrations.espnet_task.MOSTask`. Written for espnet 202511; nothing of ESPnet is
imported before training starts.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import torch

from distilmos_plugin.config import Config
from distilmos_plugin.errors import TrainingError, require
from distilmos_plugin.training.preparation import Preparation


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
) -> Path:
    """Train as :func:`distilmos_plugin.training.fit.train` does, with ``espnet2.train.trainer.Trainer`` taking the steps.

    ``expdir/checkpoints`` is ESPnet's ``output_dir``: its ``config.yaml``, ``train.log``, ``checkpoint.pth``, models of the
    best epochs. It begins each epoch anew where it was cut off. Several processes are started by ``torchrun``.

    Args:
        config, train_dir, dev_dir, expdir, tokens_dir, allow_pipes: as there.
        ngpu: GPUs of this machine, one a process; None takes all there are, 0 trains on the CPU.
        nnodes: machines.

    Returns:
        The released model's directory.

    Raises:
        MissingExtra: without ESPnet.
        ConfigError, DataError, UpstreamError, TokenError, TrainingError: as there.
    """
    inputs = {"trainer": "espnet"}
    preparation = Preparation.read(config, train_dir, dev_dir, expdir, tokens_dir, allow_pipes=allow_pipes, inputs=inputs)
    if not preparation.trained_already():
        gpus = _gpus(ngpu, nnodes)
        with contextlib.redirect_stdout(io.StringIO()):  # standard output is for results; ESPnet greets there when imported
            require("espnet2.tasks.abs_task", "espnet")
        from distilmos_plugin.integrations.espnet_task import run

        with _own_logging():
            run(preparation.with_lengths(), gpu=gpus > 0)
    return preparation.experiment.model


def _gpus(ngpu: int | None, nnodes: int) -> int:
    """Return how many GPUs each machine trains on; refuse what only a launcher can start."""
    found = torch.cuda.device_count()
    gpus = found if ngpu is None else ngpu
    if gpus > found:
        raise TrainingError(f"{gpus} GPUs are wanted (--ngpu), found {found}; --ngpu 0 trains on the CPU")
    tasks = int(os.environ.get("SLURM_STEP_NUM_TASKS", "1"))
    if (gpus > 1 or nnodes > 1 or tasks > 1) and not torch.distributed.is_torchelastic_launched():
        nodes = f" --nnodes {nnodes} --rdzv-backend c10d --rdzv-endpoint HOST:PORT" if nnodes > 1 else ""
        raise TrainingError(
            f"{gpus} GPUs, {nnodes} machines, {tasks} Slurm tasks: ESPnet's trainer wants one process a GPU, started by "
            f"torchrun{nodes} --nproc_per_node {max(1, gpus)} $(command -v distilmos) train ...; or take one (--ngpu 1)"
        )
    return gpus


@contextlib.contextmanager
def _own_logging() -> Iterator[None]:
    """Give the root logger back as it was; with a handler there, ESPnet does not set one up for the terminal."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    root.addHandler(logging.NullHandler())
    logging.captureWarnings(True)  # into the log too: ESPnet 202511 calls what torch 2 has deprecated
    try:
        yield
    finally:
        logging.captureWarnings(False)
        for handler in [handler for handler in root.handlers if handler not in handlers]:
            root.removeHandler(handler)
            handler.close()
        root.setLevel(level)
