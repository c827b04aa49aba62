"""Synthetic speech with phone labels: espeak-ng through the pip package ``espeakng-loader``, no system package.

espeak-ng is a formant synthesiser for more than a hundred languages. Its voices are combined with variants ("de+f3"), so one
language gives many speakers. Equal arguments give equal samples, whatever was synthesised before, in whatever process; about
6 ms of every call go into that (see ``_Engine``). Threads are served one at a time: use processes for speed.

The audio it makes has no owner; espeak-ng itself is GPL-3.0 and is used as an installed library, none of it is shipped here.
Library interface: espeak-ng 1.52, ``speak_lib.h`` and ``espeak_ng.h``.
"""

from __future__ import annotations

import _ctypes
import contextlib
import ctypes
import functools
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from distilmos_plugin.errors import DataError, DistilmosError, require, some, suggest

SAMPLE_RATE = 22050  # Hz, of every espeak-ng formant voice
SLOWEST, FASTEST = 80, 450  # words per minute, limits of espeak_SetParameter(espeakRATE)
FULL_SCALE = 32768.0

# Values of speak_lib.h and espeak_ng.h.
_OUTPUT_SYNCHRONOUS = 2  # espeak_Initialize: no audio device, the callback runs within espeak_Synth
_PHONEME_EVENTS_IPA = 0b11  # espeak_Initialize: phoneme events, named in IPA
_DONT_EXIT = 0x8000  # espeak_Initialize: return an error where the library would end the process
_BUFFER_MS = 200
_RATE, _PITCH = 1, 3  # espeak_SetParameter
_CHARS_UTF8 = 1  # espeak_Synth
_POSITION_CHARACTER = 1  # espeak_Synth
_LIST_TERMINATED, _PHONEME = 0, 7  # espeak_EVENT.type
_OK = 0
_NOISE_SEED = 1
_STRESS = "ˈˌ"  # marks that espeak-ng puts before a stressed vowel
_UNSTEADY = ("Reed", "caleb")  # variants whose breath noise differs from call to call
_WITHOUT_DICTIONARY = ("fo", "kaa", "xex")  # listed by the library, but the data of the pip package cannot speak them


@dataclass(frozen=True)
class Speech:
    """A synthesised utterance.

    Attributes:
        samples: float32 [time], full scale = 1.
        sample_rate: Hz.
        phones: (start in s, end in s, IPA symbol without stress mark), in order and adjoining; a pause has the symbol "".
    """

    samples: np.ndarray
    sample_rate: int
    phones: list[tuple[float, float, str]]

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.sample_rate


def synthesize(text: str, voice: str, words_per_minute: int = 175, pitch: int = 50) -> Speech:
    """Speak ``text``.

    Args:
        text: plain text in the language of the voice.
        voice: identifier of :func:`voices` ("de"), or one with a variant of :func:`variants` ("de+f3").
        words_per_minute: 80 to 450.
        pitch: 0 to 100, 50 is the voice's own.

    Raises:
        DataError: if the voice or variant is unknown, a number is out of range, or the text has nothing to speak.
        MissingExtra: if espeakng-loader is not installed.

    >>> speech = synthesize("Good morning.", "en-us+f3")
    >>> speech.sample_rate, 0.4 < speech.duration < 2.0, [phone for _, _, phone in speech.phones][:3]
    (22050, True, ['ɡ', 'ʊ', 'd'])
    """
    name = _file_name(voice)
    if not SLOWEST <= words_per_minute <= FASTEST:
        raise DataError(f"espeak-ng speaks {SLOWEST} to {FASTEST} words per minute, found {words_per_minute}")
    if not 0 <= pitch <= 100:
        raise DataError(f"the pitch of espeak-ng is 0 to 100, found {pitch}")
    samples, events = _engine().speak(text, name, words_per_minute, pitch)
    if not any(phone for _, phone in events):
        raise DataError(f"espeak-ng finds nothing to speak in {text!r} with the voice {voice!r}")
    return Speech(samples, SAMPLE_RATE, _intervals(events, len(samples) / SAMPLE_RATE))


def voices() -> list[tuple[str, str]]:
    """Return (identifier, language tag) of every voice, sorted; the identifier is what :func:`synthesize` takes.

    >>> ("de", "de") in voices()
    True
    """
    return [(identifier, language) for identifier, (_, language) in _engine().voices.items()]


def variants() -> list[str]:
    """Return the names of the speaker variants ("f3", "m1", ...), sorted; each combines with each voice."""
    return list(_engine().variants)


def _file_name(voice: str) -> str:
    """Return what the library calls ``voice``; raise :class:`DataError` if it has no such voice or variant."""
    identifier, plus, variant = voice.partition("+")
    known = _engine().voices
    if identifier not in known:
        raise DataError(f"espeak-ng has no voice {identifier!r}{suggest(identifier, known)}; it has {some(known)}")
    if plus and variant not in _engine().variants:
        hint = suggest(variant, _engine().variants)
        raise DataError(f"espeak-ng has no voice variant {variant!r}{hint}; it has {some(_engine().variants)}")
    return known[identifier][0] + plus + variant


def _intervals(events: list[tuple[int, str]], end: float) -> list[tuple[float, float, str]]:
    """Turn (start in samples, phone) into (start, end, phone) in seconds; phones of no length are dropped."""
    starts = [min(start / SAMPLE_RATE, end) for start, _ in events]
    names = [name for _, name in events]
    ends = [*starts[1:], end]
    return [(start, stop, name) for start, stop, name in zip(starts, ends, names, strict=True) if stop > start]


class _EventId(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),  # ms
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    ]


class _Voice(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("languages", ctypes.POINTER(ctypes.c_char)),  # a priority byte, the tag, a zero byte; repeated
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("xx1", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    ]


_SynthCallback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class _Engine:
    """espeak-ng in this process: what it offers, and a fresh copy of the library for each utterance.

    The library never resets the phases and filters of its generator, so an utterance depends on those before it. Only
    unloading it clears them; loading it again takes some 6 ms.
    """

    def __init__(self) -> None:
        loader = require("espeakng_loader", "simulate")
        self._path, self._data = loader.get_library_path(), loader.get_data_path()
        self._lock = threading.Lock()
        self._blocks: list[np.ndarray] = []
        self._events: list[tuple[int, str]] = []
        self._callback = _SynthCallback(self._receive)  # kept alive for as long as the library may call it
        with self._library() as library:
            self.voices = _listed_voices(library)
        folder = os.path.join(self._data, "voices", "!v")
        self.variants = sorted(name for name in os.listdir(folder) if " " not in name and name not in _UNSTEADY)

    @contextlib.contextmanager
    def _library(self) -> Iterator[ctypes.CDLL]:
        library = ctypes.CDLL(self._path)
        try:
            options = _PHONEME_EVENTS_IPA | _DONT_EXIT
            rate = library.espeak_Initialize(_OUTPUT_SYNCHRONOUS, _BUFFER_MS, os.fsencode(self._data), options)
            if rate != SAMPLE_RATE:
                raise DistilmosError(f"espeak-ng cannot start with its data at {self._data}; reinstall espeakng-loader")
            library.espeak_ng_SetRandSeed(ctypes.c_long(_NOISE_SEED))  # or breath noise follows the clock
            library.espeak_SetSynthCallback(self._callback)
            yield library
            library.espeak_Terminate()
        finally:
            (_ctypes.FreeLibrary if os.name == "nt" else _ctypes.dlclose)(library._handle)

    def speak(self, text: str, voice: str, words_per_minute: int, pitch: int) -> tuple[np.ndarray, list[tuple[int, str]]]:
        """Return float32 samples [time] and (first sample, phone) events."""
        raw = text.encode()
        with self._lock, self._library() as library:
            self._blocks, self._events = [], []
            _require(library.espeak_SetVoiceByName(voice.encode()), f"cannot load the voice {voice!r}")
            _require(library.espeak_SetParameter(_RATE, words_per_minute, 0), f"refuses {words_per_minute} words per minute")
            _require(library.espeak_SetParameter(_PITCH, pitch, 0), f"refuses the pitch {pitch}")
            size = ctypes.c_size_t(len(raw) + 1)
            status = library.espeak_Synth(raw, size, 0, _POSITION_CHARACTER, 0, _CHARS_UTF8, None, None)
            _require(status, f"cannot speak {text!r}")
            samples = np.concatenate(self._blocks) if self._blocks else np.zeros(0, np.float32)
            return samples, self._events

    def _receive(self, wave, count: int, events) -> int:
        if wave and count > 0:
            block = np.ctypeslib.as_array(wave, shape=(count,))
            self._blocks.append(block.astype(np.float32) / np.float32(FULL_SCALE))
        index = 0
        while events[index].type != _LIST_TERMINATED:
            event = events[index]
            if event.type == _PHONEME:
                name = ctypes.string_at(ctypes.addressof(event.id), 8).split(b"\0")[0].decode(errors="ignore")
                self._events.append((event.sample, name.strip(_STRESS)))
            index += 1
        return 0


def _listed_voices(library: ctypes.CDLL) -> dict[str, tuple[str, str]]:
    """Return {identifier: (name of the voice's file, language tag)}."""
    library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
    listed, found, index = library.espeak_ListVoices(None), {}, 0
    while listed[index]:
        voice = listed[index].contents
        tag = ctypes.cast(ctypes.addressof(voice.languages.contents) + 1, ctypes.c_char_p).value.decode()
        name = voice.identifier.decode().rsplit("/", 1)[-1]
        if name not in _WITHOUT_DICTIONARY:
            found[name.lower()] = (name, tag)
        index += 1
    return dict(sorted(found.items()))


def _require(status: int, what: str) -> None:
    if status != _OK:
        raise DataError(f"espeak-ng {what} (status {status})")


@functools.lru_cache(maxsize=1)
def _engine() -> _Engine:
    return _Engine()
