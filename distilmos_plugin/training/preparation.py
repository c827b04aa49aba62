"""What comes before and after the steps, whichever trainer takes them: inputs, model, batches, release."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from distilmos_plugin.audio import probe
from distilmos_plugin.config import Config, with_first
from distilmos_plugin.data.batches import LengthBatches
from distilmos_plugin.data.dataset import TrainingClips, balanced, domain_numbers, listener_numbers
from distilmos_plugin.data.directory import DOMAINS, DataDirectory
from distilmos_plugin.errors import ConfigError
from distilmos_plugin.models import MOSModel, build_model, check_system, last_layer_read
from distilmos_plugin.progress import say, track
from distilmos_plugin.scoring.release import write_release
from distilmos_plugin.training.card import describe_training
from distilmos_plugin.training.experiment import Experiment, data_fingerprint
from distilmos_plugin.training.loop import EpochBatches
from distilmos_plugin.training.optimisation import freeze, init_digest, initialise
from distilmos_plugin.training.ranking import Criterion, check_criterion
from distilmos_plugin.training.token_targets import TokenTargets
from distilmos_plugin.training.validation import valid_metrics, without_systems
from distilmos_plugin.upstreams.states import FrontEndCache, StateCache
from distilmos_plugin.upstreams.upstream import Upstream, load_upstream

if TYPE_CHECKING:
    from lightning.fabric import Fabric

STATES = "states"  # folder of the experiment's directory
AT_LEAST_ONE = ("max_epoch", "batch_size", "accum_grad", "keep_nbest_models", "patience")


@dataclass(frozen=True)
class Preparation:
    """What a training run is made from.

    Attributes:
        experiment: its directory, resolved configuration and inputs.
        sets: data directories ``train`` and ``dev``.
        tokens: what the token loss learns from; None without.
        criterion: what ranks epochs, by figures that the dev set can give.
        allow_pipes: run ``command |`` entries of ``wav.scp``.
        states_dir: for the states of a frozen upstream; None keeps them in the experiment's directory until it is finished.
    """

    experiment: Experiment
    sets: Mapping[str, DataDirectory]
    tokens: TokenTargets | None
    criterion: Criterion
    allow_pipes: bool
    states_dir: Path | None = None

    @classmethod
    def read(
        cls,
        config: Config,
        train_dir: str | Path,
        dev_dir: str | Path,
        expdir: str | Path,
        tokens_dir: str | Path | None = None,
        *,
        allow_pipes: bool = False,
        inputs: Mapping[str, str] | None = None,
        states_dir: Path | None = None,
    ) -> Preparation:
        """Check the configuration and read all that is small; nothing is written.

        Args:
            config, train_dir, dev_dir, expdir, tokens_dir, allow_pipes, states_dir: see
                :func:`~distilmos_plugin.training.fit.train`.
            inputs: of the experiment, besides data and tokens.

        Raises:
            ConfigError, DataError, TokenError, TrainingError: for what is wrong or missing.
        """
        config = _resolve(config)
        sets = {"train": DataDirectory.read(train_dir, allow_pipes), "dev": DataDirectory.read(dev_dir, allow_pipes)}
        criterion = _criterion(config, sets["dev"])
        _check_domains(config, sets["train"])
        found = {name: data_fingerprint(directory) for name, directory in sets.items()}
        tokens = TokenTargets.read(config, tokens_dir)
        if tokens is not None:
            found["tokens"] = tokens.digest
        if config.init_param:
            found["init_param"] = init_digest(config.init_param)
        experiment = Experiment(Path(expdir), config, found | dict(inputs or {}))
        return cls(experiment, sets, tokens, criterion, allow_pipes, states_dir)

    @property
    def config(self) -> Config:
        """The resolved configuration."""
        return self.experiment.config

    @property
    def num_listeners(self) -> int:
        """Listeners in the training set, with listener conditioning."""
        return len(self.sets["train"].listeners) if self.config.single_ratings else 0

    @property
    def domains(self) -> dict[str, int]:
        """Corpora of the training set and their numbers, with domain conditioning."""
        return domain_numbers(self.sets["train"]) if check_system(self.config).domains else {}

    @property
    def token_heads(self) -> dict[str, Any]:
        """What :func:`~distilmos_plugin.models.build_model` takes with a token loss."""
        if self.tokens is None:
            return {}
        return {"token_layers": self.tokens.codebook.layers, "clusters": self.tokens.codebook.clusters}

    def trained_already(self) -> bool:
        """Tell whether the experiment is finished, and say so.

        Raises:
            TrainingError: if its directory was begun with something else.
        """
        if self.experiment.finished():
            say(f"{self.experiment.directory}: trained already; remove the directory to train again")
            return True
        self.experiment.check()
        return False

    def with_lengths(self) -> Preparation:
        """Return the same with the length of every clip, read from the audio headers where the data do not tell."""
        return replace(self, sets={name: _with_lengths(item, self.allow_pipes) for name, item in self.sets.items()})

    def model(self, processes: Fabric) -> tuple[MOSModel, list[nn.Module]]:
        """Build the model with its initial values; return it and the parts that ``freeze_param`` names."""
        config = self.config
        with processes.rank_zero_first(local=True):  # who comes first downloads, the others find it in the cache
            upstream = load_upstream(config.upstream, config.upstream_conf)
        self._keep_states(upstream)
        if self.tokens is not None:
            self.tokens.check(upstream)
        sizes = {"num_listeners": self.num_listeners, "num_domains": len(self.domains)}
        model = build_model(config, upstream, **sizes, **self.token_heads)
        for line in initialise(model, config.init_param):
            if processes.is_global_zero:
                say(line)
        return model, freeze(model, config.freeze_param)

    def _keep_states(self, upstream: Upstream) -> None:
        """Keep on disk what does not change while training, as far as the configuration wants it."""
        conf = self.config.upstream_conf
        folder, limit = self.states_dir or self.experiment.directory / STATES, int(conf.cache_gb * 1e9)
        if limit and conf.trainable:
            FrontEndCache(upstream, folder, limit)
        elif limit:
            StateCache(upstream, folder, check_system(self.config).layers or range(1, upstream.num_layers + 1), limit)

    def batches(self, model: MOSModel, processes: Fabric) -> EpochBatches:
        """Return the training batches of this process."""
        config, clips = self.config, self._clips(model)
        ranks = (processes.world_size, processes.global_rank)
        sampler = LengthBatches(clips.seconds, config.batch_seconds, config.batch_size, config.seed, *ranks)
        return EpochBatches(clips, sampler, config.num_workers)

    def _clips(self, model: MOSModel) -> TrainingClips:
        config, directory, upstream = self.config, self.sets["train"], model.upstream
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
            keys=balanced(directory, config.seed) if config.domain_sampling == "balanced" else None,
            domains=self.domains or None,
        )

    def clear_states(self) -> None:
        """Remove the upstream's states from a finished experiment's directory."""
        shutil.rmtree(self.experiment.directory / STATES, ignore_errors=True)

    def release(self, model: MOSModel, best: list[int], history: list[dict[str, Any]]) -> None:
        """Write the released model, the mean of the weights after the epochs ``best``, and say so."""
        about, card = describe_training(self.sets["train"])
        figures = {f"epoch {epoch}": _figures(history[epoch - 1]["valid"]) for epoch in sorted(best)}
        card |= {"Dev set, by averaged epoch": figures}
        folder = self.experiment.model
        known = {"num_listeners": self.num_listeners, "domains": tuple(self.domains)}
        write_release(folder, model, self.config, about=about, card=card, **known)
        numbers = ", ".join(map(str, sorted(best)))
        what = f"weights of epoch {numbers}" if len(best) == 1 else f"mean of the weights of epochs {numbers}"
        say(f"{folder}: {what}")


def _resolve(config: Config) -> Config:
    """Check the configuration and fill in what follows from it."""
    check_system(config)
    if config.fold_conf.folds:
        raise ConfigError("fold_conf: folds: this trainer trains one model; use --trainer lightning, or set it to 0")
    for name in AT_LEAST_ONE:
        value = getattr(config, name)
        if value is not None and value < 1:
            raise ConfigError(f"{name}: expected at least 1, found {value}")
    for name, least in (("batch_seconds", "more than 0"), ("grad_clip", "0 (no clipping) or more")):
        value = getattr(config, name)
        if value < 0 or (value == 0 and name == "batch_seconds"):
            raise ConfigError(f"{name}: expected {least}, found {value:g}")
    config = replace(config, init_param=tuple(with_first(entry, config, "init_param") for entry in config.init_param))
    if config.upstream_conf.num_layers is None:
        config = replace(config, upstream_conf=replace(config.upstream_conf, num_layers=last_layer_read(config)))
    return config


def _check_domains(config: Config, train: DataDirectory) -> None:
    """Refuse what only pooled corpora can give."""
    wanted = {"model_conf: domains: true": check_system(config).domains, "domain_sampling: balanced": config.domain_sampling}
    for what, value in wanted.items():
        if train.domains is None and value in (True, "balanced"):
            raise ConfigError(f"{what}: {train.path} has no {DOMAINS}; `distilmos corpus pool` makes pooled corpora")


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
    if directory.num_samples is not None and directory.rates is not None:
        return directory
    wav = track(directory.wav.items(), f"{directory.path.name} audio headers", len(directory.wav))
    lengths = {key: probe(source, allow_pipes=allow_pipes) for key, source in wav}
    num_samples = {key: length.num_samples for key, length in lengths.items()}
    return replace(directory, num_samples=num_samples, rates={key: length.sample_rate for key, length in lengths.items()})


def _figures(valid: dict[str, float | None]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in valid.items() if value is not None)
