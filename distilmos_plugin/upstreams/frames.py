"""How many frames an upstream makes of a clip."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from distilmos_plugin.errors import UpstreamError

Convolution = tuple[int, int]
"""Kernel and stride of an unpadded convolution over time, in its input's samples."""


@dataclass(frozen=True)
class Framing:
    """Frames of a clip of ``n`` samples: ``floor((n - receptive_field) / hop) + 1``, none below the receptive field.

    A stack of unpadded convolutions ``floor((n - k) / s) + 1`` collapses to this one formula exactly, because
    ``floor((floor(m / s) - c) / t) = floor((m - c s) / (s t))``. With the seven convolutions of wav2vec 2.0, HuBERT and WavLM:

    >>> framing = Framing.of([(10, 5), (3, 2), (3, 2), (3, 2), (3, 2), (2, 2), (2, 2)])
    >>> framing
    Framing(receptive_field=400, hop=320)
    >>> [framing.count(n) for n in (399, 400, 719, 720, 16000)]
    [0, 1, 1, 2, 49]

    Attributes:
        receptive_field: samples that the first frame sees; may be 0 or less where an upstream pads.
        hop: samples from one frame to the next.
    """

    receptive_field: int
    hop: int

    @staticmethod
    def of(convolutions: Sequence[Convolution]) -> Framing:
        """Collapse a stack of unpadded convolutions, the first one first."""
        receptive_field, hop = 1, 1
        for kernel, stride in convolutions:
            receptive_field += (kernel - 1) * hop
            hop *= stride
        return Framing(receptive_field, hop)

    def count(self, num_samples: int) -> int:
        """Return the frames of a clip of ``num_samples`` samples."""
        return max((num_samples - self.receptive_field) // self.hop + 1, 0)

    def counts(self, num_samples: Tensor) -> Tensor:
        """Return the frames of clips of ``num_samples`` samples, int64 of the same shape."""
        return ((num_samples - self.receptive_field).div(self.hop, rounding_mode="floor") + 1).clamp(min=0).long()


def lengthened(length: int) -> int:
    """Round a length up to one of 16 in every octave: by 6 % at most.

    On a CPU oneDNN compiles convolutions and LSTMs anew for every length that it has not seen lately, which for clips of many
    lengths takes a good part of the time; for these few it does so once.

    >>> [lengthened(n) for n in (5, 33, 1000, 16001)]
    [5, 34, 1024, 16384]
    """
    step = 1 << max(0, length.bit_length() - 5)
    return -(-length // step) * step


def parse_convolutions(text: str) -> list[Convolution]:
    """Read the ``conv_feature_layers`` of a model configuration without evaluating it as code.

    Args:
        text: a Python expression of lists of ``(dim, kernel, stride)``, joined by ``+`` and repeated by ``*``.

    Raises:
        UpstreamError: if the text is anything else.

    >>> parse_convolutions("[(512,10,5)] + [(512,3,2)] * 2")
    [(10, 5), (3, 2), (3, 2)]
    """
    try:
        layers = _value(ast.parse(text.strip(), mode="eval").body)
        return [(int(kernel), int(stride)) for _, kernel, stride in layers]
    except (SyntaxError, ValueError, TypeError):
        raise UpstreamError(f"conv_feature_layers is not a list of (dim, kernel, stride): {text!r}") from None


def _value(node: ast.expr) -> list | int:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _value(node.left) + _value(node.right)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        return _value(node.left) * _value(node.right)
    return ast.literal_eval(node)


def measure_framing(frames_of: Callable[[int], int], hop: int, num_samples: int = 16000) -> Framing:
    """Find the framing of an upstream by running it.

    Args:
        frames_of: samples of a clip -> frames that the upstream makes of it.
        hop: samples from one frame to the next, as the upstream states it.
        num_samples: length to search at and above, in samples.

    Raises:
        UpstreamError: if the frames do not grow by one for every ``hop`` samples.
    """
    start = frames_of(num_samples)
    for hops in (1, 2, 5):
        longer = num_samples + hops * hop
        if frames_of(longer) != start + hops:
            raise UpstreamError(
                f"states a hop of {hop} samples, but makes {start} frames of {num_samples} samples and {frames_of(longer)} of "
                f"{longer}"
            )
    short, long = num_samples, num_samples + hop  # frames_of(short) == start < frames_of(long)
    while long - short > 1:
        middle = (short + long) // 2
        short, long = (middle, long) if frames_of(middle) == start else (short, middle)
    return Framing(long - start * hop, hop)  # `long` is the first length with start + 1 frames
