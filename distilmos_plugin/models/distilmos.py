"""DistilMOS: SSL-MOS with layer-wise self-distillation.

Yang, Nakata, Saito, Saruwatari, "DistilMOS: Layer-Wise Self-Distillation For Self-Supervised Learning Model-Based MOS
Prediction", ICASSP 2026, arXiv 2601.13700. Besides the MOS, every frame must tell the k-means tokens that each layer of the
pre-trained upstream gave to it, so that fine-tuning does not forget them. The architecture follows the authors' inference
code (github.com/BaleYang/DistilMOS, ``model/predictor.py``, ``model/modules.py``); that code has no training, so the form
and weight of the losses are our choice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from distilmos_plugin.config import Config, LossConfig
from distilmos_plugin.errors import ConfigError, TokenError
from distilmos_plugin.models.base import Encoded, Extent, MOSModel, SystemConfig
from distilmos_plugin.models.layers import (
    Decoder,
    FeatureProcessor,
    LayerWeighting,
    TokenPredictor,
    WeightedSum,
    frame_mask,
    masked_mean,
    zero_padding,
)
from distilmos_plugin.models.prediction import Labels, Prediction, Waveforms


@dataclass(frozen=True)
class DistilMOSConfig(SystemConfig):
    """``model_conf`` of ``distilmos``; the defaults are the authors' sizes.

    Attributes:
        layer_weighting: how the layers are mixed: ``entmax`` (the authors'), ``softmax`` or ``last``.
        hidden_dim: width of everything after the mix.
        kernels: of each separable convolution, odd.
        strides: of each separable convolution; their product divides the frame rate, also that of the tokens.
        dropout: in the decoder.
    """

    layer_weighting: LayerWeighting = "entmax"
    hidden_dim: int = 256
    kernels: tuple[int, ...] = (5, 3, 3)
    strides: tuple[int, ...] = (1, 1, 1)
    dropout: float = 0.1

    def check(self, config: Config) -> None:
        super().check(config)
        if len(self.kernels) != len(self.strides):
            raise ConfigError(
                f"model_conf: {len(self.kernels)} kernels and {len(self.strides)} strides; one of each a block is needed"
            )
        if any(kernel < 1 or kernel % 2 == 0 for kernel in self.kernels):
            raise ConfigError(f"model_conf: kernels: {list(self.kernels)} must be odd, so that a frame keeps its place")
        if any(stride < 1 for stride in self.strides):
            raise ConfigError(f"model_conf: strides: {list(self.strides)} must be 1 or more")


class DistilMOS(MOSModel):
    """DistilMOS; see the module's text and :class:`MOSModel`.

    With ``token_layers`` the model in training mode also gives ``auxiliary["token_logits"]`` ``[B, T', layers, clusters]``,
    unless the token loss has weight 0. The token heads are made last, so that all else starts from the same values with and
    without them.
    """

    conf_class = DistilMOSConfig
    training_only = ("predictors",)

    def __init__(
        self,
        upstream: nn.Module,
        targets: tuple[str, ...],
        conf: DistilMOSConfig,
        loss_conf: LossConfig,
        extent: Extent,
    ) -> None:
        super().__init__(upstream, targets, conf, loss_conf)
        self.layers = conf.layers or tuple(range(1, upstream.num_layers + 1))
        self.stride = math.prod(conf.strides)
        self.weighted_sum = WeightedSum(len(self.layers), upstream.dim, conf.layer_weighting)
        self.feature_processor = FeatureProcessor(upstream.dim, conf.hidden_dim, conf.kernels, conf.strides)
        self.decoder = Decoder(conf.hidden_dim, conf.dropout)
        self.linear = nn.Linear(conf.hidden_dim, len(self.targets))
        self.add_embeddings(extent, conf.hidden_dim)
        self.predictors = nn.ModuleList(TokenPredictor(conf.hidden_dim, extent.clusters) for _ in extent.token_layers)

    def encode(self, waveforms: Waveforms, rates: Sequence[int]) -> Encoded:
        hidden = self.upstream(waveforms)
        mixed = self.weighted_sum([hidden.states[layer] for layer in self.layers])
        encoded = Encoded(*self.feature_processor(mixed, hidden.lengths))
        if self.training and self.predictors and self.objective.conf.token_weight > 0:
            logits = [predictor(encoded.features) for predictor in self.predictors]
            encoded.auxiliary["token_logits"] = torch.stack(logits, dim=2)
        return encoded

    def score(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        features = zero_padding(features, lengths)  # a listener's embedding has been added to the padding too
        frames = zero_padding(self.to_label_range(self.linear(self.decoder(features, lengths))), lengths)
        return masked_mean(frames, frame_mask(lengths, frames.shape[1])), frames

    def loss(self, prediction: Prediction, labels: Labels) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """As :meth:`MOSModel.loss`; the tokens ``[B, T, layers]`` at the upstream's frame rate are thinned by the strides.

        Output frame j is centred on the upstream's frame ``j * stride``.

        Raises:
            TokenError: if the tokens are not of the upstream's frames and of the layers that the model was built for.
        """
        logits = prediction.auxiliary.get("token_logits")
        if logits is not None:
            tokens = labels.tokens[:, :: self.stride]
            if tokens.shape != logits.shape[:3]:
                found, wanted = (tuple(item.shape[:3]) for item in (tokens, logits))
                raise TokenError(f"tokens {found} for outputs {wanted} [clips, frames, layers]; extract the tokens again")
            labels = replace(labels, tokens=tokens)
        return super().loss(prediction, labels)
