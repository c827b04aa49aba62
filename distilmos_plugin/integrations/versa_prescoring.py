"""Scoring ahead of a program that asks for one clip after the other, as VERSA does.

VERSA hands a metric one utterance at a time. Where the list of utterances is known, the clips that will be asked for next
are read and scored in batches by :meth:`Predictor.score_many`, on a CPU by several threads. An answer is used only for the
very samples that were scored: anything else is scored by itself.
"""

from __future__ import annotations

import itertools
import logging
import zlib
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from distilmos_plugin.errors import ModelError
from distilmos_plugin.scoring.collect import Clip
from distilmos_plugin.scoring.models import load
from distilmos_plugin.scoring.predictor import Predictor
from distilmos_plugin.scoring.results import Score

GROUP_CLIPS = 64  # for each stream, read and scored together
GROUP_SECONDS = 300.0  # for each stream; a group is full once it has this much audio: 19 MB at 16 kHz
MAX_STREAMS = 4  # models that score at once on a CPU: beyond that, one stream's own threads do better
STREAM_CLIPS = 16  # a list with fewer for each stream is not worth loading another model

INT16_PEAK, INT16_FULL_SCALE = 32767.0, 32768.0

Fingerprint = tuple[int, int, int]
Read = Callable[[str], tuple[int, np.ndarray]]

logger = logging.getLogger(__name__)


def fingerprint(samples: np.ndarray, sample_rate: int) -> Fingerprint:
    """Return rate, length and CRC-32 of samples ``[time]``: what tells whether an answer is about them."""
    return int(sample_rate), len(samples), zlib.crc32(np.ascontiguousarray(samples).data)


def as_recorded(samples: np.ndarray) -> np.ndarray:
    """Return samples ``[time]`` with the full scale that :mod:`distilmos_plugin.audio` gives them.

    VERSA divides the 16-bit samples of its Kaldi reader by 32767, where libsndfile divides by 32768. That moves scores in
    the fourth digit, so it is undone: only samples of the first kind are all whole numbers when multiplied by 32767.

    >>> (as_recorded(np.array([16384, -32768, 5]) / 32767) * 32768).tolist()
    [16384.0, -32768.0, 5.0]
    >>> (as_recorded(np.array([16384, -32768, 5]) / 32768) * 32768).tolist()
    [16384.0, -32768.0, 5.0]
    """
    if samples.dtype != np.float64 or not len(samples):
        return samples
    steps = samples * INT16_PEAK
    whole = np.rint(steps)
    if not np.isfinite(steps).all() or np.abs(steps - whole).max() > 1e-6:  # float64 is off by 1e-11 at most
        return samples
    return whole / INT16_FULL_SCALE


def streams_for(predictor: Predictor, clips: int) -> int:
    """Return how many models should score a list at once: one on a GPU; on a CPU as many as torch has threads, up to 4."""
    if predictor.device.type != "cpu":
        return 1
    return max(1, min(MAX_STREAMS, torch.get_num_threads(), clips // STREAM_CLIPS))


def load_streams(name: str, predictor: Predictor, count: int) -> list[Predictor]:
    """Return ``count`` predictors of the model of that name, the given one first, all with its weights in memory once.

    A system keeps the lengths of the batch that it works on, so that two threads need two of it.
    """
    streams = [predictor]
    for _ in range(count - 1):
        other = load(name, str(predictor.device), predictor.precision)
        tensors = predictor.model.state_dict(keep_vars=True)
        for key, tensor in other.model.state_dict(keep_vars=True).items():
            tensor.data = tensors[key].data
        streams.append(other)
    return streams


@dataclass(frozen=True)
class Answer:
    """A score, and the samples that it is about."""

    samples: Fingerprint
    score: Score


class Prescorer:
    """Scores the clips of a list in its order, a group of them whenever the next one asked for has not been scored.

    It works only while it is asked: what else the asking program computes is not disturbed. Clips before the one that is
    asked for are left out: they were not wanted.

    Args:
        streams: predictors of one model (:func:`load_streams`); a group is divided among them.
        keys: the list, in the order of the questions.
        read: key -> ``(sample_rate, samples [time])``, exactly as they come with the question. A clip for which it raises
            is left out.
        done: keys that will probably not be asked for.
        batch_seconds: padded audio in a batch; None takes the model's.
        frames: also give scores over time.
    """

    def __init__(
        self,
        streams: Sequence[Predictor],
        keys: Iterable[str],
        read: Read,
        done: Container[str] = (),
        batch_seconds: float | None = None,
        frames: bool = False,
    ) -> None:
        self._streams, self._read, self._done = tuple(streams), read, done
        self._keys = tuple(keys)
        self._positions = {key: position for position, key in enumerate(self._keys)}
        self._options = {"batch_seconds": batch_seconds, "frames": frames, "workers": 1}
        self._answers: dict[str, Answer] = {}
        self._next = 0  # position of the next clip to be read

    def ask(self, key: str, samples: np.ndarray, sample_rate: int) -> Score | None:
        """Return the score of a clip; None if it has to be scored by itself. Each clip is answered once."""
        position = self._positions.get(key)
        if position is None:
            return None
        if key in self._done:
            self._done = ()  # what told us so was wrong
        if position >= self._next:
            self._next = position
            self._answers = self._score_group()
        answer = self._answers.pop(key, None)
        if answer is None or answer.samples != fingerprint(samples, sample_rate):
            return None
        return answer.score

    def _score_group(self) -> dict[str, Answer]:
        group = dict(self._read_group())
        shares = _shares(list(group.values()), len(self._streams))
        threads = torch.get_num_threads()
        try:
            # Entered here once: the streams would restore each other's settings of the whole process.
            with self._streams[0].arithmetic(), ThreadPoolExecutor(len(self._streams)) as pool:
                scored = pool.map(self._score_share, self._streams, shares, itertools.repeat(max(1, threads // len(shares))))
                scores = {score.key: score for part in scored for score in part}
        except ModelError as error:  # no memory for a batch; one clip may fit
            logger.warning("scoring clip by clip from here on: %s", error)
            self._next = len(self._keys)
            return {}
        finally:
            torch.set_num_threads(threads)
        return {key: Answer(samples, scores[key]) for key, samples in group}

    def _score_share(self, stream: Predictor, clips: list[Clip], threads: int) -> list[Score]:
        if stream.device.type == "cpu":
            torch.set_num_threads(threads)  # of this thread, and of those that begin after it
        return list(stream.score_many(clips, **self._options))

    def _read_group(self) -> Iterator[tuple[tuple[str, Fingerprint], Clip]]:
        seconds, count = 0.0, 0
        most, longest = GROUP_CLIPS * len(self._streams), GROUP_SECONDS * len(self._streams)
        while self._next < len(self._keys) and count < most and seconds < longest:
            key = self._keys[self._next]
            self._next += 1
            if key in self._done:
                continue
            try:
                rate, samples = self._read(key)
            except Exception as error:  # of whatever kind VERSA's readers raise; VERSA meets it again when it reads the clip
                logger.debug("%s: not read ahead: %s", key, error)
                continue
            count, seconds = count + 1, seconds + len(samples) / rate
            yield (key, fingerprint(samples, rate)), Clip(key, as_recorded(samples).astype(np.float32), None, int(rate))


def _shares(clips: list[Clip], count: int) -> list[list[Clip]]:
    """Divide clips into lists of about the same duration."""
    shares: list[list[Clip]] = [[] for _ in range(count)]
    seconds = [0.0] * count
    for clip in sorted(clips, key=lambda clip: -len(clip.source) / clip.sample_rate):
        lightest = seconds.index(min(seconds))
        shares[lightest].append(clip)
        seconds[lightest] += len(clip.source) / clip.sample_rate
    return shares
