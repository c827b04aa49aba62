"""The processing conditions, which are the systems of the simulated listening test.

A condition is a sampling rate and a chain of steps. :data:`CONDITIONS` are those of train, dev and test,
:data:`OTHER_CONDITIONS` those of ``test_ood``, of other kinds or strengths throughout.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from distilmos_plugin.corpora.simulation import codecs, degradations, resynthesis
from distilmos_plugin.corpora.simulation.degradations import add_noise, coloured_noise, hum, modulated_noise
from distilmos_plugin.corpora.simulation.quality import at_rate

Babble = Callable[[int], np.ndarray]  # number of samples at the condition's rate -> as many of several people talking


@dataclass(frozen=True)
class Scene:
    """What a step may use besides the speech: the sampling rate in Hz, random numbers, and other people talking."""

    rate: int
    rng: np.random.Generator
    babble: Babble


@dataclass(frozen=True)
class Step:
    """One degradation: a name of :data:`STEPS` with its parameters."""

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the step in words, such as ``"codec opus compression=0.93"``."""
        given = {name: value for name, value in self.parameters.items() if value is not None}
        return " ".join(
            [self.name, *(value if isinstance(value, str) else f"{name}={value}" for name, value in given.items())]
        )


@dataclass(frozen=True)
class Condition:
    """A system of the listening test.

    Attributes:
        name: the system id.
        rate: Hz, of the speech while it is processed and of the stored file.
        steps: what happens to it, in order.
    """

    name: str
    rate: int
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        return ", ".join(map(str, self.steps)) or "untouched"

    def apply(self, clean: np.ndarray, rate: int, rng: np.random.Generator, babble: Babble) -> np.ndarray:
        """Process clean speech [time] at ``rate`` Hz; the result is at ``self.rate``, not delayed and of the same duration."""
        speech, scene = at_rate(clean, rate, self.rate), Scene(self.rate, rng, babble)
        for step in self.steps:
            speech = STEPS[step.name](speech, scene, **step.parameters)
        return speech


def _noise(speech: np.ndarray, scene: Scene, colour: str, snr: float) -> np.ndarray:
    return add_noise(speech, scene.rate, coloured_noise(len(speech), scene.rate, colour, scene.rng), snr)


def _babble(speech: np.ndarray, scene: Scene, snr: float) -> np.ndarray:
    return add_noise(speech, scene.rate, scene.babble(len(speech)), snr)


def _swelling_noise(speech: np.ndarray, scene: Scene, frequency: float, snr: float) -> np.ndarray:
    return add_noise(speech, scene.rate, modulated_noise(len(speech), scene.rate, frequency, scene.rng), snr)


def _hum(speech: np.ndarray, scene: Scene, mains: float, snr: float) -> np.ndarray:
    return add_noise(speech, scene.rate, hum(len(speech), scene.rate, mains, scene.rng), snr)


def _denoised(speech: np.ndarray, scene: Scene, snr: float) -> np.ndarray:
    """Noise, and what an old noise suppressor makes of it."""
    noisy = _noise(speech, scene, "white", snr)
    return degradations.subtract_spectrum(noisy, scene.rate, noisy - speech)


STEPS: dict[str, Callable[..., np.ndarray]] = {
    "noise": _noise,
    "babble": _babble,
    "swelling noise": _swelling_noise,
    "hum": _hum,
    "denoised": _denoised,
    "mnru": lambda speech, scene, q: degradations.mnru(speech, q, scene.rng),
    "clip": lambda speech, scene, headroom: degradations.clip_peaks(speech, scene.rate, headroom),
    "band": lambda speech, scene, **edges: degradations.limit_band(speech, scene.rate, **edges),
    "loss": lambda speech, scene, **how: degradations.lose_packets(speech, scene.rate, rng=scene.rng, **how),
    "room": lambda speech, scene, decay, drr: degradations.reverberate(speech, scene.rate, decay, drr, scene.rng),
    "echo": lambda speech, scene, **how: degradations.echo(speech, scene.rate, **how),
    "bits": lambda speech, scene, bits: degradations.quantise(speech, bits),
    "compressor": lambda speech, scene, **how: degradations.compress_dynamics(speech, scene.rate, **how),
    "codec": lambda speech, scene, **how: codecs.transcode(speech, scene.rate, **how),
    "world": lambda speech, scene, **how: resynthesis.world(speech, scene.rate, **how),
    "griffin-lim": lambda speech, scene, **how: resynthesis.griffin_lim(speech, scene.rate, rng=scene.rng, **how),
}


def _condition(name: str, rate: int, *steps: tuple[str, Mapping[str, Any]]) -> Condition:
    return Condition(name, rate, tuple(Step(step, parameters) for step, parameters in steps))


def _codec(codec: str, compression: float | None = None) -> tuple[str, Mapping[str, Any]]:
    return "codec", {"codec": codec, "compression": compression}


CONDITIONS: tuple[Condition, ...] = (
    _condition("clean", 22050),
    _condition("noise-white-50dB", 22050, ("noise", {"colour": "white", "snr": 50})),
    _condition("noise-white-30dB", 16000, ("noise", {"colour": "white", "snr": 30})),
    _condition("noise-white-15dB", 22050, ("noise", {"colour": "white", "snr": 15})),
    _condition("noise-white-0dB", 16000, ("noise", {"colour": "white", "snr": 0})),
    _condition("noise-pink-40dB", 16000, ("noise", {"colour": "pink", "snr": 40})),
    _condition("noise-pink-20dB", 22050, ("noise", {"colour": "pink", "snr": 20})),
    _condition("noise-pink-5dB", 16000, ("noise", {"colour": "pink", "snr": 5})),
    _condition("noise-babble-35dB", 22050, ("babble", {"snr": 35})),
    _condition("noise-babble-20dB", 16000, ("babble", {"snr": 20})),
    _condition("noise-babble-5dB", 16000, ("babble", {"snr": 5})),
    _condition("mnru-40", 22050, ("mnru", {"q": 40})),
    _condition("mnru-15", 16000, ("mnru", {"q": 15})),
    _condition("mnru-5", 22050, ("mnru", {"q": 5})),
    _condition("clip-3dB", 16000, ("clip", {"headroom": 3})),
    _condition("lowpass-5500", 22050, ("band", {"high": 5500})),
    _condition("lowpass-3000", 22050, ("band", {"high": 3000})),
    _condition("lowpass-2000", 16000, ("band", {"high": 2000})),
    _condition("telephone", 8000, ("band", {"low": 300, "high": 3400})),
    _condition("loss-30", 16000, ("loss", {"loss": 0.30})),
    _condition("loss-40-repeat", 22050, ("loss", {"loss": 0.40, "repeat": True})),
    _condition("room-150ms", 22050, ("room", {"decay": 0.15, "drr": 15})),
    _condition("room-500ms", 16000, ("room", {"decay": 0.5, "drr": 5})),
    _condition("opus-8k", 16000, _codec("opus", 1.0)),
    _condition("opus-24k", 16000, _codec("opus", 0.93)),
    _condition("vorbis-q0", 16000, _codec("vorbis", 1.0)),
    _condition("mp3-32k", 22050, _codec("mp3", 0.85)),
    _condition("mp3-64k", 22050, _codec("mp3", 0.7)),
    _condition("gsm", 8000, _codec("gsm")),
    _condition("mu-law-8k", 8000, _codec("mu-law")),
    _condition("ima-adpcm", 8000, _codec("ima-adpcm")),
    _condition("world", 22050, ("world", {})),
    _condition("world-coarse", 16000, ("world", {"frame_ms": 15.0, "envelope_dims": 16})),
    _condition("griffin-lim-mel", 22050, ("griffin-lim", {"iterations": 30, "mels": 80})),
    _condition("griffin-lim-mel-coarse", 16000, ("griffin-lim", {"iterations": 8, "mels": 32})),
    _condition("noise-babble-30dB+gsm", 8000, ("babble", {"snr": 30}), _codec("gsm")),
    _condition("room-150ms+mu-law", 8000, ("room", {"decay": 0.15, "drr": 15}), _codec("mu-law")),
)

OTHER_CONDITIONS: tuple[Condition, ...] = (
    _condition("downsampled-11k", 11025),
    _condition("noise-brown-20dB", 16000, ("noise", {"colour": "brown", "snr": 20})),
    _condition("noise-blue-40dB", 16000, ("noise", {"colour": "blue", "snr": 40})),
    _condition("noise-swelling-30dB", 22050, ("swelling noise", {"frequency": 2.0, "snr": 30})),
    _condition("hum-30dB", 22050, ("hum", {"mains": 50.0, "snr": 30})),
    _condition("denoised-10dB", 16000, ("denoised", {"snr": 10})),
    _condition("denoised-30dB", 16000, ("denoised", {"snr": 30})),
    _condition("g721", 16000, _codec("g721")),
    _condition("nms-adpcm", 8000, _codec("nms-16")),
    _condition("a-law", 22050, _codec("a-law")),
    _condition("opus-16k-24kHz", 24000, _codec("opus", 0.97)),
    _condition("loss-5-bursts", 16000, ("loss", {"loss": 0.05, "burst": 4.0})),
    _condition("echo-120ms", 22050, ("echo", {"delay": 0.12, "attenuation": 25.0})),
    _condition("bits-7", 16000, ("bits", {"bits": 7})),
    _condition("compressor", 22050, ("compressor", {"ratio": 4.0, "threshold": -15.0})),
    _condition("world-pitched", 22050, ("world", {"pitch": 1.06})),
)
