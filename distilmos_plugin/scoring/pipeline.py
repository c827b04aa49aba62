"""From clips to scores: open, batch by length, run the model, put back in order."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from distilmos_plugin.audio import AudioProblem
from distilmos_plugin.data.batches import pack
from distilmos_plugin.scoring.collect import Clip
from distilmos_plugin.scoring.recordings import Recording, open_recording, read_ahead, windows
from distilmos_plugin.scoring.results import Curve, Score

if TYPE_CHECKING:
    from distilmos_plugin.scoring.predictor import Predictor

LOOK_AHEAD_BATCHES = 4  # batches chosen together: without a choice of clips there is padding
LOOK_AHEAD_CLIPS = 512  # of no or little audio
CLIPS_IN_FLIGHT = 64  # opened before the model wants them; each holds one window at most, 3.8 MB a minute


@dataclass(frozen=True)
class Opened:
    """A clip after reading: a recording to score, or the problem with it (and the recording where it could be read)."""

    clip: Clip
    recording: Recording | None = None
    problem: AudioProblem | None = None

    def close(self) -> None:
        """Release the file."""
        if self.recording is not None:
            self.recording.close()


@dataclass(frozen=True)
class Pipeline:
    """Scores clips with a predictor.

    Attributes:
        predictor: runs the model.
        batch_seconds: padded audio in a batch.
        frames: also give scores over time.
        allow_pipes: run command pipes of Kaldi lists.
    """

    predictor: Predictor
    batch_seconds: float
    frames: bool = False
    allow_pipes: bool = False

    def one(self, clip: Clip) -> Score:
        """Score one clip in this thread."""
        return next(self._chunk_scores([self._open(clip)], None))

    def many(self, clips: Iterator[Clip], workers: int) -> Iterator[Score]:
        """Score clips in order; ``workers`` threads read ahead of the model."""
        waiting: deque[Future[Opened]] = deque()
        with ThreadPoolExecutor(workers, thread_name_prefix="distilmos-read") as pool:

            def opened() -> Opened | None:
                for clip in itertools.islice(clips, CLIPS_IN_FLIGHT - len(waiting)):
                    waiting.append(pool.submit(self._open, clip))
                return waiting.popleft().result() if waiting else None

            try:
                while chunk := self._take(opened):
                    yield from self._chunk_scores(chunk, pool)
            finally:
                pool.shutdown(cancel_futures=True)
                for future in waiting:
                    if not future.cancelled() and future.exception() is None:
                        future.result().close()

    def _open(self, clip: Clip) -> Opened:
        """Read a clip: what is wrong with the audio is a result, anything else an error."""
        model = self.predictor
        try:
            recording = open_recording(clip, model.model.input_rate, model.window, self.allow_pipes)
        except AudioProblem as problem:
            return Opened(clip, None, problem)
        try:
            model.refuse_short(clip.path or clip.key, recording.num_samples, recording.rate)
        except AudioProblem as problem:
            return Opened(clip, recording, problem)
        return Opened(clip, recording)

    def _take(self, opened: Callable[[], Opened | None]) -> list[Opened]:
        """Take clips until there is enough audio to choose batches from."""
        chunk: list[Opened] = []
        seconds = 0.0
        enough = LOOK_AHEAD_BATCHES * self.batch_seconds
        while seconds < enough and len(chunk) < LOOK_AHEAD_CLIPS and (item := opened()) is not None:
            chunk.append(item)
            if item.recording is not None:
                seconds += self._seconds_at_once(item.recording)
        return chunk

    def _chunk_scores(self, chunk: list[Opened], pool: Executor | None) -> Iterator[Score]:
        """Yield the scores of a few clips in order, each as soon as those before it are there."""
        done = {index: self._failure(item, item.problem) for index, item in enumerate(chunk) if item.problem is not None}
        position = 0
        try:
            for batch in [*self._batches(chunk), []]:
                done |= self._batch_scores(batch, chunk, pool)
                while position in done:
                    yield done.pop(position)
                    position += 1
        finally:
            for item in chunk:
                item.close()

    def _batches(self, chunk: list[Opened]) -> list[list[int]]:
        """Return positions in ``chunk``, batch by batch; a long clip is a batch of its own."""
        sound = [index for index, item in enumerate(chunk) if item.problem is None]
        whole = [index for index in sound if not self._is_long(chunk[index].recording)]
        seconds = [self._seconds_at_once(chunk[index].recording) for index in whole]
        batches = [[whole[position] for position in batch] for batch in pack(seconds, self.batch_seconds)]
        batches += [[index] for index in sound if self._is_long(chunk[index].recording)]
        return sorted(batches, key=min)

    def _is_long(self, recording: Recording) -> bool:
        return recording.num_samples > self.predictor.window(recording.rate)

    def _seconds_at_once(self, recording: Recording) -> float:
        """Audio of a clip that the model gets in one piece."""
        return min(recording.num_samples, self.predictor.window(recording.rate)) / recording.rate

    def _batch_scores(self, batch: list[int], chunk: list[Opened], pool: Executor | None) -> dict[int, Score]:
        items = [chunk[index] for index in batch]
        if not items:
            return {}
        if self._is_long(items[0].recording):
            return {batch[0]: self._long_score(items[0], pool)}
        recordings = [item.recording for item in items]
        waveforms = [recording.read(0, recording.num_samples) for recording in recordings]
        predicted = self.predictor.predict(waveforms, [recording.rate for recording in recordings], self.frames)
        scores = {}
        for index, item, (targets, curves) in zip(batch, items, predicted, strict=True):
            frames = None
            if curves:
                frames = Curve(
                    "frame", *self.predictor.frame_seconds, {name: tuple(curve.tolist()) for name, curve in curves.items()}
                )
            scores[index] = self._success(item, targets, frames)
        return scores

    def _long_score(self, item: Opened, pool: Executor | None) -> Score:
        """Score a clip in windows, a few at a time: the mean of the windows' scores, weighted by their durations.

        Of standard deviations the root mean square: that of the mean if the windows' errors go together, as those of one clip
        do; were they independent, it would be smaller.
        """
        model = self.predictor
        rate = item.recording.rate
        window, hop = model.window(rate), model.hop(rate)
        spans = windows(item.recording.num_samples, window, hop)
        at_once = max(1, int(self.batch_seconds * rate) // window)
        scored: list[dict[str, float]] = []
        with contextlib.ExitStack() as stack:
            reader = pool or stack.enter_context(ThreadPoolExecutor(1))
            samples = read_ahead(reader, item.recording.read, spans)
            try:
                while group := list(itertools.islice(samples, at_once)):
                    scored += [columns for columns, _ in model.predict(group, [rate] * len(group))]
            except AudioProblem as problem:  # the file changed after it had been checked
                return self._failure(item, problem)
        curves = {name: tuple(columns[name] for columns in scored) for name in model.columns}
        weights = [stop - start for start, stop in spans]
        means = {name: _mean(curve, weights, 1 if name in model.targets else 2) for name, curve in curves.items()}
        frames = Curve("window", hop / rate, window / rate, curves) if self.frames else None
        return self._success(item, means, frames, ("windowed",))

    def _success(self, item: Opened, targets: dict[str, float], frames: Curve | None, flags: tuple[str, ...] = ()) -> Score:
        if not all(map(math.isfinite, targets.values())):
            where = item.clip.path or item.clip.key
            return self._failure(item, AudioProblem("non_finite", f"{where}: the model's score is not a finite number"))
        clip, recording = item.clip, item.recording
        flags = recording.flags + flags
        duration, rate, signature = recording.duration, recording.native_rate, self.predictor.signature
        return Score(clip.key, clip.path, targets, "ok", flags, duration, rate, signature, frames=frames)

    def _failure(self, item: Opened, problem: AudioProblem) -> Score:
        known = (
            (item.recording.flags, item.recording.duration, item.recording.native_rate) if item.recording else ((), None, None)
        )
        made = (self.predictor.signature, str(problem), None, self.predictor.columns)
        return Score(item.clip.key, item.clip.path, {}, problem.status, *known, *made)


def _mean(values: Sequence[float], weights: Sequence[int], power: int) -> float:
    """Return the weighted mean, or with power 2 the weighted root mean square."""
    return float(np.average(np.array(values) ** power, weights=weights) ** (1 / power))
