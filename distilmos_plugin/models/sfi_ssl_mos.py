"""SFI-SSL-MOS: a self-supervised encoder that hears every clip at its own rate, and a listener-conditioned head.

Nishikawa, Nakata, Saito, Imamura, Saruwatari, Nakamura, "Multi-Sampling-Frequency Naturalness MOS Prediction Using
Self-Supervised Learning Model with Sampling-Frequency-Independent Layer" (MSR-UTMOS), ASRU 2025, arXiv 2507.14647; the head
is that of their code (github.com/sarulab-speech/msr-utmos, ``ssl_mos.py``). The encoder is an SFI upstream
(:mod:`distilmos_plugin.upstreams.sfi`); on an upstream of one rate this is their comparison without the SFI layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from distilmos_plugin.config import Config, LossConfig
from distilmos_plugin.errors import ConfigError
from distilmos_plugin.models.base import Encoded, Extent, MOSModel, SystemConfig
from distilmos_plugin.models.layers import LayerWeighting, WeightedSum, frame_mask, masked_mean, zero_padding
from distilmos_plugin.models.prediction import Waveforms


@dataclass(frozen=True)
class SFISSLMOSConfig(SystemConfig):
    """``model_conf`` of ``sfi_ssl_mos``; the defaults are the authors'.

    Attributes:
        layer_weighting: ``last`` reads the last layer (MSR-UTMOS); ``softmax`` or ``entmax`` mix the layers.
        hidden_dim: of the perceptron; None takes the upstream's width.
    """

    label_range: tuple[float, float] | None = (1.0, 5.0)
    bounded: bool = True
    layer_weighting: LayerWeighting = "last"
    hidden_dim: int | None = None

    def check(self, config: Config) -> None:
        super().check(config)
        if config.loss_conf.token_weight > 0:
            raise ConfigError("loss_conf: token_weight: sfi_ssl_mos has no token heads; set it to 0")


class SFISSLMOS(MOSModel):
    """SFI-SSL-MOS; see the module's text and :class:`MOSModel`.

    The perceptron's outputs are averaged over time before tanh, so a clip's score is not quite the mean of its frames' scores.
    """

    conf_class = SFISSLMOSConfig

    def __init__(
        self,
        upstream: nn.Module,
        targets: tuple[str, ...],
        conf: SFISSLMOSConfig,
        loss_conf: LossConfig,
        extent: Extent,
    ) -> None:
        super().__init__(upstream, targets, conf, loss_conf)
        self.layers = conf.layers or tuple(range(1, upstream.num_layers + 1))
        self.weighted_sum = WeightedSum(len(self.layers), upstream.dim, conf.layer_weighting, project=False)
        hidden = conf.hidden_dim or upstream.dim
        self.linear = nn.Sequential(nn.Linear(upstream.dim, hidden), nn.SiLU(), nn.Linear(hidden, len(self.targets)))
        self.add_embeddings(extent, upstream.dim)

    def input_rate(self, native_rate: int) -> int:
        """Return the native rate itself, or the nearest that the upstream takes."""
        lowest, highest = self.upstream.rates
        return min(max(native_rate, lowest), highest)

    def encode(self, waveforms: Waveforms, rates: Sequence[int]) -> Encoded:
        hidden = self.upstream(waveforms, rates=rates)
        return Encoded(self.weighted_sum([hidden.states[layer] for layer in self.layers]), hidden.lengths)

    def score(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        raw = self.linear(features)
        mean = masked_mean(raw, frame_mask(lengths, raw.shape[1]))
        return self.to_label_range(mean), zero_padding(self.to_label_range(raw), lengths)
