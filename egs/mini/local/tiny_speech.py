"""The speech that ``tiny`` is pre-trained on: one long 16 kHz stream of int16 samples for each source.

Short recordings are joined, file after file, so that clips of a fixed length can be cut anywhere; a clip may go over from one
speaker to the next. Streams are kept as .npy files in the work folder and memory-mapped, so a second run starts at once.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import soundfile
import soxr
import tiny_text

from distilmos_plugin.corpora.simulation import espeak
from distilmos_plugin.errors import DataError
from distilmos_plugin.files import atomic_write
from distilmos_plugin.progress import say, track

SAMPLE_RATE = 16000  # Hz
PAUSE = 0.15  # s of near silence between two recordings that are joined
AUDIO_FILES = (".wav", ".flac", ".ogg", ".opus", ".mp3")
# Never heard in pre-training; probe_tiny.py measures on them.
HELD_OUT_VARIANTS = ("f5", "m8", "linda", "max", "pablo", "edward2", "grandma", "steph2")
HELD_OUT_LANGUAGES = ("hu", "sw", "el", "mr")
TURNS_PER_TASK = 25  # espeak-ng leaks some 90 kB an utterance: worker processes are replaced now and then


def synthetic_stream(hours: float, seed: int, jobs: int) -> np.ndarray:
    """Return int16 [time]: espeak-ng, every utterance in another voice, variant, rate and pitch."""
    task_hours = TURNS_PER_TASK * 8.0 / 3600  # an utterance is some 8 s
    tasks = [(seed, number) for number in range(max(1, round(hours / task_hours)))]
    with get_context("fork").Pool(jobs, maxtasksperchild=8) as pool:
        return np.concatenate(list(track(pool.imap(_turns, tasks), "espeak-ng", len(tasks))))


def _turns(task: tuple[int, int]) -> np.ndarray:
    rng = np.random.default_rng([*task, 1])
    languages = [name for name in tiny_text.LANGUAGES if name not in HELD_OUT_LANGUAGES]
    variants = [name for name in espeak.variants() if name not in HELD_OUT_VARIANTS]
    parts = []
    for _ in range(TURNS_PER_TASK):
        language = (
            str(rng.choice(languages))
            if rng.random() < 0.7
            else str(rng.choice(["en-us", "en", "de", "fr", "es", "it", "ru"]))
        )
        text = tiny_text.sentence(language, int(rng.integers(8, 20)), rng)
        rate, pitch = int(rng.integers(130, 230)), int(rng.integers(20, 80))
        speech = espeak.synthesize(text, f"{language}+{rng.choice(variants)}", rate, pitch)
        parts.append(as_int16(soxr.resample(speech.samples, speech.sample_rate, SAMPLE_RATE, "HQ")))
    return join(parts)


def prompt_stream(folder: Path) -> np.ndarray:
    """Return int16 [time]: all G.722 prompts of Debian's ``asterisk-core-sounds-*-g722`` under ``folder``."""
    ffmpeg = shutil.which("ffmpeg")
    files = sorted(path for path in folder.rglob("*.g722") if "silence" not in path.parts and "beep" not in path.name)
    if not files:
        raise DataError(
            f"no .g722 files under {folder}; on Debian: apt-get install asterisk-core-sounds-{{en,es,fr,it,ru}}-g722"
        )
    if ffmpeg is None:
        raise DataError("the G.722 prompts are decoded by ffmpeg, which is not installed; on Debian: apt-get install ffmpeg")
    coded = b"".join(path.read_bytes() for path in files)  # an adaptive code without headers: one stream is as good as many
    command = [ffmpeg, "-v", "error", "-f", "g722", "-i", "-", "-f", "s16le", "-ar", str(SAMPLE_RATE), "-ac", "1", "-"]
    decoded = subprocess.run(command, input=coded, stdout=subprocess.PIPE, check=True).stdout
    return np.frombuffer(decoded, np.int16)


def folder_stream(folders: Sequence[Path]) -> np.ndarray:
    """Return int16 [time]: every audio file under ``folders`` in the order of its path, first channel, at 16 kHz."""
    files = sorted(path for folder in folders for path in folder.rglob("*") if path.suffix.lower() in AUDIO_FILES)
    if not files:
        raise DataError(f"no audio files ({', '.join(AUDIO_FILES)}) under {', '.join(map(str, folders))}")
    parts = []
    for path in track(files, "recordings"):
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        parts.append(as_int16(soxr.resample(samples[:, 0], rate, SAMPLE_RATE, "HQ")))
    return join(parts)


def as_int16(samples: np.ndarray) -> np.ndarray:
    """Return float samples [time] as int16, brought to a peak of 0.9 so that soft recordings keep their resolution."""
    peak = max(float(np.abs(samples).max(initial=0.0)), 1e-4)
    return np.round(samples * (0.9 * 32767 / peak)).astype(np.int16)


def join(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Put int16 recordings behind one another with a short pause of dither between them."""
    dither = np.random.default_rng(0).integers(-2, 3, int(PAUSE * SAMPLE_RATE)).astype(np.int16)
    return np.concatenate([piece for part in parts for piece in (part, dither)])


def load_streams(work: Path, options) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """Return ({source: int16 [time]}, noise int16 [time] or None), made once and kept in ``work``.

    Args:
        work: folder of the streams.
        options: command line of pretrain_tiny.py (speech, noise, prompts, synthetic_hours, seed, threads).
    """
    makers = {"espeak-ng": lambda: synthetic_stream(options.synthetic_hours, options.seed, options.threads)}
    if options.prompts:
        makers["prompts"] = lambda: prompt_stream(options.prompts)
    if options.speech:
        makers["recordings"] = lambda: folder_stream(options.speech)
    streams = {name: _kept(work / f"{name}.npy", make) for name, make in makers.items()}
    noise = _kept(work / "noise.npy", lambda: folder_stream(options.noise)) if options.noise else None
    for name, stream in [*streams.items(), *([("noise", noise)] if noise is not None else [])]:
        say(f"{name}: {len(stream) / SAMPLE_RATE / 3600:.2f} h")
    return streams, noise


def _kept(path: Path, make) -> np.ndarray:
    if not path.exists():
        stream = make()
        with atomic_write(path, "wb") as file:
            np.save(file, stream)
    return np.load(path, mmap_mode="r")
