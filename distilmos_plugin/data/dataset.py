"""Training items from a data directory: audio, labels, tokens and single ratings, cropped alike."""

from __future__ import annotations

import math
import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from distilmos_plugin import audio
from distilmos_plugin.audio import WantedRate
from distilmos_plugin.data.directory import WAV, DataDirectory
from distilmos_plugin.data.labels import Labels
from distilmos_plugin.errors import DataError, some

MEAN_LISTENER = 0  # the number that stands for the mean of all listeners
NO_LISTENER = -1
NO_TOKEN = -1
FRAME_SLACK = 2  # frames by which token counts may differ from samples / hop: what the convolutions eat at the end


@dataclass
class Item:
    """One training clip.

    Attributes:
        key: of the data directory.
        waveform: float32 ``[samples]``.
        rate: of the waveform, Hz.
        targets: target name -> label.
        tokens: int64 ``[frames, layers]``, or None.
        listeners: int64 ``[R]`` listener numbers, ``NO_LISTENER`` where the clip has fewer ratings; None without.
        ratings: float32 ``[R]``, NaN where the clip has fewer ratings; None without.
        domain: number of its corpus, int64 ``[]``; None without.
    """

    key: str
    waveform: Tensor
    rate: int
    targets: dict[str, float]
    tokens: Tensor | None = None
    listeners: Tensor | None = None
    ratings: Tensor | None = None
    domain: Tensor | None = None


@dataclass
class Batch:
    """A batch of ``B`` clips; ``waveforms`` are unpadded, float32 ``[samples]`` each, at ``rates`` Hz."""

    keys: list[str]
    waveforms: list[Tensor]
    rates: list[int]
    labels: Labels


def listener_numbers(directory: DataDirectory) -> dict[str, int]:
    """Return listener name -> number, from 1 in sorted order; 0 stands for the mean listener."""
    return {name: number for number, name in enumerate(directory.listeners, start=MEAN_LISTENER + 1)}


def domain_numbers(directory: DataDirectory) -> dict[str, int]:
    """Return corpus name -> number, from 1 in sorted order, of a pooled data directory; {} of any other."""
    return {name: number for number, name in enumerate(sorted(set((directory.domains or {}).values())), start=1)}


def balanced(directory: DataDirectory, seed: int) -> tuple[str, ...]:
    """Return the keys of a pooled data directory with repeats, so that every corpus has as many as the largest.

    Every clip of a corpus comes equally often, or once more: which do is drawn, from a private generator.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for key, domain in (directory.domains or {}).items():
        groups[domain].append(key)
    most = max(map(len, groups.values()), default=0)
    generator = np.random.default_rng(seed)
    chosen = []
    for domain in sorted(groups):
        keys = groups[domain]
        extra = generator.permutation(len(keys))[: most % len(keys)]
        chosen += keys * (most // len(keys)) + [keys[i] for i in sorted(extra)]
    return tuple(chosen)


class TrainingClips(Dataset):
    """The clips of a data directory as training items.

    Everything random about an item is drawn from a private generator seeded by ``(seed, epoch, key)``, so that it does not
    depend on the order of reading or the number of loading processes. A clip that comes twice is drawn for each time.

    Args:
        directory: with the labels of all ``targets``.
        sample_rate: what clips are resampled to: Hz, or a function of a clip's own rate.
        targets: names of the labels; ``mos`` is ``utt2mos``.
        max_seconds: longer clips are cropped at random; None never crops.
        tokens: key -> token ids ``[frames, layers]`` of the whole clip; None without a token loss.
        hop_seconds: from one frame to the next; crops start on frames, and the tokens are cut to match. 0: on any sample.
        single_ratings: R, single ratings of the first target drawn for each item without replacement; 0 for none.
        listeners: listener name -> number (:func:`listener_numbers` of the training set); ratings by others are left out.
        min_seconds: shortest clip that the upstream takes.
        seed: of crops and ratings.
        allow_pipes: run ``command |`` entries of ``wav.scp``.
        keys: the items, with repeats where a clip is to come more than once an epoch; None takes each clip once.
        domains: corpus name -> number (:func:`domain_numbers`), for domain conditioning.

    Attributes:
        seconds: duration of each item, cropped, in seconds: what batches are made by.

    Raises:
        DataError: if labels, tokens or ratings are missing, or clips are too short.
    """

    def __init__(
        self,
        directory: DataDirectory,
        *,
        sample_rate: WantedRate,
        targets: Sequence[str] = ("mos",),
        max_seconds: float | None = None,
        tokens: Mapping[str, np.ndarray] | None = None,
        hop_seconds: float = 0.0,
        single_ratings: int = 0,
        listeners: Mapping[str, int] | None = None,
        min_seconds: float = 0.0,
        seed: int = 0,
        allow_pipes: bool = False,
        keys: Sequence[str] | None = None,
        domains: Mapping[str, int] | None = None,
    ) -> None:
        self.directory, self.keys = directory, directory.keys if keys is None else tuple(keys)
        self._turns = _turns(self.keys)
        self._domains = domains
        self._rate, self._hop_seconds, self._seed, self._allow_pipes = sample_rate, hop_seconds, seed, allow_pipes
        self._targets, self._tokens, self._single_ratings = tuple(targets), tokens, single_ratings
        self._max_seconds = math.inf if max_seconds is None else max_seconds
        self._ratings = self._ratings_by_key(listeners) if single_ratings else {}
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # loading processes that live on see it change
        for target in self._targets:
            if target not in directory.targets:
                raise DataError(f"{directory.path}: no utt2{target}, which training on '{target}' needs")
        if tokens is not None and (missing := [key for key in directory.keys if key not in tokens]):
            raise DataError(f"{directory.path}: no tokens for {len(missing)} of {len(directory.keys)} clips ({some(missing)})")
        seconds = directory.seconds(allow_pipes)
        if short := [key for key in directory.keys if seconds[key] < min_seconds]:
            raise DataError(f"{directory.path}: {len(short)} clips are shorter than {min_seconds:.3f} s: {some(short)}")
        self.seconds = [min(seconds[key], self._max_seconds) for key in self.keys]

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, from 0, that crops and ratings are drawn for; loading processes that already run follow."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> Item:
        key = self.keys[index]
        turn = [self._turns[index]] if self._turns[index] else []
        generator = np.random.default_rng([self._seed, int(self._epoch), zlib.crc32(key.encode()), *turn])
        try:
            sound = audio.read_audio(self.directory.wav[key], self._rate, allow_pipes=self._allow_pipes)
        except audio.AudioProblem as problem:
            raise DataError(f"{self.directory.path / WAV}: key '{key}': {problem}") from None
        hop = max(1, round(self._hop_seconds * sound.sample_rate))
        tokens = self._tokens_of(key, len(sound.samples) / hop)
        longest = self._max_seconds * sound.sample_rate
        samples, tokens = _crop(sound.samples, longest, hop, tokens, generator)
        listeners, ratings = self._draw_ratings(key, generator)
        targets = {target: self.directory.targets[target][key] for target in self._targets}
        domain = None if self._domains is None else torch.tensor(self._domains[self.directory.domains[key]])
        return Item(key, torch.from_numpy(samples), sound.sample_rate, targets, tokens, listeners, ratings, domain)

    def _tokens_of(self, key: str, num_frames: float) -> Tensor | None:
        if self._tokens is None:
            return None
        tokens = torch.from_numpy(np.asarray(self._tokens[key]).astype(np.int64))
        if tokens.ndim != 2 or abs(num_frames - len(tokens)) > FRAME_SLACK:
            raise DataError(
                f"{self.directory.path}: key '{key}': tokens of shape {tuple(tokens.shape)} do not fit audio of "
                f"{num_frames:.1f} frames; extract the tokens again"
            )
        return tokens

    def _ratings_by_key(self, listeners: Mapping[str, int] | None) -> dict[str, list[tuple[int, float]]]:
        if self.directory.ratings is None or listeners is None:
            raise DataError(f"{self.directory.path}: no ratings.tsv, which training on single ratings needs")
        by_key: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for rating in self.directory.ratings:
            if rating.target == self._targets[0] and rating.listener in listeners:
                by_key[rating.key].append((listeners[rating.listener], rating.value))
        if not by_key:
            there = sorted({rating.target for rating in self.directory.ratings})
            raise DataError(
                f"{self.directory.path}: ratings.tsv has no rating of '{self._targets[0]}', the first target, by which "
                f"listeners are learnt; it has {some(there)}; name that first, or set listeners: false and single_ratings: 0"
            )
        return dict(by_key)

    def _draw_ratings(self, key: str, generator: np.random.Generator) -> tuple[Tensor | None, Tensor | None]:
        if not self._single_ratings:
            return None, None
        listeners = torch.full((self._single_ratings,), NO_LISTENER)
        ratings = torch.full((self._single_ratings,), torch.nan)
        known = self._ratings.get(key, [])
        for place, choice in enumerate(generator.permutation(len(known))[: self._single_ratings]):
            listeners[place], ratings[place] = known[choice]
        return listeners, ratings


def _crop(
    samples: np.ndarray, longest: float, hop: int, tokens: Tensor | None, generator: np.random.Generator
) -> tuple[np.ndarray, Tensor | None]:
    """Cut a whole number of frames off the ends, so that what is left has exactly that many frames fewer."""
    if len(samples) <= longest:
        return samples, tokens
    dropped = -(-(len(samples) - int(longest)) // hop)
    first = int(generator.integers(dropped + 1))
    kept = samples[first * hop : len(samples) - (dropped - first) * hop]
    return kept, None if tokens is None else tokens[first : len(tokens) - (dropped - first)]


def _turns(keys: Sequence[str]) -> list[int]:
    """Return how often each key has come before."""
    seen: dict[str, int] = defaultdict(int)
    turns = []
    for key in keys:
        turns.append(seen[key])
        seen[key] += 1
    return turns


def collate(items: Sequence[Item]) -> Batch:
    """Make a batch of items: waveforms stay unpadded, tokens are padded with ``NO_TOKEN``."""

    def stack(name: str) -> Tensor | None:
        values = [getattr(item, name) for item in items]
        return None if values[0] is None else torch.stack(values)

    targets = {name: torch.tensor([item.targets[name] for item in items]) for name in items[0].targets}
    tokens = None
    if items[0].tokens is not None:
        tokens = torch.nn.utils.rnn.pad_sequence([item.tokens for item in items], batch_first=True, padding_value=NO_TOKEN)
    labels = Labels(targets, tokens, stack("listeners"), stack("ratings"), stack("domain"))
    return Batch([item.key for item in items], [item.waveform for item in items], [item.rate for item in items], labels)
