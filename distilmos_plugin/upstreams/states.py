"""What frozen parts of an upstream give, on disk: for a clip it is the same in every epoch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from distilmos_plugin.errors import UpstreamError
from distilmos_plugin.files import atomic_write, fingerprint
from distilmos_plugin.upstreams.experts import digest
from distilmos_plugin.upstreams.upstream import HiddenStates, Upstream


class ClipFiles:
    """A file a clip, named by a digest of its samples; whole or absent, and used by later runs.

    When the limit is reached nothing is added. Nothing is thrown out to make room: every epoch comes back to every clip.

    Args:
        folder: made if need be.
        limit: bytes that it may hold.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.limit = folder, limit
        self.size = sum(path.stat().st_size for path in folder.glob("*.npy"))

    @staticmethod
    def name(clip: Tensor, rate: int | None = None) -> str:
        """Return the name of a clip ``[samples]``."""
        samples = clip.detach().cpu().contiguous().numpy().tobytes()
        return hashlib.blake2b(samples, digest_size=16, salt=str(rate or "").encode()).hexdigest()

    def read(self, name: str) -> Tensor | None:
        """Return what is kept, float32; None if it is not."""
        try:
            return torch.from_numpy(np.load(self.folder / f"{name}.npy"))
        except FileNotFoundError:
            return None

    def write(self, name: str, values: Tensor) -> None:
        """Keep something unless there is no room."""
        content = values.detach().float().cpu().numpy()
        if self.size + content.nbytes <= self.limit:
            with atomic_write(self.folder / f"{name}.npy", "wb") as file:
                np.save(file, content)
            self.size += content.nbytes


class StateCache:
    """Puts itself before a frozen upstream's forward pass, and keeps the states of clips that come again.

    Args:
        upstream: frozen; its ``forward`` is replaced, and takes unpadded clips.
        directory: the states lie in a folder of it that is named after the upstream's weights, as they are at its first
            pass (``init_param`` may have changed them), and the layers.
        layers: whose states are kept, 1 is the first transformer layer. Of the others there is None in their place.
        limit: bytes that the folder may hold.
    """

    def __init__(self, upstream: Upstream, directory: Path, layers: Sequence[int], limit: int) -> None:
        self.layers, self.limit, self.num_states = tuple(layers), limit, upstream.num_layers + 1
        self.directory, self._files = directory, None
        self._upstream, self._compute = upstream, upstream.forward
        upstream.forward = self.forward

    def forward(self, waveforms: Sequence[Tensor], lengths: None = None, rates: Sequence[int] | None = None) -> HiddenStates:
        """Return the states of clips ``[samples]`` as the upstream would; see :class:`HiddenStates`."""
        if self._files is None:
            weights = digest(self._upstream.architecture, self._upstream.expert)
            self._files = ClipFiles(self.directory / fingerprint([weights, self.layers]), self.limit)
        names = [ClipFiles.name(clip, None if rates is None else rates[i]) for i, clip in enumerate(waveforms)]
        found = [self._files.read(name) for name in names]
        missing = [index for index, states in enumerate(found) if states is None]
        if missing:
            options = {} if rates is None else {"rates": [rates[index] for index in missing]}
            hidden = self._compute([waveforms[index] for index in missing], **options)
            kept = torch.stack([hidden.states[layer] for layer in self.layers], dim=2).detach()
            for row, index in enumerate(missing):
                found[index] = kept[row, : int(hidden.lengths[row])]
                self._files.write(names[index], found[index])
        device = waveforms[0].device
        padded = nn.utils.rnn.pad_sequence([states.to(device) for states in found], batch_first=True)
        by_layer = dict(zip(self.layers, padded.unbind(dim=2), strict=True))
        lengths = torch.tensor([len(states) for states in found], device=device)
        return HiddenStates(tuple(by_layer.get(layer) for layer in range(self.num_states)), lengths)


class FrontEndCache:
    """Puts itself before the frozen convolutions of an upstream whose transformer is trained, and keeps what they give.

    Args:
        upstream: its front end is replaced.
        directory: the files lie in a folder of it that is named after the front end's weights, as they are at its first pass.
        limit: bytes that the folder may hold.

    Raises:
        UpstreamError: if the upstream has no front end that is known and runs clip by clip, or one that is trained.
    """

    def __init__(self, upstream: Upstream, directory: Path, limit: int) -> None:
        if not upstream.exact or upstream.conf.train_front_end:
            raise UpstreamError(
                f"upstream '{upstream.name}' has no front end whose output could be kept; set upstream_conf: cache_gb: 0"
            )
        self.directory, self.limit, self._files = directory, limit, None
        self._upstream = upstream
        upstream.replace_front_end(self._before)

    def _before(self, front_end: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def forward(waveforms: Tensor) -> Tensor:
            return torch.cat([self._frames(clip, front_end) for clip in waveforms])

        return forward

    def _frames(self, clip: Tensor, front_end: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the frames ``[1, C, T]`` of a clip ``[samples]``."""
        if self._files is None:
            expert = self._upstream.expert
            weights = digest(self._upstream.architecture, expert, expert.model.feature_extractor)
            self._files = ClipFiles(self.directory / fingerprint([weights, "front end"]), self.limit)
        sfi = self._upstream.sfi
        name = ClipFiles.name(clip, None if sfi is None else sfi.rate)
        frames = self._files.read(name)
        if frames is None:
            frames = front_end(clip[None])
            self._files.write(name, frames)
        return frames.to(clip.device)
