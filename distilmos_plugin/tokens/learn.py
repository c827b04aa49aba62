"""Learning code books: k-means on every chosen layer, from one pass over the audio."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch

from distilmos_plugin.config import TokenConfig
from distilmos_plugin.data.directory import DataDirectory
from distilmos_plugin.errors import ConfigError, TokenError, require
from distilmos_plugin.progress import say, track
from distilmos_plugin.tokens.codebook import FILE, CodeBook
from distilmos_plugin.tokens.frozen import frozen_pass
from distilmos_plugin.tokens.sample import FrameSample, equal_shares
from distilmos_plugin.upstreams.upstream import Upstream

MIN_USE = 0.1
"""A layer has collapsed if the perplexity of its cluster usage lies below this share of the way from 1 to ``clusters``."""

SAME_FRAME = (
    1e-4  # of the standard deviation of projections; float32 noise is some 1e-6, and 200 000 frames find 50 000 places
)


def learn(
    upstream: Upstream,
    directory: DataDirectory,
    conf: TokenConfig,
    output: Path,
    *,
    device: str | None = None,
    allow_pipes: bool = False,
) -> CodeBook:
    """Fit a code book to every chosen layer and write it to ``<output>/codebook.safetensors``.

    The audio is read once. Memory is bounded by the sample of ``max_frames`` frames a layer: 4 bytes x layers x dim each. The
    result depends on the seed, and through sums in another order on the number of threads, not on the batches.

    Args:
        upstream: frozen, as it was pre-trained.
        directory: clips that the frames are drawn from, an equal number from each.
        conf: clusters, layers, bounds and seed.
        output: folder.
        device: where the upstream runs; None takes CUDA if there is any, else the CPU.
        allow_pipes: run ``command |`` entries of ``wav.scp``.

    Raises:
        ConfigError: if a layer does not exist, or the numbers are no good.
        DataError: naming the clip that cannot be used.
        TokenError: if a layer's code book collapsed, or there are too few frames.
    """
    layers = chosen_layers(conf, upstream)
    seconds = directory.seconds(allow_pipes)
    samples = torch.tensor([int(seconds[key] * upstream.sample_rate) for key in directory.keys])
    frames = dict(zip(directory.keys, upstream.frame_lengths(samples).tolist(), strict=True))
    shares = equal_shares(frames, conf.max_frames, conf.seed)
    total = sum(shares.values())
    if total < conf.clusters:
        raise TokenError(f"{directory.path}: {total} frames are too few for token_conf: clusters: {conf.clusters}")
    sample = FrameSample(shares, layers, upstream.dim, conf.seed)
    say(f"code books: {total} frames of {len(shares)} clips, {len(layers)} layers, {sample.nbytes / 1e9:.2f} GB")
    wanted = tuple(key for key in directory.keys if key in shares)
    for keys, hidden in frozen_pass(upstream, directory, "hidden states", keys=wanted, device=device, allow_pipes=allow_pipes):
        sample.add(keys, hidden)
    fitted = [fit_layer(layer, sample.layer(place), conf) for place, layer in enumerate(track(layers, "k-means"))]
    book = CodeBook(
        centroids=torch.from_numpy(np.stack([centroids for centroids, _ in fitted])),
        layers=layers,
        upstream=upstream.name,
        upstream_digest=upstream.digest,
        rate=upstream.sample_rate / upstream.hop,
        seed=conf.seed,
        report=tuple(figures for _, figures in fitted),
    )
    book.save(Path(output) / FILE)
    for figures in book.report:
        say(describe(figures))
    return book


def chosen_layers(conf: TokenConfig, upstream: Upstream) -> tuple[int, ...]:
    """Return the layers that get a code book, ascending, and check the other numbers too.

    Raises:
        ConfigError: naming the key.
    """
    layers = tuple(sorted(set(conf.layers))) if conf.layers is not None else tuple(range(1, upstream.num_layers + 1))
    if not layers:
        raise ConfigError(f"token_conf: layers: no layer is left to quantise (upstream {upstream.name})")
    for layer in layers:
        if not 1 <= layer <= upstream.num_layers:
            raise ConfigError(
                f"token_conf: layers: {layer} is not a layer of {upstream.name}, which is used with 1 to {upstream.num_layers}"
            )
    for key, least in (("clusters", 2), ("max_frames", conf.clusters), ("iterations", 1)):
        if getattr(conf, key) < least:
            raise ConfigError(f"token_conf: {key}: at least {least}, found {getattr(conf, key)}")
    return layers


def fit_layer(layer: int, frames: np.ndarray, conf: TokenConfig) -> tuple[np.ndarray, dict[str, float]]:
    """Fit the code book of one layer with faiss.

    Args:
        layer: its number, for messages.
        frames: float32 ``[frames, dim]``.
        conf: clusters, iterations and seed.

    Returns:
        the centroids ``[clusters, dim]``, and figures: ``layer``, ``frames``, ``used`` clusters, ``dead`` clusters (nearest to
        no frame of the sample), ``perplexity`` of the usage (1 to clusters), ``inertia`` (mean squared distance to the nearest
        centroid) and ``explained`` (share of the variance that the centroids keep).

    Raises:
        TokenError: if the layer collapsed.
    """
    faiss = require("faiss", "train")
    frames = np.ascontiguousarray(frames, dtype=np.float32)
    _check_variety(layer, frames, conf.clusters)
    mean = frames.mean(axis=0, dtype=np.float64).astype(np.float32)
    centred = frames - mean  # faiss, too, computes distances from products: see CodeBook.nearest
    kmeans = faiss.Kmeans(
        frames.shape[1],
        conf.clusters,
        niter=conf.iterations,
        seed=conf.seed,
        min_points_per_centroid=1,  # what is too few is decided above
        max_points_per_centroid=len(frames),  # the sample is bounded already
    )
    kmeans.train(centred)
    distances, nearest = kmeans.index.search(centred, 1)
    usage = np.bincount(nearest[:, 0], minlength=conf.clusters) / len(frames)
    perplexity = math.exp(-sum(share * math.log(share) for share in usage if share > 0))
    least = 1 + MIN_USE * (conf.clusters - 1)
    if perplexity < least:
        raise TokenError(
            f"layer {layer}: collapsed: its frames use {perplexity:.1f} of {conf.clusters} clusters in effect (perplexity; at "
            f"least {least:.1f}); look at the audio (silence?), or ask for fewer clusters"
        )
    inertia = float(np.maximum(distances, 0).mean(dtype=np.float64))
    variance = float(np.einsum("td,td->", centred, centred, dtype=np.float64)) / len(frames)
    figures = {
        "layer": layer,
        "frames": len(frames),
        "used": int((usage > 0).sum()),
        "dead": int((usage == 0).sum()),
        "perplexity": round(perplexity, 1),
        "inertia": inertia,
        "explained": round(1 - inertia / variance, 4),
    }
    return kmeans.centroids + mean, figures


def _check_variety(layer: int, frames: np.ndarray, clusters: int) -> None:
    """Refuse frames that hold fewer different vectors than clusters are asked for.

    Vectors count as equal whose projections on a fixed random direction differ by less than :data:`SAME_FRAME` of the
    projections' spread: sorting numbers is cheap, sorting vectors is not.
    """
    if not np.isfinite(frames).all():
        raise TokenError(f"layer {layer}: its hidden states are not finite; the upstream or the audio is damaged")
    projections = frames @ np.random.default_rng(0).standard_normal(frames.shape[1]).astype(np.float32)
    spread = projections.std(dtype=np.float64) or 1.0
    different = len(np.unique(np.round(projections / (SAME_FRAME * spread))))
    if different < clusters:
        raise TokenError(
            f"layer {layer}: collapsed: its {len(frames)} frames hold {different} different vectors, fewer than the "
            f"{clusters} clusters; look at the audio (silence? copies?), or ask for fewer clusters"
        )


def describe(figures: dict[str, float]) -> str:
    """Return a layer's figures as a line."""
    dead = f", {figures['dead']} dead" if figures["dead"] else ""
    return (
        f"layer {figures['layer']}: {figures['used']} clusters in use{dead}, perplexity {figures['perplexity']:.1f}, "
        f"inertia {figures['inertia']:.4g} ({figures['explained']:.0%} of the variance kept)"
    )
