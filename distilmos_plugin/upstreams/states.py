"""Hidden states on disk: what a frozen upstream gives for a clip is the same in every epoch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from distilmos_plugin.files import atomic_write, fingerprint


class StateCache:
    """Keeps the states of clips that come again, each in a file that is named by a digest of the clip's samples.

    What an earlier run has left is used; a file is whole or absent. When the limit is reached the rest is computed anew
    each time: nothing is thrown out, as every epoch comes back to every clip.

    Args:
        directory: the states lie in a folder of it that is named after the upstream and the layers.
        digest: of the upstream.
        layers: whose states are kept, 1 is the first transformer layer.
        limit: bytes that the folder may hold.
    """

    def __init__(self, directory: Path, digest: str, layers: Sequence[int], limit: int) -> None:
        self.layers, self.limit = tuple(layers), limit
        self.folder = directory / fingerprint([digest, self.layers])
        self.folder.mkdir(parents=True, exist_ok=True)
        for leftover in self.folder.glob(".*.tmp"):
            leftover.unlink(missing_ok=True)
        self.size = sum(path.stat().st_size for path in self.folder.glob("*.npy"))

    def states(self, clips: Sequence[Tensor], compute: Callable[[list[Tensor]], Sequence[Sequence[Tensor]]]) -> list[Tensor]:
        """Return the states of each clip, ``[layers, T, D]`` on the clip's device.

        Args:
            clips: waveforms ``[samples]``.
            compute: clips -> for each one its states ``[T, D]`` by layer, from layer 0 on; called for those that are not kept.
        """
        paths = [self._path(clip) for clip in clips]
        found = [self._read(path) for path in paths]
        missing = [index for index, states in enumerate(found) if states is None]
        if missing:
            for index, states in zip(missing, compute([clips[index] for index in missing]), strict=True):
                found[index] = torch.stack([states[layer] for layer in self.layers]).detach()
                self._write(paths[index], found[index])
        return [states.to(clip.device) for states, clip in zip(found, clips, strict=True)]

    def _path(self, clip: Tensor) -> Path:
        samples = clip.detach().cpu().contiguous().numpy()
        return self.folder / f"{hashlib.blake2b(samples.tobytes(), digest_size=16).hexdigest()}.npy"

    def _read(self, path: Path) -> Tensor | None:
        try:
            return torch.from_numpy(np.load(path))
        except FileNotFoundError:
            return None

    def _write(self, path: Path, states: Tensor) -> None:
        size = states.numel() * 4  # float32
        if self.size + size > self.limit:
            return
        with atomic_write(path, "wb") as file:
            np.save(file, states.float().cpu().numpy())
        self.size += size
