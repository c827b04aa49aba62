"""MOSA-Net: objective measures of speech from its spectrum, a learnt filter bank and a self-supervised encoder.

Zezario, Fu, Chen, Fuh, Wang, Tsao, "Deep Learning-Based Non-Intrusive Multi-Objective Speech Assessment Model With
Cross-Domain Features", IEEE/ACM TASLP 31:54-70, 2023, arXiv 2111.02363. Sizes and arithmetic follow the authors' code
(github.com/dhimasryan/MOSA-Net-Cross-Domain, ``MOSA-Net_Cross_Domain.py``), with these differences: the filter bank is
trained (there its parameters are outside the model, neither trained nor saved); padding never counts; and beside the code's
join of the three streams, one after the other in time, there is one frame by frame. The regularisers of the attention (1e-4
each) are left to ``weight_decay``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from distilmos_plugin.config import Config, LossConfig
from distilmos_plugin.errors import ConfigError
from distilmos_plugin.models.base import Encoded, Extent, MOSModel, SystemConfig
from distilmos_plugin.models.layers import (
    BidirectionalLSTM,
    LayerWeighting,
    WeightedSum,
    frame_mask,
    masked_mean,
    zero_padding,
)
from distilmos_plugin.models.prediction import Waveforms
from distilmos_plugin.models.spectral import (
    SincBank,
    SpectralConvolutions,
    Spectrogram,
    join_in_time,
    normalised,
    stack,
)

HOP = 256  # samples between spectral frames joined in time; the reference code


@dataclass(frozen=True)
class MOSANetConfig(SystemConfig):
    """``model_conf`` of ``mosa_net`` and ``mtq_net``; the defaults are the authors' sizes.

    Attributes:
        join: ``time`` puts spectrogram, filter bank and upstream one after the other in time, as the authors do: three
            frame rates in one sequence, 175 frames a second, and the filters' signed output at one sample of 256. ``frame``
            puts them side by side on the upstream's frames, 50 a second, with the filters' root mean square over each frame.
        size: of window and Fourier transform, samples at 16 kHz.
        taps: of each filter of the bank, odd. There are as many filters as bins of the spectrogram.
        spectra: for each frame, with ``join: frame``, evenly spread over it: a short window would leave gaps between frames.
        exponent: of the magnitudes of both, with ``join: frame``; 1 keeps them linear, 0.3 brings loud and soft together.
        channels: of each block of convolutions.
        lstm_dim: of each direction.
        hidden_dim: of the frames that the heads read.
        dropout: of these frames.
        layer_weighting: ``last`` reads the upstream's last layer (the authors'); ``softmax`` or ``entmax`` mix the layers.
    """

    join: Literal["time", "frame"] = "time"
    size: int = 512
    taps: int = 251
    spectra: int = 1
    exponent: float = 1.0
    channels: tuple[int, ...] = (16, 32, 64, 128)
    lstm_dim: int = 128
    hidden_dim: int = 128
    dropout: float = 0.3
    layer_weighting: LayerWeighting = "last"

    def check(self, config: Config) -> None:
        super().check(config)
        if config.loss_conf.token_weight > 0:
            raise ConfigError(f"loss_conf: token_weight: {config.system} has no token heads; set it to 0")
        if self.taps % 2 == 0 or not 1 < self.taps <= self.size:
            raise ConfigError(f"model_conf: taps: expected an odd number up to size ({self.size}), found {self.taps}")
        if not self.channels or min(self.channels) < 1:
            raise ConfigError(f"model_conf: channels: expected the width of each block, found {list(self.channels)}")
        if self.spectra < 1 or (self.join == "time" and self.spectra != 1):
            raise ConfigError(f"model_conf: spectra: expected 1 or more, and 1 with join: time; found {self.spectra}")
        if not self.exponent > 0 or (self.join == "time" and self.exponent != 1):
            raise ConfigError(
                f"model_conf: exponent: expected more than 0, and 1 with join: time, where the filters' output has a sign; "
                f"found {self.exponent:g}"
            )


class MOSANet(MOSModel):
    """MOSA-Net; see the module's text and :class:`MOSModel`.

    With ``join: time`` the frames that the heads average are the three streams'. They follow no clock, so that scores over
    time are given only in training, for the frame loss.
    """

    conf_class = MOSANetConfig

    def __init__(
        self,
        upstream: nn.Module,
        targets: tuple[str, ...],
        conf: MOSANetConfig,
        loss_conf: LossConfig,
        extent: Extent,
    ) -> None:
        super().__init__(upstream, targets, conf, loss_conf)
        self.layers = conf.layers or tuple(range(1, upstream.num_layers + 1))
        self.weighted_sum = WeightedSum(len(self.layers), upstream.dim, conf.layer_weighting, project=False)
        bins, planes = conf.size // 2 + 1, 1 if conf.join == "time" else 2 * conf.spectra
        self.spectrogram = Spectrogram(conf.size)
        self.bank = SincBank(bins, conf.taps, upstream.sample_rate)
        self.convolutions = SpectralConvolutions(bins, (planes, *conf.channels))
        self.projection = nn.Linear(upstream.dim, self.convolutions.dim)
        width = self.convolutions.dim * (1 if conf.join == "time" else 2)
        self.lstm = BidirectionalLSTM(width, conf.lstm_dim)
        self.dense = nn.Linear(2 * conf.lstm_dim, conf.hidden_dim)
        self.dropout = nn.Dropout(conf.dropout)
        self.heads = nn.ModuleDict({target: AttentionHead(conf.hidden_dim) for target in self.targets})
        self.add_embeddings(extent, conf.hidden_dim)

    def encode(self, waveforms: Waveforms, rates: Sequence[int]) -> Encoded:
        hidden = self.upstream(waveforms)
        mixed = self.weighted_sum([hidden.states[layer] for layer in self.layers])
        frames = zero_padding(self.projection(mixed).relu(), hidden.lengths)
        with torch.autocast(frames.device.type, enabled=False):  # the spectrum's small values are lost in half precision
            spectra, lengths = self._spectra(waveforms, hidden.lengths)
        heard = self.convolutions(spectra, lengths)
        if self.conf.join == "time":
            frames, lengths = join_in_time([(heard, lengths), (frames, hidden.lengths)])
        else:
            frames = torch.cat([heard, frames], dim=2)
        return Encoded(self.dropout(self.dense(self.lstm(frames, lengths)).relu()), lengths)

    def _spectra(self, waveforms: Waveforms, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the convolutions see, ``[B, planes, T, bins]``, zero past each length, and the lengths."""
        clips = normalised(waveforms)
        if self.conf.join == "time":
            spectrogram = stack([self.spectrogram.centred(clip, HOP) for clip in clips])
            joined, lengths = join_in_time([spectrogram, stack([self.bank.samples(clip, HOP) for clip in clips])])
            return joined[:, None], lengths
        framing, spectra = self.upstream.framing, self.conf.spectra
        hop = framing.hop // spectra
        first = framing.receptive_field // 2 - hop * (spectra - 1) // 2  # so that a frame's spectra are centred on it
        spectrogram, _ = stack(
            [self.spectrogram.along(clip, hop, first, spectra * int(n)) for clip, n in zip(clips, frames, strict=True)]
        )
        both = torch.stack([spectrogram, self.bank.magnitudes(spectrogram, self.conf.size)], dim=1) ** self.conf.exponent
        planes = both.unflatten(2, (-1, spectra)).transpose(2, 3).flatten(1, 2)
        return planes * frame_mask(frames, planes.shape[2])[:, None, :, None], frames

    def score(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        mask = frame_mask(lengths, features.shape[1])
        raw = torch.cat([head(features, mask) for head in self.heads.values()], dim=2)
        frames = zero_padding(self.to_label_range(raw), lengths)
        clocked = self.training or self.conf.join == "frame"
        return masked_mean(frames, mask), frames if clocked else None


class AttentionHead(nn.Module):
    """Multiplicative self-attention and one output a frame (MOSA-Net; keras-self-attention, ``ATTENTION_TYPE_MUL``).

    Frame t attends with ``softmax over t' of x_t W x_t'``; there is no projection of the values and no residual. The bias that
    the reference adds before the softmax changes nothing, and is left out.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(dim, dim))
        nn.init.xavier_normal_(self.weight)
        self.output = nn.Linear(dim, 1)

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        """Map ``[B, T, dim]`` under the mask ``[B, T]`` to ``[B, T, 1]``; what is past a length is meaningless."""
        query = frames @ self.weight
        context = functional.scaled_dot_product_attention(query, frames, frames, attn_mask=mask[:, None, :], scale=1.0)
        return self.output(context)
