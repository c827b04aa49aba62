"""Evaluations and comparisons as text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from distilmos_plugin.evaluation.correlations import HIGHER_IS_BETTER, METRICS
from distilmos_plugin.evaluation.plots import unit
from distilmos_plugin.evaluation.uncertainty import sentence

SIGNIFICANT = 0.05  # p below it: the difference is not put down to the choice of clips or systems


def figure(value: float | None, bounds: Sequence[float] | None = None, digits: int = 3) -> str:
    """Write a figure with its interval.

    Example:
        >>> figure(0.8672, (0.8547, 0.8791)), figure(None)
        ('0.867 [0.855, 0.879]', '-')
    """
    if value is None:
        return "-"
    return f"{value:.{digits}f}" + (f" [{bounds[0]:.{digits}f}, {bounds[1]:.{digits}f}]" if bounds else "")


def evaluation_table(figures: Mapping[str, Any]) -> str:
    """Return the content of ``metrics.json`` as a table, with what is undefined and what was left out below it."""
    rows = [("", "items", *(name.upper() for name in METRICS))]
    notes = [figures["truth"]] if figures["truth"] else []
    for target, block in {figures["target"]: figures, **figures["targets"]}.items():
        for level, count in (("utterance", block["n_utterances"]), ("system", block["n_systems"])):
            values = block[level]
            if values is None:
                notes.append(f"{unit(target)}: no system ids, so no system level")
                continue
            cells = [figure(values[name], values[f"{name}_ci"]) for name in METRICS]
            rows.append((f"{unit(target)} {level}", str(count), *cells))
            notes += [f"{unit(target)} {level} {name}: {reason}" for name, reason in values["undefined"].items()]
        if block["uncertainty"]:
            notes.append(f"{unit(target)}: {sentence(block['uncertainty'])}")
    if figures["unscored"]:
        left_out = ", ".join(f"{count} {reason}" for reason, count in figures["unscored"].items())
        notes.append(f"clips without a score, left out: {left_out}")
    if figures["not_in_data"]:
        notes.append(f"scores of clips that {figures['data']} does not have, left out: {figures['not_in_data']}")
    return "\n".join([align(rows), *notes])


def comparison_table(comparison: Mapping[str, Any]) -> str:
    """Return the result of :func:`~.compare.compare` as a table with its notes."""
    rows = [("", "a", "b", "b - a", "95 % interval", "p", "")]
    for target, levels in comparison["targets"].items():
        for level, block in levels.items():
            for name, row in (block or {}).items():
                interval = f"[{row['ci'][0]:+.3f}, {row['ci'][1]:+.3f}]" if row["ci"] else "-"
                difference = "-" if row["difference"] is None else f"{row['difference']:+.3f}"
                p = "-" if row["p"] is None else f"{row['p']:.3f}"
                label = f"{unit(target)} {level} {name.upper()}"
                rows.append((label, figure(row["a"]), figure(row["b"]), difference, interval, p, verdict(name, row)))
    head = [f"{name}: {comparison[name]['scores']}  {comparison[name]['signature']}" for name in ("a", "b")]
    systems = f", {comparison['n_systems']} systems" if comparison["n_systems"] else ""
    head.append(f"{comparison['n_utterances']} clips scored by both{systems}")
    return "\n".join([*head, "", align(rows), *(f"note: {note}" for note in comparison["notes"])])


def verdict(name: str, row: Mapping[str, Any]) -> str:
    """Return ``a better`` or ``b better`` where the difference is significant, else an empty string."""
    if row["p"] is None or row["p"] >= SIGNIFICANT:
        return ""
    return "b better" if (row["difference"] > 0) == (name in HIGHER_IS_BETTER) else "a better"


def align(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of text as columns: the first to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for first, *rest in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
