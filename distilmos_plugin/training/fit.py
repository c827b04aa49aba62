"""Train a system: from a configuration and data directories to a released model."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from distilmos_plugin.audio import probe
from distilmos_plugin.config import Config
from distilmos_plugin.data.batches import LengthBatches
from distilmos_plugin.data.dataset import TrainingClips, listener_numbers
from distilmos_plugin.data.directory import DataDirectory
from distilmos_plugin.errors import ConfigError, TrainingError, require
from distilmos_plugin.models import MOSModel, build_model, check_system, last_layer_read
from distilmos_plugin.progress import say, track
from distilmos_plugin.scoring.release import write_release
from distilmos_plugin.training.card import describe_training
from distilmos_plugin.training.checkpoints import Checkpoints, State
from distilmos_plugin.training.experiment import CHECKPOINTS, Experiment, data_fingerprint
from distilmos_plugin.training.loop import EpochBatches, Loop
from distilmos_plugin.training.module import TrainingModule
from distilmos_plugin.training.optimisation import freeze, initialise, make_optimiser
from distilmos_plugin.training.ranking import Criterion, check_criterion
from distilmos_plugin.training.reports import Curves, epoch_line, summary
from distilmos_plugin.training.token_targets import TokenTargets
from distilmos_plugin.training.validation import Validation, valid_metrics, without_systems
from distilmos_plugin.upstreams.upstream import load_upstream

if TYPE_CHECKING:
    from lightning.fabric import Fabric

CHECKPOINT_SECONDS = 600.0  # between two checkpoints within an epoch
AT_LEAST_ONE = ("max_epoch", "batch_size", "accum_grad", "keep_nbest_models", "patience")


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
) -> Path:
    """Train, or go on with training that was cut off, and release the mean of the best epochs' models.

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

    Returns:
        The released model's directory.

    Raises:
        ConfigError, DataError, UpstreamError, TokenError: before training starts.
        TrainingError: if the directory belongs to another experiment, or the loss is not finite.
    """
    config = _resolve(config)
    sets = {"train": DataDirectory.read(train_dir, allow_pipes), "dev": DataDirectory.read(dev_dir, allow_pipes)}
    criterion = _criterion(config, sets["dev"])
    inputs = {name: data_fingerprint(directory) for name, directory in sets.items()}
    tokens = TokenTargets.read(config, tokens_dir)
    if tokens is not None:
        inputs["tokens"] = tokens.digest
    experiment = Experiment(Path(expdir), config, inputs)
    if experiment.finished():
        say(f"{experiment.directory}: trained already; remove the directory to train again")
        return experiment.model
    experiment.check()
    fabric = _launch(ngpu, nnodes, config.use_amp)
    sets = {name: _with_lengths(directory, allow_pipes) for name, directory in sets.items()}
    run = _Run(fabric, experiment, sets, tokens, criterion, allow_pipes, checkpoint_seconds)
    run.train()
    return experiment.model


def _resolve(config: Config) -> Config:
    """Check the configuration and fill in what follows from it."""
    check_system(config)
    for name in AT_LEAST_ONE:
        value = getattr(config, name)
        if value is not None and value < 1:
            raise ConfigError(f"{name}: expected at least 1, found {value}")
    for name, least in (("batch_seconds", "more than 0"), ("grad_clip", "0 (no clipping) or more")):
        value = getattr(config, name)
        if value < 0 or (value == 0 and name == "batch_seconds"):
            raise ConfigError(f"{name}: expected {least}, found {value:g}")
    if config.upstream_conf.num_layers is None:
        config = replace(config, upstream_conf=replace(config.upstream_conf, num_layers=last_layer_read(config)))
    return config


def _criterion(config: Config, dev: DataDirectory) -> Criterion:
    """Return what ranks epochs, by figures that the dev set can give."""
    criterion = config.best_model_criterion
    phases = {"valid": valid_metrics(config.targets, systems=True), "train": ("loss",)}
    check_criterion(criterion, phases)
    if dev.systems is None and (fallen := without_systems(criterion)) != criterion:
        say(f"{dev.path}: no utt2system; epochs are ranked by {fallen[0][1]} instead of {criterion[0][1]}")
        return fallen
    return criterion


def _with_lengths(directory: DataDirectory, allow_pipes: bool) -> DataDirectory:
    """Return the directory with the length of every clip, read from the audio headers where its files do not tell."""
    if directory.num_samples is not None and directory.rates is not None:
        return directory
    wav = track(directory.wav.items(), f"{directory.path.name} audio headers", len(directory.wav))
    lengths = {key: probe(source, allow_pipes=allow_pipes) for key, source in wav}
    num_samples = {key: length.num_samples for key, length in lengths.items()}
    return replace(directory, num_samples=num_samples, rates={key: length.sample_rate for key, length in lengths.items()})


def _launch(ngpu: int | None, nnodes: int, use_amp: bool) -> Fabric:
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
        precision="bf16-mixed" if use_amp else "32-true",
    )
    launched.launch()
    return launched


@dataclass
class _Run:
    """One call of :func:`train` in one process."""

    fabric: Fabric
    experiment: Experiment
    sets: dict[str, DataDirectory]
    tokens: TokenTargets | None
    criterion: Criterion
    allow_pipes: bool
    checkpoint_seconds: float

    def train(self) -> None:
        fabric, experiment, config = self.fabric, self.experiment, self.experiment.config
        model, frozen = self._model()
        clips = self._clips(model)
        sampler = LengthBatches(
            clips.seconds, config.batch_seconds, config.batch_size, config.seed, fabric.world_size, fabric.global_rank
        )
        validation = Validation(self.sets["dev"], config, fabric, self.allow_pipes)
        module = fabric.setup_module(TrainingModule(model, frozen))
        optimiser = make_optimiser(model, config)
        if fabric.is_global_zero:
            experiment.write_config()
            say(summary(model, self.sets))
        checkpoints = Checkpoints(
            experiment.directory / CHECKPOINTS, model, optimiser, model.upstream.digest, self.checkpoint_seconds
        )
        state = self._resume(checkpoints)
        curves = Curves(experiment.directory / "tensorboard", state.epoch) if fabric.is_global_zero else None

        def on_epoch(history: list[dict[str, Any]], best: list[int]) -> None:
            experiment.write_history(history)
            curves.write(history[-1])
            say(epoch_line(history, best, config.max_epoch, self.criterion))

        batches = EpochBatches(clips, sampler, config.num_workers)
        loop = Loop(fabric, config, module, optimiser, batches, validation, self.criterion, checkpoints, state, on_epoch)
        best = loop.run()
        if fabric.is_global_zero:
            curves.close()
            checkpoints.load_average(best)
            self._release(model, best, state.history)
            experiment.finish()
        fabric.barrier()

    def _model(self) -> tuple[MOSModel, list[nn.Module]]:
        """Build the model with its initial values; return it and the parts that ``freeze_param`` names."""
        config = self.experiment.config
        with self.fabric.rank_zero_first(local=True):  # who comes first downloads, the others find it in the cache
            upstream = load_upstream(config.upstream, config.upstream_conf)
        self.heads: dict[str, Any] = {"num_listeners": len(self.sets["train"].listeners) if config.single_ratings else 0}
        if self.tokens is not None:
            self.tokens.check(upstream)
            self.heads |= {"token_layers": self.tokens.codebook.layers, "clusters": self.tokens.codebook.clusters}
        model = build_model(config, upstream, **self.heads)
        for line in initialise(model, config.init_param):
            if self.fabric.is_global_zero:
                say(line)
        return model, freeze(model, config.freeze_param)

    def _clips(self, model: MOSModel) -> TrainingClips:
        config, directory, upstream = self.experiment.config, self.sets["train"], model.upstream
        return TrainingClips(
            directory,
            sample_rate=model.input_rate,
            targets=config.targets,
            max_seconds=config.max_seconds,
            tokens=None if self.tokens is None else self.tokens.tokens,
            hop_seconds=upstream.hop / upstream.sample_rate,
            single_ratings=config.single_ratings,
            listeners=listener_numbers(directory) if config.single_ratings and directory.ratings else None,
            min_seconds=upstream.min_samples / upstream.sample_rate,
            seed=config.seed,
            allow_pipes=self.allow_pipes,
        )

    def _resume(self, checkpoints: Checkpoints) -> State:
        """Go back to the newest checkpoint in every process."""
        first = self.fabric.is_global_zero
        if first:
            checkpoints.clear_leftovers()
        state = checkpoints.resume() or State()
        if not first:
            state.sums = dict.fromkeys(state.sums, 0.0)  # the first process holds those of all
        elif state.step:
            say(f"{checkpoints.directory}: going on after step {state.step}, epoch {state.epoch} and {state.batch} batches")
        self.fabric.barrier()
        return state

    def _release(self, model: MOSModel, best: list[int], history: list[dict[str, Any]]) -> None:
        about, card = describe_training(self.sets["train"])
        figures = {f"epoch {epoch}": _figures(history[epoch - 1]["valid"]) for epoch in sorted(best)}
        card |= {"Dev set, by averaged epoch": figures}
        write_release(self.experiment.model, model, self.experiment.config, about=about, card=card, **self.heads)
        numbers = ", ".join(map(str, sorted(best)))
        say(
            f"{self.experiment.model}: weights of epoch {numbers}"
            if len(best) == 1
            else f"{self.experiment.model}: mean of the weights of epochs {numbers}"
        )


def _figures(valid: dict[str, float | None]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in valid.items() if value is not None)
