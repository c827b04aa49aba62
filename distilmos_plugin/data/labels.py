"""Labels of a batch: what the data give and the models learn from."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass
class Labels:
    """Truth of a batch of ``B`` clips.

    Attributes:
        targets: target name -> label ``[B]``; NaN where a clip has no label for the target.
        tokens: code-book ids int64 ``[B, T, layers]``, -1 past a clip's length; None without a token loss.
        listeners: listener numbers int64 ``[B, R]`` of R single ratings a clip, -1 where there is none; 0 is never used
            here, it is the mean listener. None without listener conditioning.
        ratings: the single ratings ``[B, R]`` of the first target; NaN where there is none.
        domains: number of each clip's corpus int64 ``[B]``, from 1; None without domain conditioning.
    """

    targets: dict[str, Tensor]
    tokens: Tensor | None = None
    listeners: Tensor | None = None
    ratings: Tensor | None = None
    domains: Tensor | None = None
