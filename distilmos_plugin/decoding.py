"""Sound files of every kind as blocks of samples: the lower half of :mod:`distilmos_plugin.audio`.

libsndfile reads what it can (wav, flac, ogg, mp3 and some twenty more), also as entries of Kaldi archives; ffmpeg, where it is
installed, decodes the rest (m4a, webm ...) to a temporary file. Nothing is resampled, mixed or scaled here.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
import soundfile

from distilmos_plugin.errors import DistilmosError
from distilmos_plugin.headers import UNKNOWN_SIZE, AudioBytes, audio_bytes, is_float_w64, mended

BLOCK_VALUES = 1 << 18  # samples of all channels in a block: 1 MiB as float32
MIN_RATE, MAX_RATE = 1_000, 1_000_000  # Hz; a header that says anything else is damaged
SHORTFALL_SECONDS = 0.01  # a file may lack this much of what its header says: sloppy writers miscount by a header's length
FFMPEG_SECONDS = 600.0  # time that one conversion may take
FFMPEG_BYTES = 4_000_000_000  # size that one conversion may reach: nearly 3 hours of 48 kHz stereo
PIPE_SECONDS = 600.0  # time that one command of a wav.scp may take

_UNRECOGNISED, _UNSUPPORTED_ENCODING = 1, 4  # libsndfile's SF_ERR_*
_ARK_ENTRY = re.compile(r"(?P<file>.+):(?P<offset>\d+)", re.DOTALL)


class AudioProblem(DistilmosError):
    """Audio that cannot be scored.

    Attributes:
        status: ``unreadable``, ``empty``, ``too_short`` or ``non_finite``.
    """

    def __init__(self, status: str, message: str) -> None:
        super().__init__(status, message)  # both arguments, so that the error survives pickling between processes
        self.status = status

    def __str__(self) -> str:
        return self.args[1]


class Sound(Protocol):
    """An opened sound: ``frames`` samples of each of ``channels`` channels at ``rate`` Hz."""

    name: str
    rate: int
    channels: int
    frames: int

    def blocks(self, start: int, stop: int) -> Iterator[np.ndarray]:
        """Yield samples ``[start, stop)`` as float32 ``[time, channels]`` blocks, full scale 1; raise AudioProblem."""

    def close(self) -> None:
        """Release the file."""


def open_sound(source: str | os.PathLike | bytes | BinaryIO, allow_pipes: bool = False) -> Sound:
    """Open anything that holds encoded audio.

    Args:
        source: a path; an entry of a Kaldi archive (``"file.ark:123"``); the bytes of a file; a binary file object, which
            is read from where it stands; or, with ``allow_pipes``, a command ending in ``|`` whose output is a sound file.
            An existing file is a file, whatever its name looks like.
        allow_pipes: run command pipes, through the shell, as Kaldi does.

    Raises:
        AudioProblem: ``unreadable`` or ``empty``, saying which file and why.
        DistilmosError: if ``source`` is none of these.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return _open_bytes("<bytes>", bytes(source))
    if hasattr(source, "read"):
        return _open_file_object(source)
    if not isinstance(source, str | os.PathLike):
        kind = type(source).__name__
        raise DistilmosError(
            f"audio from {kind}: expected a path, bytes or a binary file object, or samples where samples are taken"
        )
    if isinstance(source, str) and not os.path.lexists(source):
        if source.rstrip().endswith("|"):
            return _open_pipe(source, allow_pipes)
        entry = _ARK_ENTRY.fullmatch(source)
        if entry and os.path.lexists(entry["file"]):
            return _open_ark(source, entry["file"], int(entry["offset"]))
    return _open_path(source)


def shown(name: object) -> str:
    """Return a file's name for a message: as it is, or quoted if it holds line ends or other unprintable characters."""
    text = os.fsdecode(name) if isinstance(name, str | bytes | os.PathLike) else str(name)
    return text if text.isprintable() else repr(text)


def _open_path(path: str | os.PathLike) -> Sound:
    name = shown(path)
    file = _regular_file(path, name)
    try:
        return _open_file(name, file, path)
    except BaseException:
        file.close()
        raise


def _regular_file(path: str | os.PathLike, name: str) -> BinaryIO:
    """Open a file without ever waiting for it (a named pipe would hang a run), and say what is wrong if it cannot be."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        reasons = {FileNotFoundError: "no such file", PermissionError: "no permission to read it"}
        reason = reasons.get(type(error)) or getattr(error, "strerror", None) or str(error)
        raise AudioProblem("unreadable", f"{name}: {reason[0].lower() + reason[1:]}") from None
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        raise AudioProblem("unreadable", f"{name}: is {'a directory' if stat.S_ISDIR(mode) else 'not a regular file'}")
    return os.fdopen(handle, "rb", buffering=0)  # libsndfile reads from the handle itself, behind the back of any buffer


def _open_bytes(name: str, data: bytes) -> Sound:
    return _open_file(name, MemoryFile(data), None)


def _open_file_object(source: BinaryIO) -> Sound:
    name = getattr(source, "name", None)
    name = shown(name) if isinstance(name, str | bytes | os.PathLike) else "<file object>"
    try:
        data = source.read()
    except (OSError, ValueError, EOFError) as error:
        raise AudioProblem("unreadable", f"{name}: {error}") from None
    if not isinstance(data, bytes):
        raise AudioProblem("unreadable", f"{name}: the file object gives text; open it in binary mode ('rb')")
    return _open_bytes(name, data)


def _open_pipe(command: str, allow_pipes: bool) -> Sound:
    name = shown(command.strip())
    if not allow_pipes:
        raise AudioProblem("unreadable", f"{name}: command pipes are not run unless they are allowed (--allow-pipes)")
    try:
        done = subprocess.run(command.strip().rstrip("|"), shell=True, capture_output=True, timeout=PIPE_SECONDS)
    except subprocess.TimeoutExpired:
        raise AudioProblem("unreadable", f"{name}: still running after {PIPE_SECONDS:.0f} s") from None
    if done.returncode:
        raise AudioProblem("unreadable", f"{name}: exit status {done.returncode}: {_last_line(done.stderr)}")
    return _open_bytes(name, done.stdout)


def _open_ark(source: str, path: str, offset: int) -> Sound:
    """Open one entry of a Kaldi archive: an encoded sound file, read as any other. kaldiio would also unpickle entries."""
    name = shown(source)
    with _regular_file(path, shown(path)) as file:
        file.seek(offset)
        content = _ark_entry(name, file)
    return _open_bytes(name, content)


def _ark_entry(name: str, file: BinaryIO) -> bytes:
    """Return the sound file that stands here in an archive: wav as Kaldi writes it, or what kaldiio writes (wav, flac ...)."""
    start = file.read(6)
    end = os.fstat(file.fileno()).st_size  # a damaged length must not become memory
    if start[:4] == b"RIFF":  # as long as its header says
        size = int.from_bytes(start[4:] + file.read(2), "little")
        if not 0 < size < UNKNOWN_SIZE:
            raise AudioProblem("unreadable", f"{name}: the wav in this archive does not say how long it is; write it again")
        return start[:4] + size.to_bytes(4, "little") + file.read(min(size, end))
    if start[:5] == b"AUDIO":  # kaldiio: the width of the length, the length in bytes, a sound file
        length = int.from_bytes(file.read(start[5]) if len(start) == 6 else b"", "little")
        left = end - file.tell()
        if length > left:
            raise AudioProblem(
                "unreadable", f"{name}: truncated: the entry is longer than the archive by {length - left} bytes"
            )
        return file.read(length)
    if start[:4] == b"fLaC":  # its header tells samples, not bytes: libsndfile stops by itself
        return start + file.read()
    what = "no audio at this place of the archive"
    if start[:2] in (b"\0B", b"NP"):
        what = "a matrix or vector, which has no sampling rate; store audio as wav or flac, (rate, samples) in kaldiio"
    raise AudioProblem("unreadable", f"{name}: {what}")


def _open_file(name: str, file: BinaryIO, path: str | os.PathLike | None) -> Sound:
    if not file.seek(0, io.SEEK_END):
        raise AudioProblem("empty", f"{name}: the file is empty (0 bytes)")
    if is_float_w64(file):
        return _through_ffmpeg(name, file, path)
    content = mended(file)
    if content is not None:
        file.close()
        file = MemoryFile(content)
    file.seek(0)
    declared = audio_bytes(file)
    try:
        sound = FileSound(name, file)
    except soundfile.LibsndfileError as error:
        if error.code not in (_UNRECOGNISED, _UNSUPPORTED_ENCODING):
            raise AudioProblem("unreadable", f"{name}: corrupted: {_reason(error)}") from None
        return _through_ffmpeg(name, file, path)
    _check_whole(sound, declared)
    return sound


def _reason(error: soundfile.LibsndfileError) -> str:
    return error.error_string.removeprefix("Error : ").rstrip(".")


def _through_ffmpeg(name: str, file: BinaryIO, path: str | os.PathLike | None) -> Sound:
    program = shutil.which("ffmpeg")
    if program is None:
        raise AudioProblem(
            "unreadable",
            f"{name}: no audio that libsndfile reads (wav, flac, ogg, mp3, aiff ...); "
            "m4a, webm and others are read through ffmpeg, which is not installed",
        )
    with tempfile.TemporaryDirectory(prefix="distilmos-") as folder:
        if path is None:
            path = Path(folder, "input")
            file.seek(0)
            path.write_bytes(file.read())
        output = Path(folder, "output.wav")  # not w64: libsndfile takes its floats for integers
        command = [program, "-nostdin", "-v", "error", "-xerror", "-protocol_whitelist", "file"]
        command += ["-i", b"file:" + os.fsencode(path), "-map", "0:a:0", "-c:a", "pcm_f32le"]
        command += ["-fs", str(FFMPEG_BYTES), "-f", "wav", output]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=FFMPEG_SECONDS)
        except subprocess.TimeoutExpired:
            raise AudioProblem("unreadable", f"{name}: ffmpeg did not finish within {FFMPEG_SECONDS:.0f} s") from None
        if done.returncode or not output.exists():
            reason = _last_line(done.stderr).removeprefix(f"file:{os.fsdecode(path)}: ")
            raise AudioProblem("unreadable", f"{name}: neither libsndfile nor ffmpeg reads it: {reason}")
        if b"prematurely" in done.stderr or b"partial file" in done.stderr:  # ffmpeg's words for a cut webm or mp4 file
            raise AudioProblem("unreadable", f"{name}: truncated: {_last_line(done.stderr)}")
        if output.stat().st_size > 0.99 * FFMPEG_BYTES:
            raise AudioProblem("unreadable", f"{name}: too long to convert on the fly; convert it to wav or flac first")
        file.close()
        return FileSound(name, open(output, "rb", buffering=0))  # the open file outlives its folder


def _last_line(output: bytes) -> str:
    lines = output.decode("utf-8", "replace").strip().splitlines()
    return lines[-1].strip() if lines else "no message"


class FileSound:
    """A file that libsndfile reads. Takes over ``file``; raises LibsndfileError if libsndfile refuses it."""

    def __init__(self, name: str, file: BinaryIO) -> None:
        self.name, self._file = name, file
        self._open()
        self.rate, self.channels, self.frames = self._sound.samplerate, self._sound.channels, self._sound.frames
        if not MIN_RATE <= self.rate <= MAX_RATE:
            raise AudioProblem("unreadable", f"{name}: corrupted: the header says {self.rate} samples a second")
        if "Junk after the last page" in self._sound.extra_info:  # libsndfile's words for an Ogg file cut in mid-page
            raise AudioProblem("unreadable", f"{name}: truncated: the last Ogg page is incomplete")

    def _open(self) -> None:
        """Start from the first sample. A handle rather than a name: no format is guessed from the extension."""
        self._file.seek(0)
        on_disk = not isinstance(self._file, io.BytesIO)
        self._sound = soundfile.SoundFile(self._file.fileno() if on_disk else self._file, closefd=False)
        self._position = 0

    def blocks(self, start: int, stop: int) -> Iterator[np.ndarray]:
        """Yield samples ``[start, stop)`` as float32 ``[time, channels]`` blocks, full scale 1."""
        size = max(1, BLOCK_VALUES // self.channels)
        self._seek(start, size)
        while self._position < stop:
            block = self._read(min(size, stop - self._position))
            if not len(block):
                if (self.frames - self._position) / self.rate > SHORTFALL_SECONDS:
                    raise AudioProblem("unreadable", _truncated(self.name, self.frames, self._position))
                return
            yield block

    def _seek(self, start: int, size: int) -> None:
        if start != self._position and self._sound.seekable():
            self._sound.seek(start)
            self._position = start
            return
        if start < self._position:  # formats such as GSM 06.10 only run forward
            self._open()
        while self._position < start and len(self._read(min(size, start - self._position))):
            pass

    def _read(self, count: int) -> np.ndarray:
        try:
            block = self._sound.read(count, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise AudioProblem(
                "unreadable", f"{self.name}: corrupted behind sample {self._position} of {self.frames}: {_reason(error)}"
            ) from None
        self._position += len(block)
        return block

    def close(self) -> None:
        """Close the file."""
        self._sound.close()
        self._file.close()


class MemoryFile(io.BytesIO):
    """The bytes of a sound file. A damaged header may send libsndfile to a negative place: it stays where it is."""

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place if there is one; return where it stands."""
        with contextlib.suppress(ValueError):
            super().seek(offset, whence)
        return self.tell()


class ArraySound:
    """Samples in memory, float32 ``[time, channels]``."""

    def __init__(self, name: str, samples: np.ndarray, rate: int) -> None:
        self.name, self._samples, self.rate = name, samples, rate
        self.frames, self.channels = samples.shape

    def blocks(self, start: int, stop: int) -> Iterator[np.ndarray]:
        """Yield samples ``[start, stop)`` as ``[time, channels]`` blocks."""
        size = max(1, BLOCK_VALUES // max(1, self.channels))
        for position in range(start, min(stop, self.frames), size):
            yield self._samples[position : min(position + size, stop)]

    def close(self) -> None:
        """Forget the samples."""
        self._samples = self._samples[:0]


def full_scale(samples: np.ndarray) -> np.ndarray:
    """Return samples as float32 with full scale 1: integers by their width, unsigned ones around their middle, floats as is.

    Raises:
        DistilmosError: for types without a full scale of their own, such as int64, bool and complex.

    >>> full_scale(np.array([-32768, 16384], dtype=np.int16))
    array([-1. ,  0.5], dtype=float32)
    """
    kind, width = samples.dtype.kind, 8 * samples.dtype.itemsize
    if kind == "f":
        with np.errstate(over="ignore"):  # a float64 beyond float32 turns infinite, and that has a verdict of its own
            return samples.astype(np.float32, copy=False)
    if kind in "iu" and width < 64:
        middle = 2.0 ** (width - 1)
        return ((samples - (middle if kind == "u" else 0.0)) / middle).astype(np.float32)
    raise DistilmosError(
        f"samples of type {samples.dtype} have no full scale; give float (full scale 1), int16 or int32, "
        "for example samples.astype('int16') if the values are 16-bit samples"
    )


def _check_whole(sound: Sound, found: AudioBytes | None) -> None:
    """Raise if the file holds less audio than its header says."""
    if found is None or found.there >= found.promised:
        return
    promised, there, _ = found
    if sound.frames == 0 or there <= 0:
        raise AudioProblem("unreadable", f"{sound.name}: truncated: the header says {promised} bytes of audio, none is there")
    width = there / sound.frames  # bytes a sample, a fraction for compressed formats
    expected = int(promised / (round(width) if width >= 1 else width))
    if (expected - sound.frames) / sound.rate > SHORTFALL_SECONDS:
        raise AudioProblem("unreadable", _truncated(sound.name, expected, sound.frames))


def _truncated(name: str, expected: int, found: int) -> str:
    return f"{name}: truncated: the header says {expected} samples, {found} are there"
