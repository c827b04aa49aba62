"""An SFI convolution in an upstream's front end, and batches of clips of any rates."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from distilmos_plugin.config import SFIConfig
from distilmos_plugin.typed_yaml import parse
from distilmos_plugin.upstreams.batching import ExactBatching
from distilmos_plugin.upstreams.frames import Framing
from distilmos_plugin.upstreams.sfi.convolution import SFIConvolution

KEY = "sfi"  # of an architecture: the SFI convolution's configuration
VARIANCE_FLOOR = {"hf_hubert": 1e-7, "hf_wav2vec2": 1e-7}  # of normalised waveforms in transformers; elsewhere:
LAYER_NORM_FLOOR = 1e-5


def install(model: nn.Module, conf: Mapping[str, Any], base_rate: int) -> SFIConvolution:
    """Put an SFI convolution in the place of a model's first convolution, with its bias, and return it.

    Args:
        model: an s3prl or transformers model, changed in place.
        conf: of the convolution.
        base_rate: Hz that the model was made for.
    """
    holder, name, old = first_convolution(model)
    new = SFIConvolution(
        old.out_channels, old.kernel_size[0], old.stride[0], base_rate, parse(SFIConfig, conf, KEY), bias=old.bias is not None
    )
    if old.bias is not None:
        new.bias.data.copy_(old.bias.data)
    setattr(holder, name, new)
    return new


def sfi_convolution(model: nn.Module) -> SFIConvolution | None:
    """Return a model's SFI convolution; None if it has none."""
    first = first_convolution(model)[2]
    return first if isinstance(first, SFIConvolution) else None


def first_convolution(model: nn.Module) -> tuple[nn.Module, str, nn.Module]:
    """Return where a model's first convolution is: the module that holds it, its name there, and itself."""
    layer = model.feature_extractor.conv_layers[0]
    name = "0" if isinstance(layer, nn.Sequential) else "conv"
    return layer, name, getattr(layer, name)


class RateBatching(ExactBatching):
    """Exact batches of clips at rates of their own.

    The model is given silence as long as each clip would be at its own rate, from which it counts frames and makes its
    masks; the front end reads the clips.

    Args:
        model: with an SFI convolution.
        framing: frames that the front end makes of a clip at the model's own rate.
        convolution: that of the model.
        variance_floor: waveforms are brought to mean 0 and variance 1, with this added to it; None leaves them as they are.
    """

    def __init__(
        self, model: nn.Module, framing: Framing, convolution: SFIConvolution, variance_floor: float | None = None
    ) -> None:
        super().__init__(model, framing)
        self._convolution, self._variance_floor = convolution, variance_floor
        self._clips: list[tuple[Tensor, int]] = []

    @contextlib.contextmanager
    def clips_at(self, clips: Sequence[Tensor], rates: Sequence[int]) -> Iterator[None]:
        """Tell the clips ``[samples]`` of the batch and their rates, Hz, for the forward pass inside this block."""
        self._clips = list(zip(clips, rates, strict=True))
        try:
            with self._convolution.one_step():
                yield
        finally:
            self._clips = []

    def _clip_by_clip(self, padded: Tensor) -> Tensor:
        frames = []
        for clip, rate in self._clips:
            self._convolution.rate = rate
            frames.append(self.front_end(self._normalised(clip).unsqueeze(0)))
        return self._joined(frames)

    def _normalised(self, clip: Tensor) -> Tensor:
        return clip if self._variance_floor is None else functional.layer_norm(clip, clip.shape, eps=self._variance_floor)


def variance_floor(family: str, normalizes: bool | None) -> float | None:
    """Return what an upstream of a family adds to the variance of the waveforms that it normalises; None: it does not."""
    return VARIANCE_FLOOR.get(family, LAYER_NORM_FLOOR) if normalizes else None


def silence(num_samples: Sequence[int], like: Tensor) -> list[Tensor]:
    """Return clips of zeros."""
    return [torch.zeros(count, device=like.device) for count in num_samples]
