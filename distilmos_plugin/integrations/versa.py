"""The metric in VERSA (https://github.com/wavlab-speech/versa): the Python interface and ``distilmos-versa``.

>>> from versa.scorer_shared import VersaScorer                                       # doctest: +SKIP
>>> from distilmos_plugin.integrations.versa import prescore, register                # doctest: +SKIP
>>> scorer = VersaScorer()                                                            # doctest: +SKIP
>>> register(scorer.registry)                                                         # doctest: +SKIP
>>> suite = scorer.load_metrics([{"name": "distilmos", "model": "mini"}], use_gt=False)  # doctest: +SKIP
>>> prescore(suite, files, io="soundfile")          # optional: the same scores, in batches   # doctest: +SKIP
>>> scorer.score_utterances(files, suite, io="soundfile")                             # doctest: +SKIP

VERSA is imported by the functions that need it. It has no plugin interface; docs/versa.md says what is done instead.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Container, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distilmos_plugin.errors import DistilmosError, MissingExtra
from distilmos_plugin.integrations import versa_hook

if TYPE_CHECKING:
    from distilmos_plugin.integrations.versa_metric import DistilMOSMetric
    from distilmos_plugin.integrations.versa_prescoring import Read

__all__ = ["DistilMOSMetric", "generation", "main", "metrics_of", "prescore", "reader", "register"]

INSTALL = "pip install --no-build-isolation git+https://github.com/wavlab-speech/versa"

GENERATIONS = {
    "versa.completion": "since September 2026 (completion records)",
    "versa.config_validation": "since May 2026 (configurations are validated)",
    "versa.metric_discovery": "since May 2026 (metrics are loaded when they are used)",
    "versa.definition": "up to May 2026 (metric classes, all imported at once)",
}
"""Modules that came with a generation of VERSA, newest first."""


def __getattr__(name: str) -> Any:
    if name == "DistilMOSMetric":
        return _metric_module().DistilMOSMetric
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def register(registry: Any) -> None:
    """Add the metric ``distilmos`` to a registry of VERSA; a registry that has it is left as it is.

    Args:
        registry: a ``versa.definition.MetricRegistry``, such as ``VersaScorer().registry``.

    Raises:
        MissingExtra: if VERSA is not installed.
    """
    module = _metric_module()
    if registry.get_metric(module.NAME) is None:
        registry.register(module.DistilMOSMetric, module.METADATA, aliases=list(module.ALIASES))


def metrics_of(suite: Any) -> list[DistilMOSMetric]:
    """Return the metrics of this package in a ``versa.definition.MetricSuite``."""
    module = _metric_module()
    return [metric for metric in suite.metrics.values() if isinstance(metric, module.DistilMOSMetric)]


def prescore(suite: Any, gen_files: Mapping[str, Any], io: str = "kaldi", done: Container[str] = ()) -> None:
    """Tell the metric which utterances VERSA is going to score, so that it scores them in batches.

    Args:
        suite: the ``MetricSuite`` that scores them.
        gen_files: key -> what VERSA reads: a path, or an entry of a Kaldi list.
        io: VERSA's ``kaldi``, ``soundfile`` or ``dir``.
        done: keys that are not going to be scored.
    """
    for metric in metrics_of(suite):
        metric.expect(tuple(gen_files), reader(gen_files, io), done)


def reader(gen_files: Mapping[str, Any], io: str) -> Read:
    """Return the function from a key to what VERSA hands to a metric: rate, and float64 samples ``[time]``."""
    from versa.utils_shared import load_audio, wav_normalize

    def read(key: str):
        entry = gen_files[key]
        if isinstance(entry, Exception):  # from the scoring loop: an entry that could not be read
            raise entry
        rate, samples = load_audio(entry, io)
        return rate, wav_normalize(samples)

    return read


def generation() -> str:
    """Return in words how old the installed VERSA is.

    Raises:
        MissingExtra: if VERSA is not installed.
        DistilmosError: if it is too old to take a metric.
    """
    if not _exists("versa.scorer_shared"):  # another project of the same import name has no such module
        raise MissingExtra(
            f"VERSA is not installed: {INSTALL} (the 'versa' of the package index is something else)", name="versa"
        )
    for module, text in GENERATIONS.items():
        if _exists(module):
            return text
    raise DistilmosError(f"this VERSA has no metric registry, it is of 2025 or older: {INSTALL}")


def main() -> None:
    """Run VERSA's scorer with the metric registered; the flags are VERSA's."""
    try:
        generation()
    except DistilmosError as error:
        print(f"distilmos-versa: error: {error}", file=sys.stderr)
        sys.exit(2)
    versa_hook.install()
    sys.argv[0] = "distilmos-versa"
    importlib.import_module("versa.bin.scorer").main()


def _metric_module():
    generation()
    return importlib.import_module("distilmos_plugin.integrations.versa_metric")


def _exists(module: str) -> bool:
    """Tell whether VERSA has a module, without importing it: the first generation takes half a minute for that."""
    package, _, name = module.partition(".")
    spec = importlib.util.find_spec(package)
    return spec is not None and any(Path(folder, f"{name}.py").is_file() for folder in spec.submodule_search_locations or ())


if __name__ == "__main__":
    main()
