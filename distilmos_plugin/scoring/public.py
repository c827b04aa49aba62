"""Public predictors of other authors, under the names ``public:<name>``: to compare with, and as teachers.

Their weights come with their packages (extra ``pseudo``); no network is needed once these are installed. They run behind
:class:`~.predictor.Predictor` like any model, so that reading, checks, flags and resuming are the same.

``public:dnsmos``       DNSMOS P.835 (Reddy, Gopal, Cutler, ICASSP 2022, arXiv 2110.01763) as in the package speechmos:
                        ``sig``, ``bak``, ``ovrl``; the mean over windows of 9.01 s that begin 1 s apart; shorter clips are
                        doubled until they are that long.
``public:dnsmos-once``  the same, but a clip of up to 9.01 s, repeated to that length, is heard in one window instead of up to
                        seven of the same repetition.
``public:distillmos``   Distill-MOS (Stahl, Gamper, "Distillation and Pruning for Scalable Self-Supervised
                        Representation-Based Speech Quality Assessment"): ``mos``.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from distilmos_plugin.config import Config, ScoringConfig
from distilmos_plugin.errors import ConfigError, MissingExtra, ModelError, UpstreamError, require, suggest
from distilmos_plugin.files import file_digest
from distilmos_plugin.models.prediction import Prediction
from distilmos_plugin.scoring.predictor import Predictor
from distilmos_plugin.scoring.release import DIGEST_DIGITS

PREFIX = "public:"
RATE = 16000  # Hz, of all of them
LEAST_SECONDS = 0.1  # of a clip; the authors set no limit, and below this there is nothing to hear
DNSMOS_SAMPLES = 144160  # 9.01 s, the length that the network takes
# speechmos.dnsmos: from the network's outputs to the scale of the ratings, highest power first.
DNSMOS_POLYNOMIALS = {
    "sig": (-0.08397278, 1.22083953, 0.0052439),
    "bak": (-0.13166888, 1.60915514, -0.39604546),
    "ovrl": (-0.06766283, 1.11546468, 0.04602535),
}


@dataclass(frozen=True)
class Public:
    """A public predictor.

    Attributes:
        package, weights: where the weights are.
        about: one line for its users.
        build: path of the weights -> model.
    """

    package: str
    weights: str
    about: str
    build: Callable[[Path], PublicModel]


class Ear:
    """What a predictor asks of an upstream: at which rate it hears, and what it needs of a clip."""

    sample_rate = RATE
    min_samples = round(LEAST_SECONDS * RATE)

    def gradient_to_waveforms(self):
        """Refuse.

        Raises:
            UpstreamError: always.
        """
        raise UpstreamError("no gradient passes through a public predictor")


class PublicModel(nn.Module):
    """A predictor of one number a target for each clip, behind the model interface; always in evaluation mode."""

    targets: tuple[str, ...] = ("mos",)
    gaussian = False

    def __init__(self) -> None:
        super().__init__()
        self.upstream = Ear()
        self.place = nn.Parameter(torch.zeros(0), requires_grad=False)  # tells the device

    def input_rate(self, native_rate: int) -> int:
        """Return 16000 Hz."""
        return RATE

    def hear(self, waveform: Tensor) -> Sequence[float]:
        """Score one clip, float32 ``[samples]``: one number a target."""
        raise NotImplementedError

    def forward(self, waveforms: Sequence[Tensor], rates: Sequence[int] | None = None) -> Prediction:
        """Score clips one by one."""
        scores = torch.tensor([list(self.hear(waveform)) for waveform in waveforms])
        lengths = torch.ones(len(waveforms), dtype=torch.int64)
        return Prediction(dict(zip(self.targets, scores.unbind(1), strict=True)), lengths)


class DNSMOS(PublicModel):
    """DNSMOS P.835 on the CPU, by onnxruntime.

    Args:
        weights: ``sig_bak_ovr.onnx``.
        once: hear a clip of up to 9.01 s in one window.
    """

    targets = tuple(DNSMOS_POLYNOMIALS)

    def __init__(self, weights: Path, once: bool = False) -> None:
        super().__init__()
        runtime = require("onnxruntime", "pseudo")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self.session = runtime.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])
        self.once = once

    def hear(self, waveform: Tensor) -> Sequence[float]:
        samples = waveform.cpu().numpy()
        windows = [samples.take(range(DNSMOS_SAMPLES), mode="wrap")]
        if not self.once or len(samples) > DNSMOS_SAMPLES:
            while len(samples) < DNSMOS_SAMPLES:
                samples = np.append(samples, samples)
            # As speechmos counts them; a window that would reach past the end is left out.
            count = int(len(samples) // RATE - DNSMOS_SAMPLES / RATE) + 1
            starts = [i * RATE for i in range(count) if i * RATE + DNSMOS_SAMPLES <= len(samples)]
            windows = [samples[start : start + DNSMOS_SAMPLES] for start in starts]
        raw = np.concatenate([self.session.run(None, {"input_1": window[None]})[0] for window in windows]).T
        return [
            float(np.polyval(polynomial, values.astype(np.float64)).mean())
            for polynomial, values in zip(DNSMOS_POLYNOMIALS.values(), raw, strict=True)
        ]


class DistillMOS(PublicModel):
    """Distill-MOS."""

    def __init__(self, weights: Path) -> None:
        super().__init__()
        with contextlib.redirect_stdout(io.StringIO()):  # it prints where its weights are
            self.network = require("distillmos", "pseudo").ConvTransformerSQAModel().eval()

    def hear(self, waveform: Tensor) -> Sequence[float]:
        return self.network(waveform[None]).flatten().tolist()


DNSMOS_WEIGHTS = ("speechmos", "dnsmos_models/sig_bak_ovr.onnx")
PUBLIC = {
    "dnsmos": Public(*DNSMOS_WEIGHTS, "DNSMOS P.835 of Microsoft, MIT licence: predicts ratings by ITU-T P.835", DNSMOS),
    "dnsmos-once": Public(
        *DNSMOS_WEIGHTS,
        "DNSMOS P.835 of Microsoft, MIT licence, short clips heard once: predicts ratings by ITU-T P.835",
        lambda weights: DNSMOS(weights, once=True),
    ),
    "distillmos": Public("distillmos", "weights/distill_mos_v7.pt", "Distill-MOS of Microsoft, MIT licence", DistillMOS),
}


def is_public(name: str | os.PathLike) -> bool:
    """Tell whether a model's name is of a public predictor."""
    return isinstance(name, str) and name.startswith(PREFIX)


def load_public(name: str, device: str = "auto", precision: str = "fp32") -> Predictor:
    """Load a public predictor by its name, such as ``public:dnsmos``; DNSMOS runs on the CPU whatever the device.

    Raises:
        ModelError: for an unknown name, or a package without its weights.
        MissingExtra: if the package is not installed.
        ConfigError: for another precision than fp32.
    """
    public = _known(name)
    weights = weights_of(name)
    if precision != "fp32":
        raise ConfigError(f"precision: {name} runs in fp32 only, found '{precision}'")
    config = Config(system=name, targets=(), scoring_conf=ScoringConfig(window_seconds=float("inf"), hop_seconds=1.0))
    model = public.build(weights).eval()
    place = "cpu" if isinstance(model, DNSMOS) else device
    return Predictor(model, config, name, file_digest(weights)[:DIGEST_DIGITS], place, about=public.about)


def weights_of(name: str) -> Path:
    """Return the weights file of a public predictor. Errors as of :func:`load_public`."""
    public = _known(name)
    spec = find_spec(public.package)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtra(
            f"{public.package} is not installed; it comes with: pip install 'distilmos-plugin[pseudo]'", name=public.package
        )
    path = Path(next(iter(spec.submodule_search_locations))) / public.weights
    if not path.is_file():
        raise ModelError(
            f"{name}: the installed {public.package} has no {public.weights}; versions with it are in constraints.txt"
        )
    return path


def _known(name: str) -> Public:
    short = name.removeprefix(PREFIX)
    if short not in PUBLIC:
        known = ", ".join(PREFIX + item for item in PUBLIC)
        raise ModelError(f"no public predictor '{name}'{suggest(name, [PREFIX + item for item in PUBLIC])} (known: {known})")
    return PUBLIC[short]
