"""SSL-MOS: a self-supervised encoder, mean pooling and a small head.

Cooper, Huang, Toda, Yamagishi, "Generalization Ability of MOS Prediction Networks", ICASSP 2022, arXiv 2110.02635 (code:
nii-yamagishilab/mos-finetune-ssl); the frame head is that of SHEET (github.com/unilight/sheet, ``ssl-mos-wav2vec2.yaml``).
Both average over zero-padded or repeated frames in a batch; here only valid frames count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from distilmos_plugin.config import Config, LossConfig
from distilmos_plugin.errors import ConfigError
from distilmos_plugin.models.base import Encoded, Extent, MOSModel, SystemConfig
from distilmos_plugin.models.layers import FrameScorer, LayerWeighting, WeightedSum, frame_mask, masked_mean, zero_padding
from distilmos_plugin.models.prediction import Waveforms


@dataclass(frozen=True)
class SSLMOSConfig(SystemConfig):
    """``model_conf`` of ``ssl_mos``.

    Attributes:
        head: ``utterance`` averages the features and has one linear layer (Cooper); ``frame`` scores every frame with a
            perceptron and averages the scores (SHEET).
        layer_weighting: ``last`` reads the last layer (Cooper, SHEET); ``softmax`` or ``entmax`` mix the layers.
        hidden_dim, dropout: of the frame head.
    """

    head: Literal["utterance", "frame"] = "utterance"
    layer_weighting: LayerWeighting = "last"
    hidden_dim: int = 64
    dropout: float = 0.3

    def check(self, config: Config) -> None:
        super().check(config)
        if config.loss_conf.token_weight > 0:
            raise ConfigError("loss_conf: token_weight: ssl_mos has no token heads; set it to 0 or choose system: distilmos")
        if config.loss_conf.frame_weight > 0 and self.head == "utterance":
            raise ConfigError(
                "loss_conf: frame_weight: model_conf head: utterance has no frame scores; set it to 0 or choose head: frame"
            )


class SSLMOS(MOSModel):
    """SSL-MOS; see the module's text and :class:`MOSModel`."""

    conf_class = SSLMOSConfig

    def __init__(
        self,
        upstream: nn.Module,
        targets: tuple[str, ...],
        conf: SSLMOSConfig,
        loss_conf: LossConfig,
        extent: Extent,
    ) -> None:
        super().__init__(upstream, targets, conf, loss_conf)
        self.layers = conf.layers or tuple(range(1, upstream.num_layers + 1))
        self.weighted_sum = WeightedSum(len(self.layers), upstream.dim, conf.layer_weighting, project=False)
        if conf.head == "frame":
            self.linear = FrameScorer(upstream.dim, conf.hidden_dim, conf.dropout, len(self.targets))
        else:
            self.linear = nn.Linear(upstream.dim, len(self.targets))
        self.add_embeddings(extent, upstream.dim)

    def encode(self, waveforms: Waveforms, rates: Sequence[int]) -> Encoded:
        hidden = self.upstream(waveforms)
        return Encoded(self.weighted_sum([hidden.states[layer] for layer in self.layers]), hidden.lengths)

    def score(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        mask = frame_mask(lengths, features.shape[1])
        if self.conf.head == "utterance":
            return self.to_label_range(self.linear(masked_mean(features, mask))), None
        frames = zero_padding(self.to_label_range(self.linear(features)), lengths)
        return masked_mean(frames, mask), frames
