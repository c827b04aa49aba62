"""A few figures over many scores."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from distilmos_plugin.errors import DataError
from distilmos_plugin.scoring.results import Score


def summarize(scores: Iterable[Score], system_from: str | None = None) -> dict[str, Any]:
    """Return counts, and mean, standard deviation, median and percentiles of every target.

    Args:
        scores: of one signature or several.
        system_from: regular expression found in a clip's key; its first group (the whole match if it has none) names
            the clip's system. Clips whose key does not match count under no system.

    Returns:
        ``signatures``, ``clips``, ``status`` (name -> count), ``flags`` (name -> count), ``targets`` (name -> ``n``, ``mean``,
        ``sd`` (n - 1; null for one clip), ``median``, ``p5``, ``p95``), and with ``system_from`` ``systems`` (name -> as
        ``targets``).

    Raises:
        DataError: if ``system_from`` is no regular expression.
    """
    try:
        pattern = re.compile(system_from) if system_from is not None else None
    except re.error as error:
        raise DataError(f"'{system_from}' is not a regular expression: {error}") from None
    status: Counter[str] = Counter()
    flags: Counter[str] = Counter()
    targets: dict[str, list[float]] = {}
    systems: dict[str, dict[str, list[float]]] = {}
    signatures: set[str] = set()
    for score in scores:
        status[score.status] += 1
        flags.update(score.flags)
        signatures.add(score.signature)
        match = pattern.search(score.key) if pattern else None
        groups = [targets]
        if match:
            groups.append(systems.setdefault(match.group(1 if pattern.groups else 0) or "", {}))
        for name, value in score.targets.items():
            for group in groups:
                group.setdefault(name, []).append(value)
    summary: dict[str, Any] = {
        "signatures": sorted(signatures),
        "clips": status.total(),
        "status": dict(status),
        "flags": dict(flags),
    }
    summary["targets"] = {name: _figures(values) for name, values in targets.items()}
    if pattern:
        summary["systems"] = {
            system: {name: _figures(values) for name, values in sorted(systems[system].items())} for system in sorted(systems)
        }
    return summary


def _figures(values: Sequence[float]) -> dict[str, float | int | None]:
    p5, median, p95 = np.percentile(values, [5, 50, 95])
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    figures = {"mean": float(np.mean(values)), "sd": sd, "median": float(median), "p5": float(p5), "p95": float(p95)}
    return {"n": len(values)} | {name: None if value is None else round(value, 6) for name, value in figures.items()}


def format_summary(summary: dict[str, Any]) -> str:
    """Return a summary as a small text table."""
    columns = ("n", "mean", "sd", "median", "p5", "p95")
    rows = [("", *columns)]
    for system, targets in [("", summary["targets"]), *summary.get("systems", {}).items()]:
        for name, figures in targets.items():
            label = f"{system} {name}".strip()
            rows.append((label, *("-" if figures[c] is None else f"{figures[c]:.{0 if c == 'n' else 3}f}" for c in columns)))
    width = max(len(row[0]) for row in rows)
    lines = [f"{row[0]:<{width}}" + "".join(f"{cell:>9}" for cell in row[1:]) for row in rows]
    for kind in ("status", "flags"):
        if summary[kind]:
            lines.append(f"{kind}: " + ", ".join(f"{name} {count}" for name, count in sorted(summary[kind].items())))
    return "\n".join(lines)
