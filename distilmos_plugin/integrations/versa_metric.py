"""The metric that VERSA runs. Importing this module needs VERSA; :mod:`.versa` is the way in."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from versa.definition import BaseMetric, MetricCategory, MetricMetadata, MetricType

from distilmos_plugin import DEFAULT_MODEL
from distilmos_plugin.errors import ConfigError, DataError, suggest
from distilmos_plugin.files import write_json
from distilmos_plugin.integrations.versa_prescoring import Prescorer, Read, as_recorded, load_streams, streams_for
from distilmos_plugin.scoring.models import announce, load
from distilmos_plugin.scoring.results import Score, deviation_column, to_row
from distilmos_plugin.scoring.summary import format_summary, summarize

NAME = "distilmos"
ALIASES = ("DistilMOS",)
STATUS, REASON, FLAGS, SIGNATURE = f"{NAME}_status", f"{NAME}_reason", f"{NAME}_flags", f"{NAME}_signature"
SYSTEM, FRAMES = f"{NAME}_system", f"{NAME}_frames"

KEYS = ("model", "precision", "targets", "frames", "system_from", "system_output", "prescore", "batch_seconds")
"""What a score configuration may set."""

FROM_VERSA = ("name", "use_gpu", "cache_dir", "io")
"""What VERSA itself puts into a metric's configuration."""

SUMMED = ("_wer", "_cer", "_per")
"""VERSA adds up, instead of averaging, whatever has one of these in its name."""

METADATA = MetricMetadata(  # keywords only: later versions of VERSA have more fields
    name=NAME,
    category=MetricCategory.INDEPENDENT,
    metric_type=MetricType.FLOAT,
    requires_reference=False,
    requires_text=False,
    gpu_compatible=True,
    auto_install=False,
    dependencies=["distilmos_plugin"],
    description="Predicted mean opinion score of speech, without a reference; further targets where the model has them",
    paper_reference="https://arxiv.org/abs/2601.13700",
    implementation_source="distilmos-plugin",
)


class DistilMOSMetric(BaseMetric):
    """Scores utterances with any model of this package.

    Configuration (a score configuration of VERSA, or a dict):
        model: what ``distilmos score --model`` takes.
        precision: ``fp32`` or ``bf16``.
        targets: names of the targets to give, a list or one; all of the model's by default.
        frames: also give scores over time, as ``distilmos_frames``.
        system_from: regular expression; its first group in an utterance's key is its system, ``distilmos_system``.
        system_output: JSON file for mean, spread and percentiles of every system; needs ``system_from``.
        prescore: false scores every utterance when VERSA asks for it, without batches.
        batch_seconds: padded audio in a batch, seconds.

    The device is VERSA's: ``--use_gpu`` and ``--rank``, else the CPU.

    Raises:
        ConfigError: for a key or value that makes no sense.
        ModelError: if the model cannot be loaded.
    """

    def _setup(self) -> None:
        # VERSA allows the keys that it finds read as literals of self.config.get; it may add the last two itself.
        unknown = [key for key in self.config if key not in KEYS + FROM_VERSA]
        if unknown:
            raise ConfigError(f"{NAME}: unknown key '{unknown[0]}'{suggest(unknown[0], KEYS)} (known: {', '.join(KEYS)})")
        _ = self.config.get("cache_dir"), self.config.get("io")
        self._name = str(self.config.get("model", DEFAULT_MODEL))
        self._frames = _flag("frames", self.config.get("frames", False))
        self._prescores = _flag("prescore", self.config.get("prescore", True))
        self._batch_seconds = _seconds(self.config.get("batch_seconds"))
        self._system_from = _expression(self.config.get("system_from"))
        self._system_output = self.config.get("system_output")
        if self._system_output is not None and self._system_from is None:
            raise ConfigError(f"{NAME}: system_output needs system_from, the regular expression that finds a key's system")
        device = "cuda" if self.config.get("use_gpu") else "cpu"
        self.predictor = load(self._name, device, str(self.config.get("precision", "fp32")))
        self.targets = _chosen(self.config.get("targets"), self.predictor.targets)
        deviations = [deviation_column(target) for target in self.targets]
        self.columns = (*self.targets, *(column for column in deviations if column in self.predictor.columns))
        self._expected: tuple[Sequence[str], Read, Container[str]] | None = None
        self._ahead: Prescorer | None = None
        announce(self.predictor)

    def compute(self, predictions: Any, references: Any = None, metadata: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Score one utterance.

        Args:
            predictions: samples ``[time]``, full scale 1, at ``metadata["sample_rate"]`` Hz.
            references: not used.
            metadata: ``sample_rate`` and, where there is one, ``key``.

        Returns:
            A row for VERSA; every score is a float, or None where there is no score: then ``distilmos_status`` and
            ``distilmos_reason`` say why.

        Raises:
            DataError: without a sample rate.
        """
        if not metadata or not metadata.get("sample_rate"):
            raise DataError(f"{NAME}: metadata lacks the sample rate of the predictions: metadata={{'sample_rate': 16000}}")
        samples, rate = np.asarray(predictions), int(metadata["sample_rate"])
        key = metadata.get("key")
        score = self._look_up(key, samples, rate)
        if score is None:
            score = self.predictor.score(as_recorded(samples), rate, frames=self._frames)
        return self.row(score, key)

    def get_metadata(self) -> MetricMetadata:
        """Return what VERSA shows of the metric."""
        return METADATA

    def evaluation_identity(self) -> dict[str, Any]:
        """Return what makes the scores beside the configuration, by which newer versions of VERSA resume."""
        return {"signature": self.predictor.signature}

    def expect(self, keys: Sequence[str], read: Read, done: Container[str] = ()) -> None:
        """Announce the utterances to come, so that they can be scored ahead; see :class:`.Prescorer`."""
        self.forget()
        self._expected = (keys, read, done) if self._prescores else None

    def forget(self) -> None:
        """End scoring ahead."""
        self._expected = None
        self._ahead = None

    def row(self, score: Score, key: str | None) -> dict[str, Any]:
        """Return the fields of a row of VERSA's output."""
        values = to_row(score)
        row: dict[str, Any] = {output_key(name): values.get(name) for name in self.columns}
        row |= {STATUS: score.status, FLAGS: list(score.flags)}
        if score.reason is not None:
            row[REASON] = score.reason
        system = self._system_from.search(key) if self._system_from and key else None
        if system:
            row[SYSTEM] = system.group(1 if self._system_from.groups else 0) or ""
        row[SIGNATURE] = score.signature
        if score.frames is not None:
            row[FRAMES] = values["frames"]
        return row

    def unreadable(self, key: str, path: str | None, reason: str) -> dict[str, Any]:
        """Return the fields of a clip that VERSA could not read; a file may be one that this package can read."""
        if path is not None:
            return self.row(self.predictor.score(path, frames=self._frames), key)
        return self.row(Score(key, None, {}, "unreadable", (), None, None, self.predictor.signature, reason), key)

    def finish(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write ``system_output`` and log its table, from all rows of VERSA's output."""
        if self._system_from is None:
            return
        summary = summarize((self._score(row) for row in rows if STATUS in row), self._system_from.pattern)
        self.logger.info("by system:\n%s", format_summary(summary))
        if self._system_output is not None:
            write_json(Path(self._system_output), summary)

    def _look_up(self, key: str | None, samples: np.ndarray, rate: int) -> Score | None:
        if key is None or self._expected is None:
            return None
        if self._ahead is None:
            keys, read, done = self._expected
            streams = load_streams(self._name, self.predictor, streams_for(self.predictor, len(keys)))
            self._ahead = Prescorer(streams, keys, read, done, self._batch_seconds, self._frames)
        return self._ahead.ask(key, samples, rate)

    def _score(self, row: Mapping[str, Any]) -> Score:
        values = {name: row.get(output_key(name)) for name in self.columns}
        targets = {name: value for name, value in values.items() if value is not None}
        return Score(row["key"], None, targets, row[STATUS], tuple(row[FLAGS]), None, None, row[SIGNATURE])


def output_key(target: str) -> str:
    """Return the key of a target in VERSA's output.

    >>> output_key("mos"), output_key("sig"), output_key("mos_std"), output_key("perplexity")
    ('distilmos', 'distilmos_sig', 'distilmos_std', 'distilmos-perplexity')
    """
    if target == "mos":
        return NAME
    key = f"{NAME}_{target.removeprefix('mos_')}"
    return key.replace("_", "-") if any(part in key for part in SUMMED) else key


def _chosen(wanted: Any, known: tuple[str, ...]) -> tuple[str, ...]:
    if wanted is None:
        return known
    names = (wanted,) if isinstance(wanted, str) else tuple(wanted) if isinstance(wanted, list | tuple) else None
    if not names or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{NAME}: targets: expected a list of names, found {wanted!r}")
    for name in names:
        if name not in known:
            raise ConfigError(
                f"{NAME}: targets: the model does not predict '{name}'{suggest(name, known)}; it predicts {', '.join(known)}"
            )
    return names


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"{NAME}: {name}: expected true or false, found {value!r}")
    return value


def _seconds(value: Any) -> float | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not value > 0):
        raise ConfigError(f"{NAME}: batch_seconds: expected a number above 0, found {value!r}")
    return value


def _expression(value: Any) -> re.Pattern[str] | None:
    try:
        return None if value is None else re.compile(value)
    except (re.error, TypeError) as error:
        raise ConfigError(f"{NAME}: system_from: {value!r} is not a regular expression: {error}") from None
