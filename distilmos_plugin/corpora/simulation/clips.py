"""Making the clips of a simulated listening test, many at a time, so that a run that was cut off goes on where it was."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import connection
from pathlib import Path

import numpy as np
import soundfile

from distilmos_plugin.corpora.simulation import generator
from distilmos_plugin.corpora.simulation.conditions import Condition
from distilmos_plugin.corpora.simulation.levels import at_level
from distilmos_plugin.corpora.simulation.quality import at_rate, measure
from distilmos_plugin.corpora.simulation.sources import Source
from distilmos_plugin.errors import DataError
from distilmos_plugin.files import atomic_write, fingerprint

FULL_SCALE = 32768  # of 16 bits
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")  # read by numerical libraries as they load
LEVELS = -32.0, -24.0  # dBov, lowest and highest active speech level of a clip
BABBLE_RATE = 22050  # Hz
BABBLE_TALKERS, BABBLE_SENTENCES = 6, 6  # people talking at once; sentences of each
DECIMALS = 6  # of a stored label
CLIPS_A_TURN = 4  # that a process takes at a time


@dataclass(frozen=True)
class Clip:
    """A clip to be made: what ``speaker`` says (``item``) under ``condition``, for the set ``part``."""

    key: str
    part: str
    condition: Condition
    speaker: str
    item: str


@dataclass(frozen=True)
class MadeClip:
    """What is known of a clip that was made; the fields of its label file."""

    fingerprint: str
    pesq: float
    stoi: float
    sdi: float
    num_samples: int
    rate: int


@dataclass(frozen=True)
class Studio:
    """Makes clips; each depends on its own fields and on those below, on nothing else.

    Attributes:
        folder: where the clips go, one folder a set.
        source: of clean speech.
        seed: of everything random.
        recipe: a text that changes whenever the same fields give other clips.
    """

    folder: Path
    source: Source
    seed: int
    recipe: str

    def wav(self, clip: Clip) -> Path:
        """Return where the clip's audio is written."""
        return self.folder / clip.part / f"{clip.key}.wav"

    def make(self, clip: Clip) -> MadeClip:
        """Make one clip, or return what is known of it if it is there already.

        Raises:
            DataError: if the clean speech holds no speech.
        """
        wav, labels = self.wav(clip), self.wav(clip).with_suffix(".json")
        wanted = fingerprint([self.recipe, self.seed, asdict(clip)])
        there = _read_labels(labels)
        if there is not None and there.fingerprint == wanted and wav.is_file():
            return there
        rate = clip.condition.rate
        clean, clean_rate, processed = self._process(clip)
        stored = np.clip(np.rint(processed * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
        try:
            quality = measure(clean, clean_rate, stored / FULL_SCALE, rate)
        except DataError as error:
            raise DataError(f"{clip.key} (from {clip.item}): {error}") from error
        labels_of_quality = {name: round(value, DECIMALS) for name, value in asdict(quality).items()}
        made = MadeClip(wanted, **labels_of_quality, num_samples=len(stored), rate=rate)
        memory = io.BytesIO()
        soundfile.write(memory, stored, rate, "PCM_16", format="WAV")
        labels.unlink(missing_ok=True)
        with atomic_write(wav, "wb") as file:
            file.write(memory.getvalue())
        with atomic_write(labels) as file:  # last: a label file says that its audio is whole
            json.dump(asdict(made), file)
        return made

    def _process(self, clip: Clip) -> tuple[np.ndarray, int, np.ndarray]:
        """Return clean speech [time] with its rate, and processed speech [time] at the condition's rate."""
        rng = generator(self.seed, "clip", clip.key)
        speech, rate = self.source.speech(clip.speaker, clip.item)
        clean = at_level(speech, rate, rng.uniform(*LEVELS))

        def babble(num_samples: int) -> np.ndarray:
            bed = _babble_bed(self.source, self.seed, clip.part)
            length = int(np.ceil(num_samples * BABBLE_RATE / clip.condition.rate)) + 1
            start = int(rng.integers(len(bed)))
            excerpt = np.take(bed, np.arange(start, start + length), mode="wrap")
            return at_rate(excerpt, BABBLE_RATE, clip.condition.rate)[:num_samples]

        return clean, rate, clip.condition.apply(clean, rate, rng, babble)


def _read_labels(path: Path) -> MadeClip | None:
    try:
        return MadeClip(**json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):  # not made yet, or by another version
        return None


@functools.lru_cache(maxsize=8)
def _babble_bed(source: Source, seed: int, part: str) -> np.ndarray:
    """Return several speakers of the set talking at once, float64 [time] at 22.05 kHz."""
    rng = generator(seed, "babble", part)
    speakers = source.speakers(part)
    tracks = []
    for _ in range(BABBLE_TALKERS):
        speaker = speakers[int(rng.integers(len(speakers)))]
        items = source.items(part, speaker)
        said = []
        for _ in range(BABBLE_SENTENCES):
            samples, rate = source.speech(speaker, items[int(rng.integers(len(items)))])
            said.append(at_level(at_rate(samples, rate, BABBLE_RATE), BABBLE_RATE))
        tracks.append(np.concatenate(said))
    shortest = min(len(track) for track in tracks)
    return np.sum([track[:shortest] for track in tracks], axis=0)


def make_all(studio: Studio, clips: Sequence[Clip], nj: int, done: Callable[[], object]) -> list[MadeClip]:
    """Make all clips in ``nj`` processes and call ``done`` after each; the result is in the order of ``clips``."""
    for torn in studio.folder.glob("*/.*.tmp"):  # of a run that was killed while it wrote
        torn.unlink(missing_ok=True)
    made = []
    for result in _map(studio.make, clips, nj):
        made.append(result)
        done()
    return made


def _map(make: Callable[[Clip], MadeClip], clips: Sequence[Clip], nj: int) -> Iterable[MadeClip]:
    return map(make, clips) if nj <= 1 else _map_in_processes(make, clips, nj)


def _map_in_processes(make: Callable[[Clip], MadeClip], clips: Sequence[Clip], nj: int) -> Iterator[MadeClip]:
    # spawn: a fork of a process that has run torch may hang in its thread pool
    pool = ProcessPoolExecutor(nj, multiprocessing.get_context("spawn"), _end_with_parent)
    try:
        with _one_thread_each():
            made = pool.map(make, clips, chunksize=CLIPS_A_TURN)  # starts the processes
        yield from made
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let processes that are started in the block compute with one thread: there is one process for each core already."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _end_with_parent() -> None:
    """In a worker: end as soon as the parent does, which a worker that waits for work would not notice."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
