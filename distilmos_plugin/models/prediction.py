"""What every system takes and gives: the types of the model interface."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from distilmos_plugin.data.labels import Labels

__all__ = ["Labels", "Prediction", "Waveforms"]

Waveforms = Sequence[Tensor]
"""A batch: one float32 mono waveform ``[samples]`` a clip, unpadded."""


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
