"""How close a model comes to the best one, averaged over test sets: best-score ratio and best-score difference.

W.-C. Huang, E. Cooper, T. Toda, "MOS-Bench: Benchmarking Generalization Abilities of Subjective Speech Quality Assessment
Models", arXiv 2411.03715. Figures of different test sets cannot be averaged as they are: some sets are harder. So each
figure is set against the best one that any of the compared models has on that set, and then averaged over the sets: as a ratio
(correlations; 1 is the best everywhere) and as a difference (correlations: 0 is the best, less is worse; MSE: more is worse).
The value depends on which models are compared, so they are named with it.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from distilmos_plugin.evaluation.correlations import HIGHER_IS_BETTER
from distilmos_plugin.evaluation.plots import unit

FIGURES = ("lcc", "srcc", "ktau", "mse")
OUT_OF_DOMAIN = "ood"  # a part of the names of test sets that differ from a model's training data on purpose
DOMAINS = ("in domain", "out of domain", "all")

Sets = Mapping[str, Mapping[str, Any]]
"""Test set -> content of its ``metrics.json``, of one experiment."""


def canonical(name: str) -> str:
    """Return what names a test set for every model, whether it is out of domain for it or not.

    >>> canonical("test_ood_nisqa_for"), canonical("test_bvcc"), canonical("test_ood")
    ('test_nisqa_for', 'test_bvcc', 'test_ood')
    """
    return name.replace(f"_{OUT_OF_DOMAIN}_", "_", 1)


def shared_sets(experiments: Mapping[str, Sets]) -> list[str]:
    """Return the test sets (:func:`canonical`) that all experiments were evaluated on, with equally many clips."""
    by_name = [{canonical(name): figures for name, figures in sets.items()} for sets in experiments.values()]
    names = [name for name in by_name[0] if all(name in other for other in by_name)]
    return [name for name in names if len({(o[name]["n_utterances"], o[name]["target"]) for o in by_name}) == 1]


def best_scores(experiments: Mapping[str, Sets], level: str) -> dict[str, dict[str, dict[str, Any]]]:
    """Compare experiments on the test sets that they share.

    Args:
        experiments: name -> its test sets.
        level: ``utterance`` or ``system``; sets without figures of that level are left out.

    Returns:
        experiment -> domain (:data:`DOMAINS`, those that it has) -> ``sets`` (how many), ``ratio`` and ``difference``:
        figure -> mean over these sets, None where it is undefined on one of them or, for a ratio, the best is not above 0.
    """
    shared = shared_sets(experiments)
    blocks = {
        name: {canonical(part): (figures[level], OUT_OF_DOMAIN in part) for part, figures in sets.items()}
        for name, sets in experiments.items()
    }
    shared = [part for part in shared if all(found[part][0] is not None for found in blocks.values())]
    best = {
        (part, figure): _best(figure, [found[part][0][figure] for found in blocks.values()])
        for part in shared
        for figure in FIGURES
    }
    table: dict[str, dict[str, dict[str, Any]]] = {}
    for name, found in blocks.items():
        inside = [part for part in shared if not found[part][1]]
        outside = [part for part in shared if found[part][1]]
        for domain, parts in zip(DOMAINS, (inside, outside, shared), strict=True):
            if parts and not (domain == DOMAINS[2] and not (inside and outside)):
                values = {figure: [(found[part][0][figure], best[part, figure]) for part in parts] for figure in FIGURES}
                table.setdefault(name, {})[domain] = {
                    "sets": len(parts),
                    "ratio": {figure: _ratio(values[figure]) for figure in FIGURES if figure in HIGHER_IS_BETTER},
                    "difference": {figure: _difference(values[figure]) for figure in FIGURES},
                }
    return table


def _best(figure: str, values: Sequence[float | None]) -> float | None:
    if None in values:
        return None
    return max(values) if figure in HIGHER_IS_BETTER else min(values)


def _ratio(pairs: Sequence[tuple[float | None, float | None]]) -> float | None:
    if any(best is None or best <= 0 for _, best in pairs):
        return None
    return statistics.fmean(value / best for value, best in pairs)


def _difference(pairs: Sequence[tuple[float | None, float | None]]) -> float | None:
    if any(best is None for _, best in pairs):
        return None
    return statistics.fmean(value - best for value, best in pairs)


def best_score_tables(experiments: Mapping[str, Sets]) -> Iterator[str]:
    """Yield Markdown: a table for each level over the test sets that the experiments share; nothing where they share none."""
    shared = shared_sets(experiments) if len(experiments) > 1 else []
    if not shared:
        return
    target = unit(next(iter(next(iter(experiments.values())).values()))["target"])
    yield "## Best-score ratio and difference"
    yield ""
    yield (
        f"{target}; each figure against the best of these {len(experiments)} experiments on the same test set, averaged "
        f"over test sets (MOS-Bench, arXiv 2411.03715): {', '.join(shared)}."
    )
    yield ""
    for level in ("utterance", "system"):
        table = best_scores(experiments, level)
        if not table:
            continue
        titles = [f"{figure.upper()} ratio" for figure in FIGURES if figure in HIGHER_IS_BETTER]
        titles += [f"{figure.upper()} difference" for figure in FIGURES]
        yield _row([f"{level} level", "test sets", "", *titles])
        yield _row(["---", "---", "--:", *["--:"] * len(titles)])
        for name, domains in table.items():
            for domain, block in domains.items():
                ratios = ["-" if value is None else f"{value:.3f}" for value in block["ratio"].values()]
                differences = ["-" if value is None else f"{value:+.3f}" for value in block["difference"].values()]
                yield _row([name, domain, str(block["sets"]), *ratios, *differences])
        yield ""


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
