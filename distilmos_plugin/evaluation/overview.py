"""One table over many experiments: in and out of domain, by target, by sample rate, with seeds and training time."""

from __future__ import annotations

import itertools
import json
import math
import os
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from scipy.stats import t as student

from distilmos_plugin.data.directory import DataDirectory
from distilmos_plugin.errors import DataError
from distilmos_plugin.evaluation.best_score import best_score_tables
from distilmos_plugin.evaluation.correlations import metrics
from distilmos_plugin.evaluation.intervals import bootstrap
from distilmos_plugin.evaluation.pairs import Pairs, is_scored, pair
from distilmos_plugin.evaluation.plots import unit
from distilmos_plugin.evaluation.results import CONFIG, HISTORY, environment, read_metrics, row
from distilmos_plugin.evaluation.tables import figure
from distilmos_plugin.files import atomic_write
from distilmos_plugin.progress import say
from distilmos_plugin.scoring.results import Score, read_scores
from distilmos_plugin.typed_yaml import load_yaml

FEWEST = 20  # clips of one rate: a correlation over fewer says little


@dataclass(frozen=True)
class Experiment:
    """One training run and its evaluations."""

    directory: Path
    config: Mapping[str, Any]
    seconds: float
    sets: Mapping[str, Mapping[str, Any]]

    @classmethod
    def read(cls, directory: Path) -> Experiment:
        """Read what training and evaluation left in an experiment directory.

        Raises:
            DataError: if it has not been trained or evaluated.
        """
        sets = {path.parent.name: read_metrics(path) for path in sorted(directory.glob("*/metrics.json"))}
        for name, there in ((CONFIG, (directory / CONFIG).is_file()), ("*/metrics.json", bool(sets))):
            if not there:
                raise DataError(f"{directory}: no {name}; run the recipe on it to the end of stage 6 first")
        history = directory / HISTORY
        epochs = history.read_text(encoding="utf-8").splitlines() if history.is_file() else []
        return cls(directory, load_yaml(directory / CONFIG), sum(json.loads(line)["seconds"] for line in epochs), sets)

    @property
    def kind(self) -> str:
        """What experiments that differ in the seed alone have in common."""
        return json.dumps({name: value for name, value in self.config.items() if name not in ("seed", "init_param")})

    def value(self, part: str, target: str, level: str, name: str) -> tuple[float | None, Sequence[float] | None]:
        """Return a figure and its bootstrap interval; None where there is none."""
        figures = self.sets.get(part)
        block = figures and {figures["target"]: figures, **figures["targets"]}.get(target)
        block = block and block[level]
        return (block[name], block[f"{name}_ci"]) if block else (None, None)

    @cached_property
    def by_rate(self) -> dict[tuple[str, int], Pairs]:
        """Truth and predictions on the set ``test``, by target and native rate in Hz, where there are :data:`FEWEST` clips."""
        figures = self.sets.get("test")
        if figures is None:
            return {}
        directory = DataDirectory.read(figures["data"])
        found: dict[tuple[str, int], list[Score]] = defaultdict(list)
        for score in read_scores(self.directory / "test" / "scores.jsonl"):
            for target in (figures["target"], *figures["targets"]):
                if is_scored(score, target) and not math.isnan(directory.targets[target].get(score.key, math.nan)):
                    found[target, score.sample_rate].append(score)
        return {place: pair(part, directory, place[0]) for place, part in found.items() if len(part) >= FEWEST}

    def value_at(self, target: str, rate: int) -> tuple[float | None, Sequence[float] | None]:
        """Return the utterance LCC over the clips of one rate, and its bootstrap interval."""
        pairs, options = self.by_rate[target, rate], self.sets["test"]["bootstrap"]
        sides = pairs.utterance.truth, pairs.utterance.prediction
        return metrics(*sides)["lcc"], bootstrap(*sides, strata=pairs.members, **options).bounds["lcc"]


def write_overview(expdirs: Sequence[str | os.PathLike], output: str | os.PathLike, command: str | None = None) -> Path:
    """Write one Markdown file over several experiments on the same test sets; those that differ in the seed share a row.

    One run has 95 % bootstrap intervals over clips or systems; several seeds have their mean and a 95 % Student interval over
    seeds.

    Raises:
        DataError: if an experiment is not evaluated.
    """
    groups: dict[str, list[Experiment]] = defaultdict(list)
    for directory in expdirs:
        experiment = Experiment.read(Path(os.path.abspath(directory)))
        groups[experiment.kind].append(experiment)
    rows = {_name(group): group for group in groups.values()}
    lines = ["# Results", ""]
    if command:
        lines += ["```", command, "```", ""]
    everyone = [experiment for group in rows.values() for experiment in group]
    truths = dict.fromkeys(figures["truth"] for experiment in everyone for figures in experiment.sets.values())
    lines += [f"**{truth}**\n" for truth in truths if truth]
    lines += [*_overall(rows), *_by_target(rows), *_by_rate(rows)]
    lines += [*best_score_tables({item.directory.name: item.sets for item in everyone}), *_reading(everyone)]
    lines += [*environment(), ""]
    with atomic_write(output) as file:
        file.write("\n".join(lines))
    say(f"results: {output}")
    return Path(output)


def _name(group: Sequence[Experiment]) -> str:
    """Return what the names of a group's directories have in common."""
    names = [experiment.directory.name for experiment in group]
    if len(names) == 1:
        return names[0]
    same = itertools.takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    return "".join(letters[0] for letters in same).removesuffix("seed").rstrip("_-")


def _over_seeds(group: Sequence[Experiment], part: str, target: str, level: str, name: str) -> str:
    """Return a figure of a group with its interval."""
    return _together([experiment.value(part, target, level, name) for experiment in group])


def _together(found: Sequence[tuple[float | None, Sequence[float] | None]]) -> str:
    """Return one run's figure with its bootstrap interval, or the mean over several with a Student interval."""
    values = [value for value, _ in found if value is not None]
    if len(values) < len(found) or not values:
        return "-"
    if len(values) == 1:
        return figure(*found[0])
    half = student.ppf(0.975, len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return f"{statistics.fmean(values):.3f} ± {half:.3f}"


def _overall(rows: Mapping[str, Sequence[Experiment]]) -> Iterator[str]:
    parts = list(dict.fromkeys(part for group in rows.values() for part in group[0].sets))
    columns = [(part, level, name) for part in parts for level, name in (("utterance", "lcc"), ("system", "srcc"))]
    yield "## First target of each system"
    yield ""
    titles = [f"{part} {level} {name.upper()}" for part, level, name in columns]
    yield row(["experiment", "system", "target", "seeds", "training, minutes", *titles])
    yield row(["---", "---", "---", "--:", "--:", *["--:"] * len(columns)])
    for name, group in rows.items():
        target = next(iter(group[0].sets.values()))["target"]
        minutes = statistics.fmean(experiment.seconds for experiment in group) / 60
        cells = [_over_seeds(group, part, target, level, metric) for part, level, metric in columns]
        yield row([name, f"`{group[0].config['system']}`", unit(target), str(len(group)), f"{minutes:.1f}", *cells])
    yield ""


def _by_target(rows: Mapping[str, Sequence[Experiment]]) -> Iterator[str]:
    targets = dict.fromkeys(
        target
        for group in rows.values()
        for figures in group[0].sets.values()
        for target in (figures["target"], *figures["targets"])
    )
    for part in dict.fromkeys(part for group in rows.values() for part in group[0].sets):
        yield f"## Utterance LCC by target, {part}"
        yield ""
        yield row(["experiment", *(unit(target) for target in targets)])
        yield row(["---", *["--:"] * len(targets)])
        for name, group in rows.items():
            yield row([name, *(_over_seeds(group, part, target, "utterance", "lcc") for target in targets)])
        yield ""


def _by_rate(rows: Mapping[str, Sequence[Experiment]]) -> Iterator[str]:
    everyone = [experiment for group in rows.values() for experiment in group]
    counts = {rate: len(pairs.utterance.names) for item in everyone for (_, rate), pairs in item.by_rate.items()}
    if len(counts) < 2:
        return
    yield "## Utterance LCC by native sample rate, test"
    yield ""
    yield row(["experiment", "target", *(f"{rate / 1000:g} kHz ({counts[rate]} clips)" for rate in sorted(counts))])
    yield row(["---", "---", *["--:"] * len(counts)])
    for name, group in rows.items():
        for target in dict.fromkeys(target for target, _ in group[0].by_rate):
            there = {rate: all((target, rate) in item.by_rate for item in group) for rate in sorted(counts)}
            cells = [_together([item.value_at(target, rate) for item in group]) if there[rate] else "-" for rate in there]
            yield row([name, unit(target), *cells])
    yield ""


def _reading(experiments: Sequence[Experiment]) -> Iterator[str]:
    yield "In brackets: 95 % bootstrap intervals of one run. With ±: mean over seeds and half of its 95 % Student interval."
    yield "Training time is that of the epochs; code books, distillation and teachers come on top."
    yield ""
    yield "Signatures:"
    yield ""
    for signature in dict.fromkeys(figures["signature"] for item in experiments for figures in item.sets.values()):
        yield f"    {signature}"
    yield ""
