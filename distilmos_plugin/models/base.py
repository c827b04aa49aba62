"""What every system shares: targets, label range, listeners, objective."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from distilmos_plugin.config import Config, LossConfig
from distilmos_plugin.errors import ConfigError, suggest
from distilmos_plugin.models.losses import Objective
from distilmos_plugin.models.prediction import Labels, Prediction, Waveforms


@dataclass(frozen=True)
class LabelRange:
    """Lowest and highest label of one target, and whether a score can leave them (see :class:`SystemConfig`)."""

    low: float
    high: float
    bounded: bool = False


@dataclass(frozen=True)
class SystemConfig:
    """Keys of ``model_conf`` that every system has.

    Attributes:
        label_range: lowest and highest label; the network's output x becomes ``(hi - lo) / 2 * x + (hi + lo) / 2``, so ``[1,
            5]`` is ``2x + 3`` (UTMOS, MSR-UTMOS). None: the output is the score (Cooper's SSL-MOS, DistilMOS).
        bounded: pass x through tanh first, so that a score cannot leave ``label_range`` (SHEET's SSL-MOS).
        label_ranges: the same by target, for those that are named: ``stoi: {low: 0, high: 1, bounded: true}`` is a sigmoid.
        listeners: learn an embedding for each listener, trained on single ratings, and one for the mean listener, trained on
            the mean labels and used for scoring (UTMOS). Needs ``ratings.tsv`` and ``single_ratings`` of at least 1.
        domains: learn an embedding for each corpus of a pooled training set, trained on its labels, beside the one for any
            corpus, which is trained on all labels and used for scoring. Needs ``utt2domain``.
        layers: transformer layers of the upstream that are read, 1 is the first; None reads all.
    """

    gaussian: ClassVar[bool] = False  # whether the system can learn a standard deviation beside the score

    label_range: tuple[float, float] | None = None
    bounded: bool = False
    label_ranges: Mapping[str, LabelRange] = field(default_factory=dict)
    listeners: bool = False
    domains: bool = False
    layers: tuple[int, ...] | None = None

    def check(self, config: Config) -> None:
        """Raise a ConfigError for values that contradict each other or the rest of the configuration."""
        if config.loss_conf.type == "gaussian_nll" and (self.listeners or self.domains or not self.gaussian):
            keys = [key for key in ("listeners", "domains") if getattr(self, key)]
            who = f"{' or '.join(keys)}: true has" if self.gaussian else f"{config.system} has"
            raise ConfigError(f"loss_conf: type: gaussian_nll needs a predicted standard deviation, which {who} not")
        if self.label_range is not None and not self.label_range[0] < self.label_range[1]:
            raise ConfigError(f"model_conf: label_range: expected [lowest, highest], found {list(self.label_range)}")
        self._check_targets(config)
        if self.bounded and self.label_range is None:
            raise ConfigError("model_conf: bounded: true needs a label_range, such as [1, 5]")
        if self.listeners and config.single_ratings < 1:
            raise ConfigError(
                "model_conf: listeners: true needs single_ratings of at least 1, the ratings drawn for each clip and step"
            )
        if config.single_ratings and not self.listeners:
            raise ConfigError(f"single_ratings: {config.single_ratings} is read only with model_conf: listeners: true")

    def _check_targets(self, config: Config) -> None:
        """Check what is said of single targets, here and in the objective."""
        loss = config.loss_conf
        said = {"model_conf: label_ranges": self.label_ranges, "loss_conf: weights": loss.weights}
        said |= {"loss_conf: units": loss.units, "loss_conf: pseudo_targets": loss.pseudo_targets}
        for where, names in said.items():
            for name in names:
                if name not in config.targets:
                    hint = suggest(name, config.targets)
                    raise ConfigError(f"{where}: '{name}' is not among the targets{hint} ({', '.join(config.targets)})")
        for target, limits in self.label_ranges.items():
            if not limits.low < limits.high:
                raise ConfigError(
                    f"model_conf: label_ranges: {target}: expected low < high, found {limits.low:g}, {limits.high:g}"
                )
        for target, unit in loss.units.items():
            if not unit > 0:
                raise ConfigError(f"loss_conf: units: {target}: expected more than 0, found {unit:g}")


@dataclass(frozen=True)
class Extent:
    """What the training data give a model to know.

    Attributes:
        token_layers: layers whose tokens are guessed, in the order of the tokens' last axis; none without a token loss.
        clusters: size of each code book.
        num_listeners: listeners in the training set, numbered from 1, with listener conditioning.
        num_domains: corpora in a pooled training set, numbered from 1, with domain conditioning.
    """

    token_layers: tuple[int, ...] = ()
    clusters: int = 0
    num_listeners: int = 0
    num_domains: int = 0


@dataclass
class Encoded:
    """Frames between encoder and head: features ``[B, T, dim]``, lengths int64 ``[B]``, further outputs by name."""

    features: Tensor
    lengths: Tensor
    auxiliary: dict[str, Tensor] = field(default_factory=dict)


@dataclass
class _Rows:
    """Frames of everything that the head scores at once, ``[N, T, dim]`` and ``[N]``.

    ``rated`` ``[B, R]`` says which listeners there are; ``in_domain``, whether the last ``B`` rows are the clips in their
    corpora.
    """

    features: Tensor
    lengths: Tensor
    rated: Tensor | None
    in_domain: bool


class MOSModel(nn.Module):
    """A system: an encoder (:meth:`encode`) and a head with its pooling (:meth:`score`) under one objective.

    Args:
        upstream: gives the hidden states.
        targets: what is predicted, in this order along the head's last axis.
        conf: the system's ``model_conf``.
        loss_conf: the objective.

    Attributes:
        stride: the upstream's frames for each frame score.
        training_only: parts by name that scoring does not use; released models come without them.
        gaussian: whether the model predicts a standard deviation beside each score (``Prediction.scale``).
    """

    conf_class = SystemConfig
    stride = 1
    training_only: tuple[str, ...] = ()

    def __init__(self, upstream: nn.Module, targets: tuple[str, ...], conf: SystemConfig, loss_conf: LossConfig) -> None:
        super().__init__()
        self.upstream, self.targets, self.conf = upstream, tuple(targets), conf
        self.objective = Objective(loss_conf, self.targets)
        self.gaussian = loss_conf.type == "gaussian_nll"
        self.listener_embedding: nn.Embedding | None = None
        self.domain_embedding: nn.Embedding | None = None

    def scoring_state(self) -> dict[str, Tensor]:
        """Return the state that scoring needs: all but that of :attr:`training_only`."""
        left_out = tuple(f"{name}." for name in self.training_only)
        return {name: value for name, value in self.state_dict().items() if not name.startswith(left_out)}

    def add_embeddings(self, extent: Extent, dim: int) -> None:
        """Make the embeddings of listeners and of corpora that ``conf`` asks for, of the width of :meth:`encode`'s frames.

        Row 0 is the mean listener, and any corpus. All rows start at 0: alike.
        """
        if self.conf.listeners:
            self.listener_embedding = nn.Embedding.from_pretrained(torch.zeros(extent.num_listeners + 1, dim), freeze=False)
        if self.conf.domains:
            self.domain_embedding = nn.Embedding.from_pretrained(torch.zeros(extent.num_domains + 1, dim), freeze=False)

    def input_rate(self, native_rate: int) -> int:
        """Return the rate, in Hz, at which the model wants to hear a clip of that native rate: here, always its upstream's."""
        return self.upstream.sample_rate

    def encode(self, waveforms: Waveforms, rates: Sequence[int]) -> Encoded:
        """Map waveforms, each at its rate in Hz, to the frames that the head reads; a listener is added to each."""
        raise NotImplementedError

    def score(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        """Map frames ``[B, T, dim]`` to scores ``[B, targets]`` and, in systems that have them, frame scores ``[B, T,
        targets]``.

        Both in the label's unit (:meth:`to_label_range`); frame scores past a clip's length are 0.
        """
        raise NotImplementedError

    def deviation(self, features: Tensor, lengths: Tensor) -> Tensor | None:
        """Map frames ``[B, T, dim]`` to the predicted standard deviation of each score ``[B, targets]``, in the label's unit.

        None in models that predict none.
        """
        return None

    def label_limits(self) -> list[LabelRange | None]:
        """Return the range of each target; None where the network's output is the score."""
        common = None if self.conf.label_range is None else LabelRange(*self.conf.label_range, self.conf.bounded)
        return [self.conf.label_ranges.get(target, common) for target in self.targets]

    def to_label_range(self, raw: Tensor) -> Tensor:
        """Map the network's outputs ``[..., targets]`` to the labels' units, in float32."""
        raw, limits = raw.float(), self.label_limits()
        if not self.conf.label_ranges:
            return raw if limits[0] is None else _stretch(raw, limits[0])
        columns = [x if limit is None else _stretch(x, limit) for x, limit in zip(raw.unbind(-1), limits, strict=True)]
        return torch.stack(columns, dim=-1)

    def forward(
        self,
        waveforms: Waveforms,
        listeners: Tensor | None = None,
        rates: Sequence[int] | None = None,
        domains: Tensor | None = None,
    ) -> Prediction:
        """Score a batch of ``B`` clips, as the mean listener of any corpus.

        Args:
            waveforms: one float32 ``[samples]`` a clip, at the rate that :meth:`input_rate` asks for.
            listeners: int64 ``[B, R]``, -1 where there is none: adds ``auxiliary["listener_scores"]`` ``[B, R]``, the first
                target as each listener would rate it (0 where there is none). The encoder still runs once.
            rates: of each waveform, Hz; None where all are at the rate for clips of the upstream's own rate.
            domains: int64 ``[B]``, the corpus of each clip: adds ``auxiliary["domain_scores"]`` ``[B, targets]``, the targets
                as they would be rated there.
        """
        if rates is None:
            rates = [self.input_rate(self.upstream.sample_rate)] * len(waveforms)
        encoded = self.encode(waveforms, rates)
        batch = len(encoded.lengths)
        rows = self._rows(encoded, listeners, domains)
        utterance, frames = self.score(rows.features, rows.lengths)
        deviation = self.deviation(rows.features[:batch], rows.lengths[:batch])
        prediction = Prediction(
            utterance={target: utterance[:batch, i] for i, target in enumerate(self.targets)},
            frame_lengths=encoded.lengths,
            frames={} if frames is None else {target: frames[:batch, :, i] for i, target in enumerate(self.targets)},
            scale={} if deviation is None else {target: deviation[:, i] for i, target in enumerate(self.targets)},
            auxiliary=encoded.auxiliary,
        )
        if rows.rated is not None:
            scores = utterance.new_zeros(rows.rated.shape).masked_scatter(rows.rated, utterance[batch:, 0])
            prediction.auxiliary["listener_scores"] = scores
        if rows.in_domain:
            prediction.auxiliary["domain_scores"] = utterance[-batch:]
        return prediction

    def _rows(self, encoded: Encoded, listeners: Tensor | None, domains: Tensor | None) -> _Rows:
        """Return what the head is to score: each clip as such, then as each listener rates it, then as its corpus does."""
        features, lengths = encoded.features, encoded.lengths
        batch, rated, in_domain = len(lengths), None, False
        clips, listener = torch.arange(batch, device=lengths.device), lengths.new_zeros(batch)
        domain = listener
        if self.listener_embedding is not None and listeners is not None:
            rated = listeners >= 0
            clips = torch.cat([clips, rated.nonzero()[:, 0]])
            listener = torch.cat([listener, listeners[rated]])
            domain = lengths.new_zeros(len(clips))
        if self.domain_embedding is not None and domains is not None:
            in_domain = True
            clips = torch.cat([clips, torch.arange(batch, device=lengths.device)])
            listener = torch.cat([listener, lengths.new_zeros(batch)])
            domain = torch.cat([domain, domains])
        if len(clips) > batch:
            features, lengths = features[clips], lengths[clips]
        if self.listener_embedding is not None:
            features = features + self.listener_embedding(listener)[:, None]
        if self.domain_embedding is not None:
            features = features + self.domain_embedding(domain)[:, None]
        return _Rows(features, lengths, rated, in_domain)

    def loss(self, prediction: Prediction, labels: Labels) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """Return ``(loss, stats, weight)``: see :class:`~distilmos_plugin.models.losses.Objective`."""
        return self.objective(prediction, labels)


def _stretch(x: Tensor, limits: LabelRange) -> Tensor:
    """Map -1 to the lowest label and 1 to the highest."""
    return (limits.high - limits.low) / 2 * (x.tanh() if limits.bounded else x) + (limits.high + limits.low) / 2
