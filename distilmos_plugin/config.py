"""Configuration of an experiment. Keys that mean the same as in ESPnet carry ESPnet's names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from distilmos_plugin.errors import ConfigError
from distilmos_plugin.typed_yaml import load_yaml, parse, to_dict


@dataclass(frozen=True)
class UpstreamConfig:
    """How the SSL upstream is used.

    Attributes:
        ckpt: checkpoint file or directory, for upstream names that need one (``wavlm_local``, ``hf_wav2vec2_custom`` ...).
        trainable: fine-tune the transformer; False freezes the whole upstream and keeps it in eval mode.
        train_front_end: fine-tune the convolutional front end too (only with ``trainable``).
        num_layers: keep the first so many transformer layers; None keeps all.
        gradient_checkpointing: recompute layers in the backward pass: less memory, about a third more time.
        cache_gb: keep on disk while training what does not change, up to so many GB (10^9 bytes) a process, so that it is
            computed once for each clip: the states of a frozen upstream, or what the frozen front end of a fine-tuned one
            gives. 0 keeps nothing. Of no use with ``max_seconds``: a crop comes only once.
    """

    ckpt: str | None = None
    trainable: bool = True
    train_front_end: bool = False
    num_layers: int | None = None
    gradient_checkpointing: bool = False
    cache_gb: float = 0.0


@dataclass(frozen=True)
class SFIConfig:
    """The sampling-frequency-independent convolution that takes the place of an upstream's first one.

    Attributes:
        filter: ``neural`` (neural analog filter) or ``gaussian`` (modulated Gaussian).
        taps: of the FIR filters at the upstream's own rate; at others as many as last equally long. 10 are MSR-UTMOS's; with
            30 the filters of other rates are far nearer to the first (docs/upstreams.md).
        features, hidden: random Fourier features and hidden widths of the neural filter (Imamura et al., 2024).
        max_frequency: Hz; the neural filter's response is 0 above it.
        coupled: let a response depend on all frequencies that are asked for together, as MSR-UTMOS does; for its checkpoints.
        points: frequencies from 0 to half the sample rate at which the response is fitted.
        ridge, guard: weight of the taps' squares in that fit; share of the band at its upper end that counts less.
        edge: Hz; above half the upstream's own rate the converted response fades to 0 up to here.
        fit_steps: gradient steps of the filter towards the convolution that it replaces.
        seed: of the filter's first values.
    """

    filter: Literal["neural", "gaussian"] = "neural"
    taps: int = 30
    features: int = 128
    hidden: tuple[int, ...] = (224, 224)
    max_frequency: float = 24000.0
    coupled: bool = False
    points: int = 640
    ridge: float = 1e-6
    guard: float = 0.1
    edge: float = 12000.0
    fit_steps: int = 300
    seed: int = 0


@dataclass(frozen=True)
class DistilConfig:
    """How an SFI upstream learns from the upstream that it was made of, which hears 16 kHz.

    Attributes:
        rates: Hz; one is drawn for each step.
        steps, batch_size, seconds: optimiser steps, clips in each, and their length at most, seconds.
        lr, weight_decay: of RAdam; the rate falls to 0 along a cosine.
        teacher_band: what the teacher hears where the rate is below its own: ``full`` is the whole clip (MSR-UTMOS), ``rate``
            is what the rate leaves of it.
        seed: of the draws.
    """

    rates: tuple[int, ...] = (8000, 16000, 22050, 24000, 44100, 48000)
    steps: int = 500
    batch_size: int = 8
    seconds: float = 4.0
    lr: float = 1e-4
    weight_decay: float = 0.01
    teacher_band: Literal["full", "rate"] = "full"
    seed: int = 0


@dataclass(frozen=True)
class TokenConfig:
    """Code books over the frozen upstream's layers (DistilMOS, arXiv 2601.13700, Fig. 1).

    Attributes:
        clusters: k of k-means, for every layer (200 in the authors' code).
        layers: transformer layers, 1 is the first; None takes all. Layer 0, the encoder's input, is not a target.
        max_frames: frames drawn for each layer, over all clips; bounds the memory.
        iterations: k-means iterations.
        seed: of the draw of frames and of k-means.
    """

    clusters: int = 200
    layers: tuple[int, ...] | None = None
    max_frames: int = 100_000
    iterations: int = 25
    seed: int = 0


@dataclass(frozen=True)
class LossConfig:
    """The objective: MOS loss + token loss + pairwise loss. Errors are in ``units``, by default the target's own (MOS points).

    Attributes:
        type: loss on the score: ``mse``, ``l1``, ``huber``, ``clipped_mse`` (0 where the error is within ``tau``) or
            ``gaussian_nll``, for systems that also predict a standard deviation.
        tau: dead zone of ``clipped_mse``, MOS points (UTMOS, arXiv 2204.02152, uses 0.5).
        huber_delta: where ``huber`` turns from square to linear, MOS points.
        nll_beta: of ``gaussian_nll``: 0 is the likelihood itself, where a clip counts the less the larger its predicted
            variance; at 1 the score learns as from squared errors (beta-NLL, Seitzer et al., ICLR 2022).
        frame_weight: weight of the same loss on frame scores against the clip's label.
        contrastive_weight: weight of the pairwise loss on score differences in a batch (UTMOS, section 2.2).
        contrastive_margin: differences off by less than this cost nothing, MOS points.
        token_weight: lambda of DistilMOS; 0 is the baseline with the same head, exactly.
        listener_weight: weight of the loss on single ratings, with listener conditioning.
        domain_weight: weight of the loss on the scores of each clip in its own corpus, with domain conditioning.
        weights: target -> weight of its losses; 1 for those that are not named.
        units: target -> what counts as an error of 1, so that a target of wide range does not drown one of narrow range
            (PESQ spans 3.6, STOI 1); 1 for those that are not named. ``tau``, ``huber_delta`` and ``contrastive_margin``
            count in it.
        pseudo_targets: targets whose labels are a teacher's scores (MTQ-Net): the semi-supervised part of the objective.
        pseudo_weight: weight of that part.
    """

    type: Literal["mse", "l1", "huber", "clipped_mse", "gaussian_nll"] = "mse"
    tau: float = 0.5
    huber_delta: float = 1.0
    nll_beta: float = 0.0
    frame_weight: float = 0.0
    contrastive_weight: float = 0.0
    contrastive_margin: float = 0.2
    token_weight: float = 0.0
    listener_weight: float = 1.0
    domain_weight: float = 1.0
    weights: Mapping[str, float] = field(default_factory=dict)
    units: Mapping[str, float] = field(default_factory=dict)
    pseudo_targets: tuple[str, ...] = ()
    pseudo_weight: float = 1.0

    def weight(self, target: str) -> float:
        """Return the weight of a target's losses."""
        return self.weights.get(target, 1.0) * (self.pseudo_weight if target in self.pseudo_targets else 1.0)

    def unit(self, target: str) -> float:
        """Return what counts as an error of 1 for a target, in the target's own unit."""
        return self.units.get(target, 1.0)


@dataclass(frozen=True)
class OptimConfig:
    """Optimiser options. ``lr`` is of the head, ``upstream_lr`` of the upstream (None: the same)."""

    lr: float = 1e-3
    upstream_lr: float | None = None
    weight_decay: float = 0.0
    momentum: float = 0.9
    betas: tuple[float, float] = (0.9, 0.999)


@dataclass(frozen=True)
class SchedulerConfig:
    """``warmup_steps`` optimiser steps of linear warm-up before the schedule proper; ``gamma``, of ``exponential``, a step."""

    warmup_steps: int = 0
    gamma: float = 0.9999


@dataclass(frozen=True)
class FoldConfig:
    """k-fold training over train and dev set together; what comes out is the ensemble of the folds' models.

    Attributes:
        folds: how many (MSR-UTMOS uses 7); 0 trains one model on the train set and chooses it by the dev set.
        by: ``clip`` gives every fold clips of every system, ``system`` keeps each system within one fold.
    """

    folds: int = 0
    by: Literal["clip", "system"] = "clip"


@dataclass(frozen=True)
class ScoringConfig:
    """How clips are scored.

    Attributes:
        batch_seconds: padded audio in a batch, seconds.
        window_seconds: clips longer than this are scored in overlapping windows and averaged by duration.
        hop_seconds: from one window's start to the next.
    """

    batch_seconds: float = 80.0
    window_seconds: float = 60.0
    hop_seconds: float = 30.0


@dataclass(frozen=True)
class PseudoConfig:
    """Labels that models give (``distilmos pseudo-label``). A model is named as for ``distilmos score --model``.

    Attributes:
        stand_in: model whose scores stand in for ratings that nobody gave: in every set, the tests too.
        table: file of its scores of audio files, by what is in them; only files that are not in it are scored.
        teacher: model whose scores are labels in train and dev alone; ``{first}`` is the one that was trained first.
    """

    stand_in: str | None = None
    table: str | None = None
    teacher: str | None = None


@dataclass(frozen=True)
class Config:
    """A whole experiment. One YAML file of ``conf/``; ``model_conf`` is checked by the system that it is for.

    Attributes:
        system: registered system name (``ssl_mos``, ``distilmos``).
        targets: what is predicted; ``mos`` is read from ``utt2mos``, any other ``x`` from ``utt2x``.
        upstream: s3prl upstream name, ``tiny`` (bundled), or the folder of an SFI upstream (``distilmos upstream sfi``).
        sfi_conf, distil_conf: make an SFI upstream of it first, and distil it (run.sh stage 2); null makes none.
        batch_seconds: padded audio in a training batch, seconds.
        batch_size: at most so many clips in a training batch.
        max_seconds: longer training clips are cropped at random to this; None never crops.
        num_workers: data loading processes.
        max_epoch, patience, optim, scheduler, accum_grad, grad_clip, keep_nbest_models, seed, use_amp: as in ESPnet;
            ``use_amp`` is bfloat16.
        best_model_criterion: ``(phase, metric, min|max)`` entries, as in ESPnet; the first ranks the epochs, the others break
            ties. Metrics of phase ``valid`` are ``loss`` and ``<level>_<name>`` such as ``system_srcc``, ``utterance_lcc``:
            with several targets means over these; ``utterance_lcc_sig`` is of one.
        init_param: ``path:src:dst:exclude`` entries, as in ESPnet; the path ``{first}`` is ``first_model``.
        train_first: configuration of an experiment that run.sh trains before this one: a teacher, or the first step of two.
        first_model: its model, which run.sh names.
        pseudo_conf: labels that models give.
        freeze_param: prefixes of parameter names that are not trained.
        single_ratings: single ratings drawn for each clip and step, for listener conditioning.
        domain_sampling: of pooled corpora: ``proportional`` takes every clip once an epoch, ``balanced`` every corpus as often
            as the largest.
    """

    system: str
    targets: tuple[str, ...] = ("mos",)
    upstream: str = "wavlm_base_plus"
    upstream_conf: UpstreamConfig = UpstreamConfig()
    sfi_conf: SFIConfig | None = None
    distil_conf: DistilConfig = DistilConfig()
    token_conf: TokenConfig = TokenConfig()
    model_conf: Mapping[str, Any] = field(default_factory=dict)
    loss_conf: LossConfig = LossConfig()
    batch_seconds: float = 60.0
    batch_size: int = 16
    max_seconds: float | None = None
    num_workers: int = 1
    max_epoch: int = 20
    patience: int | None = None
    optim: Literal["adam", "adamw", "radam", "sgd"] = "adamw"
    optim_conf: OptimConfig = OptimConfig()
    scheduler: Literal["constant", "linear", "cosine", "exponential"] = "constant"
    scheduler_conf: SchedulerConfig = SchedulerConfig()
    accum_grad: int = 1
    grad_clip: float = 5.0
    keep_nbest_models: int = 1
    best_model_criterion: tuple[tuple[str, str, str], ...] = (("valid", "system_srcc", "max"),)
    init_param: tuple[str, ...] = ()
    train_first: str | None = None
    first_model: str | None = None
    pseudo_conf: PseudoConfig = PseudoConfig()
    freeze_param: tuple[str, ...] = ()
    single_ratings: int = 0
    domain_sampling: Literal["proportional", "balanced"] = "proportional"
    seed: int = 0
    use_amp: bool = False
    fold_conf: FoldConfig = FoldConfig()
    scoring_conf: ScoringConfig = ScoringConfig()


FIRST = "{first}"  # stands for first_model


def with_first(value: str, config: Config, where: str) -> str:
    """Return ``value`` with ``{first}`` replaced.

    Raises:
        ConfigError: naming ``where``, if it is to be replaced and there is no ``first_model``.
    """
    if FIRST in value and config.first_model is None:
        raise ConfigError(f"{where}: '{value}' needs first_model, a model's name; run.sh sets it where a conf has train_first")
    return value.replace(FIRST, config.first_model or "")


def load_config(path: str | Path) -> Config:
    """Read an experiment's YAML file.

    Raises:
        ConfigError: if the file is missing, is not YAML, or holds an unknown key or a wrong value.
    """
    return parse(Config, load_yaml(path), str(path))


def override(config: Config, assignments: Iterable[str]) -> Config:
    """Return ``config`` with ``key=value`` assignments applied; ``a.b=value`` reaches into a section, the value is YAML."""
    values = to_dict(config)
    for assignment in assignments:
        key, sign, text = assignment.partition("=")
        if not sign:
            raise ConfigError(f"'{assignment}' is not of the form key=value")
        section, *rest = reversed(key.split("."))
        target = values
        for part in reversed(rest):
            target = target.setdefault(part, {})
            if not isinstance(target, dict):
                raise ConfigError(f"'{key}': '{part}' is not a section")
        try:
            target[section] = yaml.safe_load(text)
        except yaml.YAMLError:
            raise ConfigError(f"'{assignment}': the value is not YAML") from None
    return parse(Config, values, "the configuration")
