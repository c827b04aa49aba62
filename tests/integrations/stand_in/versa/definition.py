"""Metric classes and their registry."""

import enum
import logging
from abc import ABC, abstractmethod
from dataclasses import dataclass

MetricCategory = enum.Enum("MetricCategory", ["INDEPENDENT", "DEPENDENT", "NON_MATCH", "DISTRIBUTIONAL"])
MetricType = enum.Enum("MetricType", ["STRING", "FLOAT", "INT", "BOOL", "LIST", "DICT", "TUPLE", "ARRAY", "TIME"])


@dataclass
class MetricMetadata:
    name: str
    category: MetricCategory
    metric_type: MetricType
    requires_reference: bool
    requires_text: bool
    gpu_compatible: bool
    auto_install: bool
    dependencies: list
    description: str
    paper_reference: str = None
    implementation_source: str = None


class BaseMetric(ABC):
    def __init__(self, config=None):
        self.config = config or {}
        self.logger = logging.getLogger(type(self).__name__)
        self._setup()

    @abstractmethod
    def _setup(self): ...

    @abstractmethod
    def compute(self, predictions, references=None, metadata=None): ...

    @abstractmethod
    def get_metadata(self): ...


class MetricRegistry:
    def __init__(self):
        self._entries, self._aliases = {}, {}

    def register(self, metric_class, metadata, aliases=None):
        self._entries[metadata.name] = metric_class, metadata
        self._aliases.update(dict.fromkeys(aliases or (), metadata.name))

    def get_metric(self, name):
        return self._entry(name)[0]

    def get_metadata(self, name):
        return self._entry(name)[1]

    def _entry(self, name):
        return self._entries.get(self._aliases.get(name, name), (None, None))


class MetricSuite:
    def __init__(self, metrics):
        self.metrics = metrics
