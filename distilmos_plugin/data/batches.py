"""Batches of clips of like length: for training, redrawn each epoch; for scoring, packed once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

from distilmos_plugin.errors import DataError

MAX_PADDING = 0.15  # share of a packed batch's padded length that may be padding
JITTER = 0.05  # lengths are drawn this much longer or shorter, relative, before a training epoch sorts them


def pack(
    seconds: Sequence[float], batch_seconds: float, batch_size: int | None = None, max_padding: float = MAX_PADDING
) -> list[list[int]]:
    """Group clips into batches for scoring, longest first, so that a batch too big for the device fails at once.

    Args:
        seconds: duration of each clip.
        batch_seconds: padded audio in a batch, seconds: longest clip times clips. A longer clip gets a batch of its own.
        batch_size: at most so many clips in a batch; None for no limit.
        max_padding: share of a batch's padded length that may be padding; less padding, more batches.

    Returns:
        Batches of indices into ``seconds``; every index once.

    >>> pack([1.0, 4.0, 3.9, 1.0], batch_seconds=8.0)
    [[1, 2], [0, 3]]
    """
    batches: list[list[int]] = []
    longest = total = 0.0
    for index in sorted(range(len(seconds)), key=lambda i: (-seconds[i], i)):
        padded = longest * (len(batches[-1]) + 1) if batches else 0.0
        fits = batches and padded <= batch_seconds and (batch_size is None or len(batches[-1]) < batch_size)
        if fits and total + seconds[index] >= (1.0 - max_padding) * padded:
            batches[-1].append(index)
            total += seconds[index]
        else:
            batches.append([index])
            longest = total = seconds[index]
    return batches


class LengthBatches(Sampler[list[int]]):
    """Training batches: a batch sampler for ``torch.utils.data.DataLoader``.

    Clips of like length share a batch; which ones, and the order of the batches, are drawn anew each epoch from a private
    generator seeded by ``(seed, epoch)``. Every clip comes exactly once an epoch. The number of batches is the same in
    every epoch and on every rank, and the batches that ranks take at the same time are of like length. Where the bounds
    leave one clip a batch and their number does not come out even among the ranks, the shortest clips share a batch.

    Args:
        seconds: duration of each clip, as cropped.
        batch_seconds: padded audio in a batch, seconds: longest clip times clips. A longer clip gets a batch of its own.
        batch_size: at most so many clips in a batch.
        seed: of all draws.
        num_replicas: ranks that share an epoch.
        rank: of this process, from 0.

    Raises:
        DataError: if there are fewer clips than ranks.
    """

    def __init__(
        self,
        seconds: Sequence[float],
        batch_seconds: float,
        batch_size: int,
        seed: int = 0,
        num_replicas: int = 1,
        rank: int = 0,
    ) -> None:
        if len(seconds) < num_replicas:
            raise DataError(f"{len(seconds)} training clips cannot be shared by {num_replicas} devices")
        self._seconds = np.asarray(seconds, dtype=np.float64)
        self._seed, self._num_replicas, self._rank = seed, num_replicas, rank
        self._epoch = 0
        self._sizes = self._batch_sizes(batch_seconds, batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, from 0, that the next iteration draws."""
        self._epoch = epoch

    def __len__(self) -> int:
        """Return the number of batches of this rank."""
        return len(self._sizes) // self._num_replicas

    def __iter__(self) -> Iterator[list[int]]:
        generator = np.random.default_rng([self._seed, self._epoch])
        drawn = self._seconds * generator.uniform(1.0 - JITTER, 1.0 + JITTER, len(self._seconds))
        order = np.argsort(-drawn, kind="stable")
        batches = np.split(order, np.cumsum(self._sizes)[:-1])
        for step in generator.permutation(len(self)):
            lane = (self._rank + step) % self._num_replicas  # so that no rank always gets the longest
            yield batches[step * self._num_replicas + lane].tolist()

    def _batch_sizes(self, batch_seconds: float, batch_size: int) -> list[int]:
        """Return how many clips each batch takes, longest clips first.

        The sizes are fixed once, from the longest that the clip at each place can be after any draw: after the jitter,
        the clip at a place is at most (1 + JITTER) / (1 - JITTER) times as long as the clip there without.
        """
        ranked = np.sort(self._seconds)[::-1]
        worst = np.minimum(ranked * (1.0 + JITTER) / (1.0 - JITTER), ranked[0])
        sizes = [len(batch) for batch in pack(worst.tolist(), batch_seconds, batch_size, max_padding=1.0)]
        ranks = self._num_replicas
        even = -(-len(sizes) // ranks) * ranks
        while even <= len(ranked) and len(sizes) < even:
            largest = int(np.argmax(sizes))
            sizes[largest : largest + 1] = [sizes[largest] - sizes[largest] // 2, sizes[largest] // 2]
        while len(sizes) % ranks:  # single clips, nearly: the shortest two together are no longer than many a batch
            sizes[-2:] = [sum(sizes[-2:])]
        return sizes
