"""SSL-Layer-MOS and SA-SSL-MOS: a small convolutional head on one frozen layer, beside a spectrogram at 48 kHz.

SSL-Layer-MOS: Liang, Cumlin et al., "Selection of Layers from Self-supervised Learning Models for Predicting
Mean-Opinion-Score of Speech", ASRU 2025, arXiv 2508.08962. SA-SSL-MOS adds what the 16 kHz of the encoder cannot hear, and a
variance: Cao, Liang, Cumlin, Ungureanu, Reddy, Schuldt, Chatterjee, "SA-SSL-MOS: Self-supervised Learning MOS Prediction
with Spectral Augmentation for Generalized Multi-Rate Speech Assessment", ICASSP 2026, arXiv 2602.14785. The architecture
follows the authors' code (github.com/Dear-xxf/SA_SSL_MOS, ``model.py``).

Theirs takes clips of one length only: layer norm has a weight for each frame, and the head one for each pooled frame. With
``fixed_seconds`` this is what is built. Without, which is the default, layer norm is over the channels of a frame and the
pooled frames are summed up by mean and maximum, so that a clip has its own length.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from distilmos_plugin.config import Config, LossConfig
from distilmos_plugin.errors import ConfigError
from distilmos_plugin.models.base import Encoded, Extent, MOSModel, SystemConfig
from distilmos_plugin.models.layers import MaskedBatchNorm, WeightedSum, frame_mask, masked_mean, zero_padding
from distilmos_plugin.models.prediction import Waveforms
from distilmos_plugin.models.resampling import resample

SPECTROGRAM_RATE = 48000  # Hz
WINDOW = 320  # samples: 6.7 ms, and 161 bins of 150 Hz
LEAST_MAGNITUDE, LARGEST_MAGNITUDE = 1e-7, 1e7  # what the logarithm is taken of is clipped to these

KERNEL = 5  # frames, of each convolution over the hidden states
POOL = 5  # frames, of each pooling over them
SPECTROGRAM_POOL = 3  # frames and bins
LEAST_VARIANCE = 1e-6  # in the target's unit, squared (the code's loss has the same floor)


@dataclass(frozen=True)
class SSLLayerMOSConfig(SystemConfig):
    """``model_conf`` of ``ssl_layer_mos``; the defaults are the sizes of the authors' code.

    Attributes:
        layers: the layer that is read; of several, a softmax-weighted mean.
        channels: of the convolutions over the hidden states; the second and each later one is followed by pooling.
        hidden_dims: of the perceptrons for mean and variance.
        dropout: behind each convolution.
        fixed_seconds: repeat and cut every clip to this length, and build the published network for it. None: any length.
    """

    gaussian: ClassVar[bool] = True

    channels: tuple[int, ...] = (128, 32, 32)
    hidden_dims: tuple[int, ...] = (64, 32)
    dropout: float = 0.3
    fixed_seconds: float | None = None

    def check(self, config: Config) -> None:
        super().check(config)
        if not self.layers:
            raise ConfigError(f"model_conf: layers: {config.system} reads one layer of the upstream; name it, such as [9]")
        if config.upstream_conf.trainable:
            raise ConfigError(f"upstream_conf: trainable: {config.system} reads a frozen upstream; set it to false")
        for key in ("token_weight", "frame_weight"):
            if getattr(config.loss_conf, key) > 0:
                raise ConfigError(f"loss_conf: {key}: {config.system} has neither tokens nor frame scores; set it to 0")
        if not self.channels or not self.hidden_dims:
            raise ConfigError("model_conf: channels and hidden_dims need at least one number each")


@dataclass(frozen=True)
class SASSLMOSConfig(SSLLayerMOSConfig):
    """``model_conf`` of ``sa_ssl_mos``.

    Attributes:
        spectrogram_channels: of the convolutions over the spectrogram; pooling follows the second one.
        spectrogram_hop: samples at 48 kHz from one frame of the spectrogram to the next.
        least_magnitude: what lies below is raised to it before the logarithm. The published 1e-7 leaves the empty band of a
            clip of low rate some six powers of ten below its speech; audio of 16 bits has nothing of its own below 1e-4.
        bands: what is left is summed up over time in so many equal bands of frequency; 1 is the published global maximum.
        spectrogram_pooling: how: by the ``max`` (published), or by mean and maximum.
    """

    spectrogram_channels: tuple[int, ...] = (32, 32, 64, 64)
    spectrogram_hop: int = 160
    least_magnitude: float = LEAST_MAGNITUDE
    bands: int = 1
    spectrogram_pooling: Literal["max", "mean_max"] = "max"

    def check(self, config: Config) -> None:
        super().check(config)
        bins = (WINDOW // 2 + 1) // SPECTROGRAM_POOL
        if len(self.spectrogram_channels) < 2:
            raise ConfigError("model_conf: spectrogram_channels: at least two are needed")
        if not 1 <= self.spectrogram_hop <= WINDOW:
            raise ConfigError(f"model_conf: spectrogram_hop: expected 1 to {WINDOW} samples, found {self.spectrogram_hop}")
        if not 0 < self.least_magnitude < LARGEST_MAGNITUDE:
            raise ConfigError(f"model_conf: least_magnitude: expected more than 0, found {self.least_magnitude:g}")
        if not 1 <= self.bands <= bins:
            raise ConfigError(f"model_conf: bands: expected 1 to {bins}, found {self.bands}")


class SSLLayerMOS(MOSModel):
    """SSL-Layer-MOS; see the module's text and :class:`MOSModel`. A clip is one vector, which has no frame scores."""

    conf_class = SSLLayerMOSConfig

    def __init__(
        self,
        upstream: nn.Module,
        targets: tuple[str, ...],
        conf: SSLLayerMOSConfig,
        loss_conf: LossConfig,
        extent: Extent,
    ) -> None:
        super().__init__(upstream, targets, conf, loss_conf)
        self.weighted_sum = WeightedSum(len(conf.layers), upstream.dim, "softmax" if len(conf.layers) > 1 else "last", False)
        samples = None if conf.fixed_seconds is None else round(conf.fixed_seconds * upstream.sample_rate)
        frames = None if samples is None else int(upstream.frame_lengths(torch.tensor(samples)))
        self.fpm = LayerBranch(upstream.dim, conf.channels, conf.dropout, frames)
        dim = self.fpm.dim + self._more_branches()
        self.mu_head = _perceptron(dim, conf.hidden_dims, len(self.targets))
        self.var_head = _perceptron(dim, conf.hidden_dims, len(self.targets)) if self.gaussian else None
        self.add_embeddings(extent, dim)

    def _more_branches(self) -> int:
        """Make what stands beside the layer's branch; return the width that it adds."""
        return 0

    def encode(self, waveforms: Waveforms, rates: Sequence[int]) -> Encoded:
        clip = self.clip_vectors(waveforms, rates)
        return Encoded(clip[:, None], torch.ones(len(clip), dtype=torch.int64, device=clip.device))

    def clip_vectors(self, waveforms: Waveforms, rates: Sequence[int]) -> Tensor:
        """Map waveforms to one vector each, ``[B, dim]``."""
        heard = [resample(clip, rate, self.upstream.sample_rate) for clip, rate in zip(waveforms, rates, strict=True)]
        hidden = self.upstream(self._fixed(heard, self.upstream.sample_rate))
        return self.fpm(self.weighted_sum([hidden.states[layer] for layer in self.conf.layers]), hidden.lengths)

    def score(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        return self.to_label_range(self.mu_head(features[:, 0])), None

    def deviation(self, features: Tensor, lengths: Tensor) -> Tensor | None:
        if self.var_head is None:
            return None
        scale = [1.0 if limit is None else (limit.high - limit.low) / 2 for limit in self.label_limits()]
        variance = functional.softplus(self.var_head(features[:, 0]).float()) * features.new_tensor(scale).float().square()
        return variance.clamp(min=LEAST_VARIANCE).sqrt()

    def _fixed(self, waveforms: Waveforms, rate: int) -> Waveforms:
        """Repeat and cut each clip to ``fixed_seconds``, from its start (theirs for the encoder: at a random place)."""
        if self.conf.fixed_seconds is None:
            return waveforms
        samples = round(self.conf.fixed_seconds * rate)
        return [clip.repeat(-(-samples // len(clip)))[:samples] for clip in waveforms]


class SASSLMOS(SSLLayerMOS):
    """SA-SSL-MOS: SSL-Layer-MOS with a second branch, over the log spectrogram at 48 kHz."""

    conf_class = SASSLMOSConfig

    def _more_branches(self) -> int:
        conf = self.conf
        self.spm = SpectrogramBranch(
            conf.spectrogram_channels, conf.dropout, conf.bands, with_mean=conf.spectrogram_pooling == "mean_max"
        )
        return self.spm.dim

    def input_rate(self, native_rate: int) -> int:
        """Return 48 kHz: bins above a clip's own bandwidth are empty, which tells the bandwidth."""
        return SPECTROGRAM_RATE

    def clip_vectors(self, waveforms: Waveforms, rates: Sequence[int]) -> Tensor:
        layer = super().clip_vectors(waveforms, rates)
        clips = [resample(clip, rate, SPECTROGRAM_RATE) for clip, rate in zip(waveforms, rates, strict=True)]
        fixed, conf = self._fixed(clips, SPECTROGRAM_RATE), self.conf
        return torch.cat([layer, self.spm(*log_spectrograms(fixed, conf.spectrogram_hop, conf.least_magnitude))], dim=1)


def log_spectrograms(waveforms: Waveforms, hop: int = 160, least: float = LEAST_MAGNITUDE) -> tuple[Tensor, Tensor]:
    """Return the logarithm (base 10) of the magnitudes, ``[B, T, 161]``, 0 past each clip's end, and its lengths ``[B]``.

    Each clip is transformed alone: frame t is centred on sample ``hop * t``, with zeros beyond the ends.

    >>> spectrograms, lengths = log_spectrograms([torch.zeros(48000), torch.zeros(24000)])
    >>> spectrograms.shape, lengths.tolist(), spectrograms[1, 0, 0].item()
    (torch.Size([2, 301, 161]), [301, 151], -7.0)
    """
    window = torch.hann_window(WINDOW, device=waveforms[0].device)
    clips = []
    for waveform in waveforms:
        bins = torch.stft(waveform.float(), WINDOW, hop, window=window, pad_mode="constant", return_complex=True)
        clips.append(bins.abs().clamp(least, LARGEST_MAGNITUDE).log10().T)
    lengths = torch.tensor([len(clip) for clip in clips], device=window.device)
    return nn.utils.rnn.pad_sequence(clips, batch_first=True), lengths


class LayerBranch(nn.Module):
    """Convolutions over the hidden states (the code's FPM).

    Args:
        dim: width of the hidden states.
        channels: of each convolution; pooling follows all but the first.
        dropout: behind each of them.
        num_frames: of every clip, for the published network; None for clips of any length. Then convolutions see zeros beyond
            a clip's ends, as many frames come out as go in, and the last window of a pooling may be short.

    Attributes:
        dim: of the output.
    """

    def __init__(self, dim: int, channels: Sequence[int], dropout: float, num_frames: int | None) -> None:
        super().__init__()
        self.num_frames, self.dropout = num_frames, nn.Dropout(dropout)
        padding = KERNEL // 2 if num_frames is None else 0
        widths = (dim, *channels)
        self.convs = nn.ModuleList(
            nn.Conv1d(before, after, KERNEL, padding=padding) for before, after in itertools.pairwise(widths)
        )
        self.norms = nn.ModuleList()
        for number, width in enumerate(channels):
            if num_frames is not None:
                num_frames -= KERNEL - 1
                if num_frames < (POOL if number else 1):
                    raise ConfigError("model_conf: fixed_seconds: too short for the convolutions and poolings")
            self.norms.append(nn.LayerNorm(width if num_frames is None else (width, num_frames)))
            if num_frames is not None and number:
                num_frames //= POOL
        self.dim = channels[-1] * (2 if num_frames is None else num_frames)

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Map ``[B, T, dim]`` to ``[B, self.dim]``."""
        if self.num_frames is not None:
            return self._published(frames.transpose(1, 2))
        frames = zero_padding(frames, lengths)
        for number, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            frames = norm(conv(frames.transpose(1, 2)).transpose(1, 2))
            frames = zero_padding(self.dropout(functional.relu(frames)), lengths)  # from here on 0 is also the least value
            if number:
                frames = functional.max_pool1d(frames.transpose(1, 2), POOL, ceil_mode=True).transpose(1, 2)
                lengths = (lengths + POOL - 1) // POOL
        return torch.cat([masked_mean(frames, frame_mask(lengths, frames.shape[1])), frames.amax(dim=1)], dim=1)

    def _published(self, channels: Tensor) -> Tensor:
        for number, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            channels = self.dropout(functional.relu(norm(conv(channels))))
            if number:
                channels = functional.max_pool1d(channels, POOL)
        return channels.flatten(1)


class SpectrogramBranch(nn.Module):
    """Convolutions over the log spectrogram, and the maximum over time and frequency (the code's SPM).

    Args:
        channels: of each convolution.
        dropout: behind all but the last.
        bands: of frequency, with a maximum each.
        with_mean: also take the mean over the time and frequencies of each band.

    Attributes:
        dim: of the output.
    """

    def __init__(self, channels: Sequence[int], dropout: float, bands: int, with_mean: bool = False) -> None:
        super().__init__()
        self.dropout, self.bands, self.with_mean = nn.Dropout(dropout), bands, with_mean
        self.dim = bands * channels[-1] * (1 + with_mean)
        widths = (1, *channels)
        self.convs = nn.ModuleList(nn.Conv2d(before, after, 3, padding=1) for before, after in itertools.pairwise(widths))
        self.norms = nn.ModuleList(MaskedBatchNorm(width) for width in channels)

    def forward(self, spectrograms: Tensor, lengths: Tensor) -> Tensor:
        """Map ``[B, T, bins]``, zero past each length, to ``[B, self.dim]``."""
        maps = spectrograms[:, None].contiguous(memory_format=torch.channels_last)  # a third of the time on a CPU
        for number, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            mask = frame_mask(lengths, maps.shape[2])
            # Past a clip's end there is 0, which a convolution sees beyond the ends of a clip alone, and no maximum is below.
            maps = functional.relu(norm(conv(maps).permute(0, 2, 3, 1), mask)).permute(0, 3, 1, 2)
            if number == 1:
                maps, lengths = functional.max_pool2d(maps, SPECTROGRAM_POOL), lengths // SPECTROGRAM_POOL
                maps = maps.masked_fill(~frame_mask(lengths, maps.shape[2])[:, None, :, None], 0.0)
            if number + 1 < len(self.convs):
                maps = self.dropout(maps)
        pooled = functional.adaptive_max_pool2d(maps, (1, self.bands)).flatten(1)
        if not self.with_mean:
            return pooled
        over_time = maps.float().sum(dim=2) / lengths[:, None, None]
        return torch.cat([pooled, functional.adaptive_avg_pool1d(over_time, self.bands).flatten(1)], dim=1)


def _perceptron(dim: int, hidden_dims: Sequence[int], outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for hidden_dim in hidden_dims:
        layers += [nn.Linear(dim, hidden_dim), nn.ReLU()]
        dim = hidden_dim
    return nn.Sequential(*layers, nn.Linear(dim, outputs))
