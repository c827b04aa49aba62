"""The one way from audio to a score: for the Python interface, the command, the recipe, validation in training, VERSA."""

from __future__ import annotations

import contextlib
import math
import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distilmos_plugin import __version__
from distilmos_plugin.audio import AudioProblem
from distilmos_plugin.config import Config, ScoringConfig
from distilmos_plugin.errors import ConfigError, DataError, ModelError, suggest
from distilmos_plugin.models import MOSModel
from distilmos_plugin.models.resampling import resample
from distilmos_plugin.scoring.pipeline import Pipeline
from distilmos_plugin.scoring.recordings import as_clips
from distilmos_plugin.scoring.results import Score, deviation_column

PRECISIONS = ("fp32", "bf16")
READERS = 2  # threads that read and resample: far faster than any upstream, so that two keep it busy
ENDLESS = 1 << 62  # samples: a window that no clip exceeds


class Predictor:
    """Scores audio with one model, on one device, in one precision. Safe to use from several threads.

    A score depends on the samples and on what the signature says: not on what else is scored, in which order, in which batch
    or by how many threads (to 1e-5 in fp32).

    Args:
        model: a system; keeps its state between calls, also if it is in training.
        config: the experiment's; ``scoring_conf`` says how long audio is cut and how much goes into a batch.
        name: of the model, for the signature.
        digest: of its weights, for the signature.
        device: moves the model there: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``; None leaves it where it is.
        precision: ``fp32``, or ``bf16`` (autocast: about twice as fast, and scores move by some hundredths with the batch).
        about: one line on the model, for its users.
        source: where a downloaded model came from: repository, commit, SHA-256; empty for others.

    Attributes:
        targets: what is predicted.
        columns: of the results, in this order: the targets and, in models that predict them, their standard deviations.
        min_samples: of the shortest clip that it scores, at its upstream's rate.

    Raises:
        ConfigError: for an unknown or missing device, an unknown precision, or impossible windows.
    """

    def __init__(
        self,
        model: MOSModel,
        config: Config,
        name: str = "live",
        digest: str = "live",
        device: str | torch.device | None = None,
        precision: str = "fp32",
        about: str = "",
        source: str = "",
    ) -> None:
        if precision not in PRECISIONS:
            raise ConfigError(
                f"precision: '{precision}' is not one of {', '.join(PRECISIONS)}{suggest(precision, PRECISIONS)}"
            )
        self.model = model if device is None else model.to(choose_device(device))
        self.config, self.name, self.digest, self.precision = config, name, digest, precision
        self.about, self.source = about, source
        self.targets = tuple(model.targets)
        self.columns = (*self.targets, *(deviation_column(target) for target in self.targets if model.gaussian))
        self.min_samples = model.upstream.min_samples
        _check_windows(config.scoring_conf, self.min_samples / model.upstream.sample_rate)
        self._forward_lock = threading.Lock()

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    @property
    def frame_seconds(self) -> tuple[float, float]:
        """From one frame score to the next, and audio under one frame of the upstream, seconds."""
        upstream = self.model.upstream
        frame = max(upstream.hop, upstream.framing.receptive_field)
        return self.model.stride * upstream.hop / upstream.sample_rate, frame / upstream.sample_rate

    def window(self, rate: int) -> int:
        """Samples at ``rate`` Hz that are scored at once; longer audio is cut."""
        seconds = self.config.scoring_conf.window_seconds
        return ENDLESS if math.isinf(seconds) else round(seconds * rate)

    def hop(self, rate: int) -> int:
        """Samples at ``rate`` Hz from one window of long audio to the next."""
        return max(1, round(self.config.scoring_conf.hop_seconds * rate))

    @property
    def signature(self) -> str:
        """What makes these scores; two numbers with one signature can be compared."""
        conf = self.config.scoring_conf
        name = re.sub(r"[^\w.:/@+-]", "_", self.name)
        window = "none" if math.isinf(conf.window_seconds) else f"{conf.window_seconds:g}s/{conf.hop_seconds:g}s"
        model = f"distilmos|model:{name}@{self.digest}|v:{__version__}"
        slowest, fastest = map(self.model.input_rate, (1, 1 << 30))
        rate = slowest if slowest == fastest else f"{slowest}-{fastest}"
        return f"{model}|rate:{rate}|window:{window}|prec:{self.precision}"

    def score(self, source: Any, sample_rate: int | None = None, *, frames: bool = False, allow_pipes: bool = False) -> Score:
        """Score one clip.

        Args:
            source: a path; the bytes of a sound file; a binary file object; a numpy array or torch tensor ``[time]`` or
                ``[channels, time]``, integer or float (full scale 1).
            sample_rate: of an array or tensor, Hz.
            frames: also give scores over time.
            allow_pipes: run ``"command |"`` as Kaldi does.

        Returns:
            The score. Audio that cannot be scored has a ``status`` other than ``ok``, and a ``reason``.

        Raises:
            DistilmosError: if the call itself is wrong: an array without its rate, or of a shape that cannot be audio.
        """
        clip = next(as_clips([source if sample_rate is None else (source, sample_rate)]))
        return Pipeline(self, self.config.scoring_conf.batch_seconds, frames, allow_pipes).one(clip)

    def score_many(
        self,
        sources: Iterable[Any] | Mapping[str, Any],
        sample_rate: int | None = None,
        *,
        batch_seconds: float | None = None,
        workers: int = READERS,
        frames: bool = False,
        allow_pipes: bool = False,
    ) -> Iterator[Score]:
        """Score many clips, in the order given; reading and resampling overlap the model, memory is bounded.

        Args:
            sources: what :meth:`score` takes, ``(samples, sample_rate)`` pairs, or :class:`~.collect.Clip`
                objects, or a mapping of keys to any of these. May be endless: some clips are read ahead.
            sample_rate: of the arrays and tensors, Hz.
            batch_seconds: padded audio in a batch; None takes the model's ``scoring_conf``.
            workers: threads that read.
            frames: also give scores over time.
            allow_pipes: run ``"command |"`` entries.

        Raises:
            DistilmosError: if the call itself is wrong, as :meth:`score`. Bad audio is a result.
        """
        seconds = self.config.scoring_conf.batch_seconds if batch_seconds is None else batch_seconds
        if isinstance(sources, str | bytes | os.PathLike):
            raise DataError("score_many takes a list of sources; use score for one")
        if not seconds > 0:
            raise ConfigError(f"batch_seconds: expected more than 0, found {seconds:g}")
        if workers < 1:
            raise ConfigError(f"workers: expected at least 1, found {workers}")
        return Pipeline(self, seconds, frames, allow_pipes).many(as_clips(sources, sample_rate), workers)

    def predict(
        self, waveforms: Sequence[np.ndarray], rates: Sequence[int], frames: bool = False
    ) -> list[tuple[dict[str, float], dict[str, np.ndarray]]]:
        """Run the model on one batch.

        Args:
            waveforms: float32 ``[samples]``, none too short (:meth:`refuse_short`).
            rates: of each, Hz, as the model's ``input_rate`` says.
            frames: also give frame scores, where the system has them.

        Returns:
            For each clip its scores by column, and its frame scores ``[frames]`` by target.

        Raises:
            ModelError: if the device's memory is too small for the batch.
        """
        tensors = [torch.from_numpy(np.ascontiguousarray(waveform)).to(self.device) for waveform in waveforms]
        try:
            # no_grad, not inference_mode: what a layer keeps from this call may later be trained through.
            with self._evaluating(), torch.no_grad(), self.arithmetic():
                prediction = self.model(tensors, rates=rates)
        except torch.OutOfMemoryError as error:
            seconds = max(len(tensor) / rate for tensor, rate in zip(tensors, rates, strict=True)) * len(tensors)
            raise ModelError(
                f"out of memory on {self.device} with {len(tensors)} clips, {seconds:.0f} s of audio with padding; "
                "use a smaller batch_seconds or, for one long clip, shorter windows (scoring_conf)"
            ) from error
        deviations = {deviation_column(name): values for name, values in prediction.scale.items()}
        utterance = {name: values.float().tolist() for name, values in (prediction.utterance | deviations).items()}
        curves = {name: values.float().cpu().numpy() for name, values in prediction.frames.items()} if frames else {}
        lengths = prediction.frame_lengths.tolist()
        return [
            (
                {name: utterance[name][i] for name in self.columns},
                {name: curve[i, : lengths[i]] for name, curve in curves.items()},
            )
            for i in range(len(tensors))
        ]

    def differentiable(self, waveforms: Tensor | Sequence[Tensor], sample_rate: int, target: str | None = None) -> Tensor:
        """Score waveforms so that the gradient reaches them: ``(-predictor.differentiable(speech, 24000)).mean().backward()``.

        The model runs in evaluation mode and collects no gradient itself. The scores are those of :meth:`score` up to the
        resampler (a windowed sinc instead of soxr); the audio is not checked, and not cut into windows.

        Args:
            waveforms: float ``[batch, samples]``, or one ``[samples]`` a clip, full scale 1, on any device.
            sample_rate: Hz.
            target: which one; None takes the first.

        Returns:
            Scores ``[batch]`` on the model's device.

        Raises:
            ConfigError: for an unknown target.
            UpstreamError: if no gradient passes through the upstream.
            AudioProblem: ``too_short``, if a clip is shorter than one frame of the upstream.
        """
        target = self.targets[0] if target is None else target
        if target not in self.targets:
            raise ConfigError(f"target: '{target}' is not one of {', '.join(self.targets)}{suggest(target, self.targets)}")
        rate = self.model.input_rate(sample_rate)
        heard = [resample(waveform.float().to(self.device), sample_rate, rate) for waveform in waveforms]
        for position, waveform in enumerate(heard):
            self.refuse_short(f"clip {position}", len(waveform), rate)
        # cuDNN's recurrent layers have no backward pass in evaluation mode; the native ones have.
        without_cudnn = torch.backends.cudnn.flags(enabled=False)
        reachable = self.model.upstream.gradient_to_waveforms()
        with self._evaluating(), _constant_parameters(self.model), reachable, self.arithmetic(), without_cudnn:
            return self.model(heard, rates=[rate] * len(heard)).utterance[target]

    def refuse_short(self, name: str, num_samples: int, rate: int) -> None:
        """Raise an AudioProblem ``too_short`` if the upstream cannot make one frame of so many samples at ``rate`` Hz."""
        needed = -(-self.min_samples * rate // self.model.upstream.sample_rate)
        if num_samples < needed:
            raise AudioProblem(
                "too_short",
                f"{name}: {1000 * num_samples / rate:.1f} ms, the model needs {1000 * needed / rate:.0f} ms "
                f"({needed} samples at {rate} Hz)",
            )

    @contextlib.contextmanager
    def _evaluating(self) -> Iterator[None]:
        """Put the model in evaluation mode, and each of its parts back to its own mode afterwards; one thread at a time."""
        with self._forward_lock:
            training = [module for module in self.model.modules() if module.training]
            self.model.eval()
            try:
                yield
            finally:
                for module in training:
                    module.training = True

    @contextlib.contextmanager
    def arithmetic(self) -> Iterator[None]:
        """Compute in the precision that the signature names, whatever the process has chosen for its matrix products."""
        if self.precision == "bf16":
            with torch.autocast(self.device.type, torch.bfloat16):
                yield
            return
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        try:
            with torch.autocast(self.device.type, enabled=False), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
                yield
        finally:
            torch.set_float32_matmul_precision(before)


def choose_device(name: str | torch.device) -> torch.device:
    """Return the device of that name; ``auto`` takes CUDA, else Apple's MPS, else the CPU.

    Raises:
        ConfigError: if there is no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device: '{name}' is not one of auto, cpu, cuda, cuda:<number>, mps") from None
    count = torch.cuda.device_count() if device.type == "cuda" else int(torch.backends.mps.is_available())
    if device.type != "cpu" and (device.type not in ("cuda", "mps") or (device.index or 0) >= count):
        raise ConfigError(f"device: '{name}' is not available here; use cpu, or auto for the best there is")
    return device


def _check_windows(conf: ScoringConfig, shortest: float) -> None:
    """Raise a ConfigError for impossible windows; ``shortest`` is the shortest clip that the model scores, seconds."""
    window, hop = conf.window_seconds, conf.hop_seconds
    if not 0 < hop <= window or not conf.batch_seconds > 0:
        raise ConfigError(
            "scoring_conf: expected 0 < hop_seconds <= window_seconds and batch_seconds > 0, found "
            f"hop_seconds {hop:g}, window_seconds {window:g}, batch_seconds {conf.batch_seconds:g}"
        )
    if not math.isinf(window) and window - hop < shortest:  # the last window is longer than window - hop
        raise ConfigError(
            f"scoring_conf: window_seconds {window:g} and hop_seconds {hop:g} leave last windows shorter than one frame of "
            f"the upstream ({shortest:g} s)"
        )


@contextlib.contextmanager
def _constant_parameters(model: torch.nn.Module) -> Iterator[None]:
    """Build a graph that ends at the waveforms, not at the model's parameters."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        with torch.enable_grad():
            yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
