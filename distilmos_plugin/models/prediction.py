"""What every system takes and gives: the types of the model interface."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

Waveforms = Sequence[Tensor]
"""A batch: one float32 mono waveform ``[samples]`` a clip, at the upstream's sample rate, unpadded."""


@dataclass
class Prediction:
    """Scores of a batch of ``B`` clips.

    Attributes:
        utterance: target name -> score ``[B]``, in the target's own unit (MOS points for ``mos``).
        frame_lengths: valid frames of each clip, int64 ``[B]``.
        frames: target name -> frame scores ``[B, T]``; frames past a clip's length hold 0. Empty for systems without.
        scale: target name -> predicted standard deviation ``[B]``. Empty for systems without.
        auxiliary: other outputs by name, such as ``token_logits`` ``[B, T, layers, clusters]``.
    """

    utterance: dict[str, Tensor]
    frame_lengths: Tensor
    frames: dict[str, Tensor] = field(default_factory=dict)
    scale: dict[str, Tensor] = field(default_factory=dict)
    auxiliary: dict[str, Tensor] = field(default_factory=dict)


@dataclass
class Labels:
    """Truth of a batch of ``B`` clips.

    Attributes:
        targets: target name -> label ``[B]``; NaN where a clip has no label for the target.
        tokens: code-book ids int64 ``[B, T, layers]``, -1 past a clip's length; None without a token loss.
        listeners: listener numbers int64 ``[B, R]`` of R single ratings a clip, -1 where there is none; 0 is never used
            here, it is the mean listener. None without listener conditioning.
        ratings: the single ratings ``[B, R]`` of the first target; NaN where there is none.
    """

    targets: dict[str, Tensor]
    tokens: Tensor | None = None
    listeners: Tensor | None = None
    ratings: Tensor | None = None
