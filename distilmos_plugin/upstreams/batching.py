"""Exact batching: what a clip gives in a padded batch is what it gives alone.

Two things leak padding into the WavLM, HuBERT and wav2vec 2.0 families (measured for s3prl 0.4.18 and transformers 5):

- the GroupNorm behind the first convolution of the "base" models takes its statistics over the whole padded time axis
  (relative error of a 5 s clip beside a 20 s one: 0.3 to 0.5);
- WavLM and HuBERT cut the padding mask into equal pieces, which leaves one partly padded frame valid (error 0.02).

So the convolutional front end is run clip by clip on unpadded audio, and the mask is counted by the convolution formula. Per
clip, GroupNorm sees what it sees alone, and the front end takes half the time on a CPU: its working set fits the cache and
no padding is convolved (8 clips of 2 to 4 s, 512 channels, one core: 1.2 s instead of 2.3 s).

On a CPU each convolution runs on its input lengthened to one of a few lengths (``lengthened``), and the outputs that saw the
added zeros are cut off: what stays is the same.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distilmos_plugin.upstreams.frames import Framing, lengthened

# WavLM hands torch a boolean padding mask beside a float position bias; torch takes it and says so at every first call.
warnings.filterwarnings("ignore", message="Support for mismatched key_padding_mask and attn_mask", category=UserWarning)


class ExactBatching:
    """Changes a model's front end and padding mask in place, so that its batches are exact.

    The changes are bound to the instance: they are lost by ``copy.deepcopy`` and are made anew by building the upstream
    again. One model serves one forward pass at a time.

    Args:
        model: an s3prl or transformers model with a ``feature_extractor`` ``[B, N] -> [B, C, T]``.
        framing: frames that the front end makes of a clip.

    Attributes:
        front_end: what clips ``[1, N]``, or several of one length, go through.
    """

    def __init__(self, model: nn.Module, framing: Framing) -> None:
        self._framing = framing
        self._num_samples: Sequence[int] | None = None
        self.front_end = model.feature_extractor.forward
        for module in model.feature_extractor.modules():
            if type(module) is nn.Conv1d and not any(module.padding):
                _convolve_few_lengths(module)
        model.feature_extractor.forward = self._clip_by_clip
        if hasattr(model, "forward_padding_mask"):
            model.forward_padding_mask = self._padding_mask

    @contextlib.contextmanager
    def clips_of(self, num_samples: Sequence[int]) -> Iterator[None]:
        """Tell the lengths of the clips of the batch, in samples, for the forward pass inside this block."""
        self._num_samples = num_samples
        try:
            yield
        finally:
            self._num_samples = None

    def _clip_by_clip(self, padded: Tensor) -> Tensor:
        """Run the front end on each clip of ``padded`` ``[B, N]``; frames past a clip's last one are 0."""
        if self._num_samples is None or len(set(self._num_samples)) == 1:
            return self.front_end(padded)
        return self._joined(
            [self.front_end(clip[:count].unsqueeze(0)) for clip, count in zip(padded, self._num_samples, strict=True)]
        )

    @staticmethod
    def _joined(frames: Sequence[Tensor]) -> Tensor:
        """Pad the frames ``[1, C, T]`` of single clips to a batch ``[B, C, T]``."""
        longest = max(item.shape[-1] for item in frames)
        return torch.cat([F.pad(item, (0, longest - item.shape[-1])) for item in frames])

    def _padding_mask(self, features: Tensor, padding_mask: Tensor) -> Tensor:
        """Return the frames that are padding, bool ``[B, T]``, from the samples that are padding, bool ``[B, N]``."""
        lengths = self._framing.counts((~padding_mask).sum(1))
        return torch.arange(features.shape[1], device=features.device) >= lengths.unsqueeze(1)


def _convolve_few_lengths(convolution: nn.Conv1d) -> None:
    """Change a convolution without padding so that it compiles for a few lengths only; its result stays the same."""
    convolve, reach = convolution.forward, convolution.dilation[0] * (convolution.kernel_size[0] - 1) + 1

    def forward(signal: Tensor) -> Tensor:
        length = signal.shape[-1]
        if signal.device.type != "cpu" or length < reach:
            return convolve(signal)
        return convolve(F.pad(signal, (0, lengthened(length) - length)))[..., : (length - reach) // convolution.stride[0] + 1]

    convolution.forward = forward
