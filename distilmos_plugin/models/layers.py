"""Layers that mind padding: a clip's frames never depend on what it is batched with.

Frames are ``[batch, time, dim]`` at the upstream's frame rate (50 Hz). Every layer that looks at neighbours or at the whole
batch takes the frame mask ``[batch, time]`` (True = a frame of the clip), reads zeros where a clip has ended, as a clip
alone would, and takes its statistics over valid frames only. The names of submodules are those of the DistilMOS code
(github.com/BaleYang/DistilMOS, ``model/modules.py``), so that its weights can be read by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from entmax import entmax15
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from distilmos_plugin.upstreams.frames import lengthened

LayerWeighting = Literal["entmax", "softmax", "last"]


def frame_mask(lengths: Tensor, num_frames: int) -> Tensor:
    """Return bool ``[B, num_frames]``, True for the first ``lengths[b]`` frames.

    >>> frame_mask(torch.tensor([1, 3]), 3).int().tolist()
    [[1, 0, 0], [1, 1, 1]]
    """
    return torch.arange(num_frames, device=lengths.device) < lengths[:, None]


def zero_padding(frames: Tensor, lengths: Tensor) -> Tensor:
    """Return ``[B, T, dim]`` with 0 in every frame past its clip's length, as a clip alone has beyond its end."""
    return frames.masked_fill(~frame_mask(lengths, frames.shape[1])[..., None], 0.0)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over valid frames: ``[B, T, ...]`` and bool ``[B, T]`` to ``[B, ...]``, in float32."""
    mask = mask.reshape(*mask.shape, *[1] * (values.dim() - 2))
    return values.float().masked_fill(~mask, 0.0).sum(dim=1) / mask.sum(dim=1).clamp(min=1)


class WeightedSum(nn.Module):
    """Mix the transformer layers: one weight a layer, summing to 1, then an optional projection.

    Args:
        num_layers: layers mixed.
        dim: their width.
        weighting: ``entmax`` is 1.5-entmax, which can put a layer at exactly 0 (DistilMOS); ``softmax`` as in SUPERB; ``last``
            takes the last layer and learns nothing.
        project: end with ``Linear(dim, dim)`` (DistilMOS).
    """

    def __init__(self, num_layers: int, dim: int, weighting: LayerWeighting = "entmax", project: bool = True) -> None:
        super().__init__()
        self.weighting = weighting
        self.layer_logits = None if weighting == "last" else nn.Parameter(torch.randn(num_layers) * 0.02)
        self.out_proj = None
        if project:
            self.out_proj = nn.Linear(dim, dim)
            nn.init.xavier_uniform_(self.out_proj.weight)
            nn.init.zeros_(self.out_proj.bias)

    def weights(self) -> Tensor:
        """Return the weight of each layer, float32 ``[num_layers]``; not for ``last``."""
        logits = self.layer_logits.float() - self.layer_logits.float().mean()
        return entmax15(logits, dim=0) if self.weighting == "entmax" else logits.softmax(dim=0)

    def forward(self, states: Sequence[Tensor]) -> Tensor:
        """Mix ``num_layers`` states ``[B, T, dim]`` to one."""
        if self.weighting == "last":
            mixed = states[-1]
        else:
            weights = self.weights().to(states[0].dtype)
            mixed = sum(weight * state for weight, state in zip(weights, states, strict=True))
        return mixed if self.out_proj is None else self.out_proj(mixed)


class MaskedBatchNorm(nn.BatchNorm1d):
    """Batch normalisation whose training statistics are those of the valid frames, joined end to end.

    Frames past a clip's end come out as 0. In training, fewer than two valid frames in the whole batch have no variance: the
    running statistics are used for them.
    """

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        """Normalise ``[B, T, dim]``, or any ``[B, T, ..., dim]``, under the mask ``[B, T]``."""
        places = mask.flatten().nonzero()[:, 0]
        flat = frames.flatten(0, 1)
        valid = flat.index_select(0, places).reshape(-1, frames.shape[-1])
        training = self.training and len(valid) > 1
        if training:
            self.num_batches_tracked.add_(1)
        normal = functional.batch_norm(
            valid.float(), self.running_mean, self.running_var, self.weight, self.bias, training, self.momentum, self.eps
        )
        normal = normal.reshape(len(places), *frames.shape[2:])
        return torch.zeros_like(flat, dtype=normal.dtype).index_copy(0, places, normal).view_as(frames)


class SeparableConv(nn.Module):
    """Depthwise and pointwise convolution, batch norm, GELU: the "DSBlock" of DistilMOS, no residual.

    Args:
        dim: channels.
        kernel: odd, so that with padding ``(kernel - 1) // 2`` output frame j is centred on input frame ``j * stride``.
        stride: input frames per output frame.
    """

    def __init__(self, dim: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.dw = nn.Conv1d(dim, dim, kernel, stride=stride, padding=(kernel - 1) // 2, groups=dim, bias=False)
        self.pw = nn.Conv1d(dim, dim, 1, bias=False)
        self.bn = MaskedBatchNorm(dim)

    def forward(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map ``[B, T, dim]``, zero past each length, to ``[B, T', dim]``, zero past the new lengths, and return these too."""
        frames = self.pw(self.dw(frames.transpose(1, 2))).transpose(1, 2)
        lengths = (lengths + self.stride - 1) // self.stride
        mask = frame_mask(lengths, frames.shape[1])
        return functional.gelu(self.bn(frames, mask)), lengths


class FeatureProcessor(nn.Module):
    """Projection, separable convolutions and layer norm between the encoder and the heads (DistilMOS).

    Args:
        dim: width of the input frames.
        hidden_dim: width of the output frames.
        kernels, strides: of each block.
    """

    def __init__(self, dim: int, hidden_dim: int, kernels: Sequence[int], strides: Sequence[int]) -> None:
        super().__init__()
        self.proj_in = nn.Conv1d(dim, hidden_dim, 1)
        self.blocks = nn.ModuleList(
            SeparableConv(hidden_dim, kernel, stride) for kernel, stride in zip(kernels, strides, strict=True)
        )
        self.ln = nn.LayerNorm(hidden_dim)

    def forward(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map ``[B, T, dim]`` to ``[B, T', hidden_dim]``, zero past the new lengths, which are returned too."""
        frames = zero_padding(self.proj_in(frames.transpose(1, 2)).transpose(1, 2), lengths)
        for block in self.blocks:
            frames, lengths = block(frames, lengths)
        return zero_padding(self.ln(frames), lengths), lengths


class BidirectionalLSTM(nn.LSTM):
    """One layer of LSTM in both directions over padded clips, each from its own first and last frame.

    Parameters and result are those of :class:`torch.nn.LSTM` on a packed sequence. On a CPU that one takes a step of the
    graph for every frame; here each direction is one operation, over clips of which the second is turned around: forward and
    backward pass together take a fifth to two fifths of the time (8 clips of 60 to 209 frames, 64 wide, one and two cores).

    Args:
        dim: width of the frames.
        hidden_dim: of each direction.
    """

    def __init__(self, dim: int, hidden_dim: int) -> None:
        super().__init__(dim, hidden_dim, batch_first=True, bidirectional=True)

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Map ``[B, T, dim]`` to ``[B, T, 2 * hidden_dim]``; what is past a length is meaningless."""
        if frames.is_cuda:  # cuDNN takes packed sequences whole
            packed = pack_padded_sequence(frames, lengths.cpu(), batch_first=True, enforce_sorted=False)
            return pad_packed_sequence(super().forward(packed)[0], batch_first=True, total_length=frames.shape[1])[0]
        index = torch.arange(frames.shape[1], device=lengths.device).expand(len(frames), -1)
        turned = torch.where(frame_mask(lengths, frames.shape[1]), lengths[:, None] - 1 - index, index)[:, :, None]
        half = len(self._flat_weights) // 2
        forward = self._direction(frames, self._flat_weights[:half])
        backward = self._direction(frames.take_along_dim(turned, 1), self._flat_weights[half:])
        return torch.cat([forward, backward.take_along_dim(turned, 1)], dim=2)

    def _direction(self, frames: Tensor, weights: list[Tensor]) -> Tensor:
        start = frames.new_zeros(1, len(frames), self.hidden_size)
        length = frames.shape[1]
        frames = functional.pad(frames, (0, 0, 0, lengthened(length) - length))
        return torch.lstm(frames, (start, start), weights, True, 1, 0.0, self.training, False, True)[0][:, :length]


class Decoder(nn.Module):
    """Convolution and bidirectional LSTM with a residual around the LSTM (DistilMOS).

    Args:
        dim: width of the frames, of the convolution and of the LSTM in each direction.
        dropout: between the LSTM and the projection that follows it.
    """

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.cnn = nn.Conv1d(dim, dim, 3, padding=1)
        self.bilstm = BidirectionalLSTM(dim, dim)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(2 * dim, dim)
        self.layer_norm = nn.LayerNorm(dim)

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Map ``[B, T, dim]``, zero past each length, to the same shape; what is past a length is meaningless."""
        local = self.cnn(frames.transpose(1, 2)).transpose(1, 2)
        return self.layer_norm(functional.gelu(self.linear(self.dropout(self.bilstm(local, lengths)))) + local)


class TokenPredictor(nn.Module):
    """Guess one layer's code-book token from a frame: a three-layer perceptron (DistilMOS).

    Args:
        dim: width of the frames and of the hidden layers.
        clusters: tokens of the code book.
    """

    def __init__(self, dim: int, clusters: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, clusters))

    def forward(self, frames: Tensor) -> Tensor:
        """Map ``[..., dim]`` to logits ``[..., clusters]``."""
        return self.layers(frames)


class FrameScorer(nn.Module):
    """Score each frame with a small perceptron (SSL-MOS as in SHEET: Linear, ReLU, Dropout, Linear)."""

    def __init__(self, dim: int, hidden_dim: int, dropout: float, num_targets: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(dim, hidden_dim), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden_dim, num_targets)
        )

    def forward(self, frames: Tensor) -> Tensor:
        """Map ``[B, T, dim]`` to ``[B, T, targets]``."""
        return self.layers(frames)
