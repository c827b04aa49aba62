"""A bounded, seeded draw of frames, to which every clip contributes an equal share."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import numpy as np

from distilmos_plugin.upstreams.upstream import HiddenStates


def equal_shares(frames: Mapping[str, int], max_frames: int, seed: int) -> dict[str, int]:
    """Share a number of frames among clips: the same number for each, or all of a clip that has fewer.

    With more clips than frames, the clips that give one frame each are drawn.

    Args:
        frames: key -> frames of the clip.
        max_frames: frames in all.
        seed: of that draw.

    Returns:
        key -> frames to draw; clips that give none are left out.

    >>> equal_shares({"a": 10, "b": 2, "c": 10}, 12, seed=0)
    {'a': 5, 'b': 2, 'c': 5}
    """
    if len(frames) > max_frames:
        keys = sorted(frames)
        drawn = np.random.default_rng(seed).choice(len(keys), max_frames, replace=False)
        return {keys[index]: 1 for index in sorted(drawn)}
    left, share = max_frames, 0
    for place, count in enumerate(sorted(frames.values())):
        share = left // (len(frames) - place)
        if share < count:
            break
        left -= count
    else:
        share = max(frames.values(), default=0)
    return {key: min(count, share) for key, count in frames.items()}


class FrameSample:
    """Frames of every layer, drawn clip by clip into memory that is taken once.

    Which frames a clip gives depends on the seed and its key alone, not on batches or their order. All layers take the same
    frames.

    Args:
        shares: key -> frames to draw (:func:`equal_shares`).
        layers: indices of hidden states.
        dim: their width.
        seed: of the draw.

    Attributes:
        filled: frames drawn so far; never more than the sum of the shares.
    """

    def __init__(self, shares: Mapping[str, int], layers: Sequence[int], dim: int, seed: int) -> None:
        self._layers, self._seed = tuple(layers), seed
        self._slots: dict[str, slice] = {}
        start = 0
        for key in sorted(shares):  # a clip's place does not depend on when it comes
            self._slots[key] = slice(start, start + shares[key])
            start += shares[key]
        self._frames = np.full((len(self._layers), start, dim), np.nan, dtype=np.float32)
        self.filled = 0

    @property
    def nbytes(self) -> int:
        return self._frames.nbytes

    def add(self, keys: Sequence[str], hidden: HiddenStates) -> None:
        """Draw from a batch of clips."""
        for row, (key, length) in enumerate(zip(keys, hidden.lengths.tolist(), strict=True)):
            slot = self._slots[key]
            share = min(slot.stop - slot.start, length)  # a header may promise a frame more than the audio gives
            generator = np.random.default_rng([self._seed, zlib.crc32(key.encode())])
            chosen = np.sort(generator.choice(length, share, replace=False))
            for place, layer in enumerate(self._layers):
                state = hidden.states[layer][row]
                self._frames[place, slot.start : slot.start + share] = state[chosen.tolist()].float().cpu().numpy()
            self.filled += share

    def layer(self, place: int) -> np.ndarray:
        """Return the frames of a layer, float32 ``[filled, dim]``."""
        frames = self._frames[place]
        return frames if self.filled == len(frames) else frames[~np.isnan(frames[:, 0])]
