"""What the metric relies on in VERSA, as protocols. tests/integrations/test_versa.py compares them with VERSA's classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Metric(Protocol):
    """``versa.definition.BaseMetric``: calls ``_setup`` once ``config`` and ``logger`` are there."""

    config: dict[str, Any]

    def __init__(self, config: dict[str, Any] | None = None) -> None: ...

    def compute(self, predictions: Any, references: Any = None, metadata: Mapping[str, Any] | None = None) -> Any: ...

    def get_metadata(self) -> Any: ...


@runtime_checkable
class Registry(Protocol):
    """``versa.definition.MetricRegistry``."""

    def register(self, metric_class: type, metadata: Any, aliases: list[str] | None = None) -> None: ...

    def get_metric(self, name: str) -> type: ...

    def get_metadata(self, name: str) -> Any: ...


@runtime_checkable
class Scorer(Protocol):
    """``versa.scorer_shared.VersaScorer``."""

    registry: Registry

    def __init__(self, registry: Registry | None = None) -> None: ...

    def load_metrics(
        self, score_config: list, use_gt: bool = True, use_gt_text: bool = False, use_gpu: bool = False
    ) -> Any: ...

    def score_utterances(
        self,
        gen_files: Mapping[str, Any],
        metric_suite: Any,
        gt_files: Mapping[str, Any] | None = None,
        text_info: Mapping[str, str] | None = None,
        output_file: str | None = None,
        io: str = "kaldi",
        batch_size: int = 1,
        resume: bool = False,
    ) -> list[dict[str, Any]]: ...


METADATA_FIELDS = (
    "name",
    "category",
    "metric_type",
    "requires_reference",
    "requires_text",
    "gpu_compatible",
    "auto_install",
    "dependencies",
    "description",
    "paper_reference",
    "implementation_source",
)
"""Of ``versa.definition.MetricMetadata``."""
