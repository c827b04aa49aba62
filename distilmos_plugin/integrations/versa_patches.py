"""What is added to VERSA's modules: the metric to its registries, and to its scoring loop the list of utterances.

Runs without the metric go through VERSA's own functions as they are.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

import numpy as np

REGISTRY_FUNCTIONS = {
    "versa.scorer_shared": ("_create_populated_registry",),
    "versa.metric_discovery": ("create_metric_discovery_registry",),
    "versa.metric_registry": ("create_populated_registry",),
}
"""Functions that return a filled registry. The first is in every generation; it is filled by the second since July 2026."""

logger = logging.getLogger(__name__)


def patch(module: ModuleType) -> None:
    """Patch one of VERSA's modules; a module that is patched already, or lacks the function, is left as it is."""
    for name in REGISTRY_FUNCTIONS.get(module.__name__, ()):
        function = getattr(module, name, None)
        if function is not None and not hasattr(function, "__wrapped__"):
            setattr(module, name, _with_metric(function))
    scorer = getattr(module, "VersaScorer", None)
    if scorer is not None and not hasattr(scorer.score_utterances, "__wrapped__"):
        scorer.score_utterances = _with_list(scorer.score_utterances, module)
        scorer.score_utterances_by_metric = _passing_over(scorer.score_utterances_by_metric, module)


def _with_metric(create_registry: Callable) -> Callable:
    """Return the function with the metric added to the registry that it makes."""

    @functools.wraps(create_registry)
    def create(*arguments: Any, **options: Any) -> Any:
        from distilmos_plugin.integrations.versa import register

        registry = create_registry(*arguments, **options)
        register(registry)
        return registry

    return create


def _with_list(score_utterances: Callable, module: ModuleType) -> Callable:
    """Return the loop over utterances with the list made known to the metric, and a row for every clip of the list.

    Args:
        score_utterances: ``(scorer, gen_files, metric_suite, ..., output_file, io, resume) -> rows``.
        module: VERSA's module with that loop.
    """
    signature = inspect.signature(score_utterances)

    @functools.wraps(score_utterances)
    def score(*arguments: Any, **options: Any) -> list[dict[str, Any]]:
        from distilmos_plugin.integrations.versa import metrics_of, prescore

        call = signature.bind(*arguments, **options)
        call.apply_defaults()
        files, suite, io = (call.arguments[name] for name in ("gen_files", "metric_suite", "io"))
        output = call.arguments["output_file"]
        metrics = metrics_of(suite)
        if not metrics:
            return score_utterances(*arguments, **options)
        prescore(suite, files, io, _scored(output) if call.arguments["resume"] else ())
        if io == "kaldi":
            call.arguments["gen_files"] = _Entries(files)
        try:
            with _unreadable_as_empty(module):
                rows = score_utterances(*call.args, **call.kwargs)
        finally:
            for metric in metrics:
                metric.forget()
        left_out = list(_left_out(files, io, rows, metrics))
        _append(output, left_out)
        rows = [*rows, *left_out]
        for metric in metrics:
            metric.finish(rows)
        return rows

    return score


def _passing_over(score_by_metric: Callable, module: ModuleType) -> Callable:
    """Return the loop over metrics so that what one of ours passes over does not end the pass of another."""
    signature = inspect.signature(score_by_metric)

    @functools.wraps(score_by_metric)
    def score(*arguments: Any, **options: Any) -> list[dict[str, Any]]:
        from distilmos_plugin.integrations.versa_metric import ALIASES, NAME

        call = signature.bind(*arguments, **options)
        call.apply_defaults()
        if not any(item["name"] in (NAME, *ALIASES) for item in call.arguments["score_config"]):
            return score_by_metric(*arguments, **options)
        if call.arguments["io"] == "kaldi":
            call.arguments["gen_files"] = _Entries(call.arguments["gen_files"])
        with _unreadable_as_empty(module):
            return score_by_metric(*call.args, **call.kwargs)

    return score


class _Entries(Mapping):
    """Entries of a Kaldi list, read when they are asked for; one that cannot be read is its error."""

    def __init__(self, files: Mapping[str, Any]) -> None:
        self._files = files

    def __getitem__(self, key: str) -> Any:
        try:
            return self._files[key]
        except Exception as error:  # kaldiio raises whatever its parsers meet
            return error

    def __contains__(self, key: object) -> bool:
        return key in self._files

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


@contextlib.contextmanager
def _unreadable_as_empty(module: ModuleType) -> Iterator[None]:
    """Let VERSA's loop pass over audio that cannot be read, as it does over empty audio, instead of ending at it."""
    load_audio = module.load_audio

    @functools.wraps(load_audio)
    def load(info: Any, io: str) -> tuple[int, np.ndarray]:
        try:
            if isinstance(info, Exception):
                raise info
            return load_audio(info, io)
        except Exception as error:  # of whatever kind; the row of the clip will have it
            logger.warning("not readable, left out: %s: %s", info, error)
            return 1, np.zeros(0)

    module.load_audio = load
    try:
        yield
    finally:
        module.load_audio = load_audio


def _left_out(files: Mapping[str, Any], io: str, rows: list[dict[str, Any]], metrics: list) -> Iterator[dict[str, Any]]:
    """Yield rows for the clips that VERSA has left out: what it cannot read, audio of one constant value, no reference."""
    from distilmos_plugin.integrations.versa import reader

    present = {row.get("key") for row in rows}
    read = reader(files, io)
    for key in files:
        if key in present:
            continue
        row: dict[str, Any] = {"key": key}
        try:
            rate, samples = read(key)
        except Exception as error:  # the same as above
            for metric in metrics:
                path = None if io == "kaldi" else files[key]
                row |= metric.unreadable(key, path, f"{key}: {type(error).__name__}: {error}")
        else:
            for metric in metrics:
                row |= metric.compute(samples, metadata={"key": key, "sample_rate": rate})
        yield row


def _scored(output: str | os.PathLike | None) -> set[str]:
    """Return the keys that a score file of VERSA has with the metric's fields."""
    from distilmos_plugin.integrations.versa_metric import STATUS

    if output is None or not os.path.exists(output):
        return set()
    keys = set()
    with open(output, encoding="utf-8") as file:
        for line in file:
            with contextlib.suppress(json.JSONDecodeError):  # torn by a kill; VERSA passes over it too
                row = json.loads(line)
                if STATUS in row:
                    keys.add(row.get("key"))
    return keys


def _append(output: str | os.PathLike | None, rows: list[dict[str, Any]]) -> None:
    if output is not None and rows:
        with open(output, "a", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
