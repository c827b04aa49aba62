"""Code books: k-means centroids of every chosen layer of an upstream, in one file that knows where it belongs."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from distilmos_plugin.errors import TokenError
from distilmos_plugin.files import atomic_write

if TYPE_CHECKING:
    from distilmos_plugin.upstreams.upstream import HiddenStates, Upstream

FILE = "codebook.safetensors"
FORMAT = "distilmos code book 1"

PADDING = -1  # the token of a frame past a clip's end
ROWS = 8192  # frames whose distances to all centroids are held at once


@dataclass(frozen=True)
class CodeBook:
    """Centroids of every layer.

    Attributes:
        centroids: ``[layers, clusters, dim]`` float32.
        layers: transformer layers of the upstream, 1 is the first; ascending.
        upstream: its name.
        upstream_digest: of its weights and their use (:attr:`~distilmos_plugin.upstreams.upstream.Upstream.digest`).
        rate: frames a second.
        seed: of the draw of frames and of k-means.
        report: a layer's figures of the fit, as :func:`distilmos_plugin.tokens.learn.fit_layer` gives them; in layer order.
    """

    centroids: Tensor
    layers: tuple[int, ...]
    upstream: str
    upstream_digest: str
    rate: float
    seed: int
    report: tuple[dict[str, float], ...] = ()

    @property
    def clusters(self) -> int:
        return self.centroids.shape[1]

    @property
    def digest(self) -> str:
        """16 hexadecimal digits over what decides a token: centroids, layers, upstream."""
        sha = hashlib.sha256(f"{self.layers} {self.upstream_digest}".encode())
        sha.update(self.centroids.contiguous().numpy().tobytes())
        return sha.hexdigest()[:16]

    @property
    def dtype(self) -> np.dtype:
        """The smallest unsigned integer type that holds every token."""
        return np.min_scalar_type(self.clusters - 1)

    def save(self, path: str | Path) -> None:
        """Write the code book as safetensors, atomically."""
        fields = {
            "upstream": self.upstream,
            "upstream_digest": self.upstream_digest,
            "layers": list(self.layers),
            "clusters": self.clusters,
            "seed": self.seed,
            "rate": self.rate,
            "report": list(self.report),
        }
        metadata = {FORMAT: json.dumps(fields, sort_keys=True)}  # one entry: safetensors writes several in random order
        with atomic_write(path, "wb") as file:
            file.write(save({"centroids": self.centroids.contiguous()}, metadata))

    @classmethod
    def load(cls, path: str | Path) -> CodeBook:
        """Read a code book.

        Raises:
            TokenError: if the file is missing, damaged or something else.
        """
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                if FORMAT not in metadata:
                    raise TokenError(f"{path}: not a code book ('{FORMAT}'); make one with 'distilmos tokens learn'")
                centroids = file.get_tensor("centroids")
            fields = json.loads(metadata[FORMAT])
            return cls(
                centroids,
                tuple(fields["layers"]),
                fields["upstream"],
                fields["upstream_digest"],
                fields["rate"],
                fields["seed"],
                tuple(fields["report"]),
            )
        except FileNotFoundError:
            raise TokenError(f"{path}: no such code book; make it with 'distilmos tokens learn' (run.sh stage 2)") from None
        except (SafetensorError, KeyError, ValueError, OSError) as error:
            raise TokenError(f"{path}: damaged code book ({error}); make it again with 'distilmos tokens learn'") from error

    def check_upstream(self, upstream: Upstream) -> None:
        """Refuse an upstream that the code book was not made with. The same weights under another name are the same.

        Raises:
            TokenError: naming both, if the upstream's weights, frame rate, width or number of layers do not fit.
        """
        if self.upstream_digest != upstream.digest:
            raise TokenError(
                f"the code book was made with upstream {self.upstream} ({self.upstream_digest}), not with {upstream.name} "
                f"({upstream.digest}); make one for it with 'distilmos tokens learn'"
            )
        rate = upstream.sample_rate / upstream.hop
        if self.rate != rate:
            raise TokenError(f"the code book holds tokens at {self.rate:g} Hz, upstream {upstream.name} gives {rate:g} Hz")
        if max(self.layers) > upstream.num_layers or self.centroids.shape[2] != upstream.dim:
            raise TokenError(
                f"the code book is of layers {', '.join(map(str, self.layers))} with {self.centroids.shape[2]} dimensions; "
                f"upstream {upstream.name} is loaded with {upstream.num_layers} layers of {upstream.dim}"
            )

    def assign(self, hidden: HiddenStates) -> Tensor:
        """Return the tokens of a batch, int64 ``[B, T, layers]``; :data:`PADDING` past a clip's end."""
        tokens = torch.stack([self.nearest(hidden.states[layer], place) for place, layer in enumerate(self.layers)], dim=2)
        frames = torch.arange(tokens.shape[1], device=tokens.device)
        return tokens.masked_fill((frames >= hidden.lengths.unsqueeze(1)).unsqueeze(2), PADDING)

    def nearest(self, frames: Tensor, place: int) -> Tensor:
        """Return the nearest centroid of each frame.

        Both are taken relative to the mean centroid, which changes no distance, but leaves float32 products with few
        digits to lose: the layers of upstreams have large means.

        Args:
            frames: ``[..., dim]``.
            place: of the layer in :attr:`layers`.

        Returns:
            int64 ``[...]``.
        """
        centroids = self.centroids[place].to(frames.device)
        mean = centroids.mean(0)
        centroids = centroids - mean
        half_squares = centroids.square().sum(1) / 2
        rows = frames.reshape(-1, frames.shape[-1]).split(ROWS)
        return torch.cat([(half_squares - (part - mean) @ centroids.T).argmin(1) for part in rows]).view(frames.shape[:-1])
