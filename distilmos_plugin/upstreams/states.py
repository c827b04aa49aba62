"""Hidden states on disk: what a frozen upstream gives for a clip is the same in every epoch."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from distilmos_plugin.files import atomic_write, fingerprint
from distilmos_plugin.upstreams.experts import digest
from distilmos_plugin.upstreams.upstream import HiddenStates, Upstream


class StateCache:
    """Puts itself before a frozen upstream's forward pass, and keeps the states of clips that come again.

    Each clip has a file, named by a digest of its samples, that is whole or absent; what an earlier run has left is used.
    When the limit is reached the rest is computed anew each time. Nothing is thrown out to make room: every epoch comes
    back to every clip.

    Args:
        upstream: frozen; its ``forward`` is replaced, and takes unpadded clips.
        directory: the states lie in a folder of it that is named after the upstream's weights, as they are at its first
            pass (``init_param`` may have changed them), and the layers.
        layers: whose states are kept, 1 is the first transformer layer. Of the others there is None in their place.
        limit: bytes that the folder may hold.
    """

    def __init__(self, upstream: Upstream, directory: Path, layers: Sequence[int], limit: int) -> None:
        self.layers, self.limit, self.num_states = tuple(layers), limit, upstream.num_layers + 1
        self.directory, self.folder, self.size = directory, directory, 0
        self._upstream, self._compute = upstream, upstream.forward
        upstream.forward = self._open

    def _open(self, *arguments: Any, **options: Any) -> HiddenStates:
        """Find the folder, at the first pass."""
        weights = digest(self._upstream.architecture, self._upstream.expert)
        self.folder = self.directory / fingerprint([weights, self.layers])
        self.folder.mkdir(parents=True, exist_ok=True)
        self.size = sum(path.stat().st_size for path in self.folder.glob("*.npy"))
        self._upstream.forward = self.forward
        return self.forward(*arguments, **options)

    def forward(self, waveforms: Sequence[Tensor], lengths: None = None, rates: Sequence[int] | None = None) -> HiddenStates:
        """Return the states of clips ``[samples]`` as the upstream would; see :class:`HiddenStates`."""
        names = [self._name(clip, None if rates is None else rates[i]) for i, clip in enumerate(waveforms)]
        found = [self._read(name) for name in names]
        missing = [index for index, states in enumerate(found) if states is None]
        if missing:
            options = {} if rates is None else {"rates": [rates[index] for index in missing]}
            hidden = self._compute([waveforms[index] for index in missing], **options)
            kept = torch.stack([hidden.states[layer] for layer in self.layers], dim=2).detach()
            for row, index in enumerate(missing):
                found[index] = kept[row, : int(hidden.lengths[row])]
                self._write(names[index], found[index])
        device = waveforms[0].device
        padded = nn.utils.rnn.pad_sequence([states.to(device) for states in found], batch_first=True)
        by_layer = dict(zip(self.layers, padded.unbind(dim=2), strict=True))
        lengths = torch.tensor([len(states) for states in found], device=device)
        return HiddenStates(tuple(by_layer.get(layer) for layer in range(self.num_states)), lengths)

    def _name(self, clip: Tensor, rate: int | None) -> str:
        samples = clip.detach().cpu().contiguous().numpy().tobytes()
        return hashlib.blake2b(samples, digest_size=16, salt=str(rate or "").encode()).hexdigest()

    def _read(self, name: str) -> Tensor | None:
        try:
            return torch.from_numpy(np.load(self.folder / f"{name}.npy"))
        except FileNotFoundError:
            return None

    def _write(self, name: str, states: Tensor) -> None:
        """Write states ``[T, layers, D]`` unless there is no room."""
        content = states.float().cpu().numpy()
        if self.size + content.nbytes <= self.limit:
            with atomic_write(self.folder / f"{name}.npy", "wb") as file:
                np.save(file, content)
            self.size += content.nbytes
