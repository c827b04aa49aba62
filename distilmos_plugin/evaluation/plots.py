"""Plots of predictions against truth.

Figures are drawn without pyplot, so no display is needed and no global figure list grows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from distilmos_plugin.errors import require
from distilmos_plugin.evaluation.correlations import first_order_map, is_constant, mean_half_width
from distilmos_plugin.evaluation.pairs import Level, Pairs
from distilmos_plugin.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from distilmos_plugin.evaluation.evaluate import Evaluation

INK, MUTED, GRID, ACCENT, SECOND = "#1b2430", "#5d6877", "#e3e8ee", "#2f6fde", "#d9822b"

STYLE: dict[str, Any] = {
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "svg.fonttype": "none",  # text stays text: sharp, searchable, in the page's own font
    "svg.hashsalt": "distilmos",  # the same figure gives the same bytes
}
SIZE = 4.3, 3.9  # inches: 310 points wide, so that 10-point text is readable on a phone and not huge on a desk
DPI = 200  # of the PNG files

MOS_RANGE = 1.0, 5.0  # the absolute category rating scale of ITU-T P.800
MOS_BIN = 0.25  # MOS points
CALIBRATION_BINS = 10
CLIPS_PER_BIN = 5  # at least, in the calibration plot
RASTER_POINTS = 2000  # more points than this become one image inside the SVG, without tooltips
RANKED_SYSTEMS = 120  # as many rows as a picture can show; beyond, the best and the worst half of them


@dataclass(frozen=True)
class Plot:
    """A figure and what belongs to it.

    Attributes:
        name: of the PNG file, without ending.
        title, caption: for the report.
        figure: of matplotlib.
        tooltips: one text for each point, in the SVG form.
    """

    name: str
    title: str
    caption: str
    figure: Figure
    tooltips: Sequence[str] = ()


def write_plots(evaluation: Evaluation, output: Path) -> list[Path]:
    """Write every plot of an evaluation as ``<output>/<name>.png``, each file whole, and return the paths."""
    plots = [*evaluation_plots(evaluation), *ranking_plot(evaluation.figures["ranking"], evaluation.figures["target"])]
    paths = []
    for plot in plots:
        paths.append(output / f"{plot.name}.png")
        with atomic_write(paths[-1], "wb") as file:
            plot.figure.savefig(file, format="png", dpi=DPI, facecolor="white", metadata={"Software": None})
    return paths


def evaluation_plots(evaluation: Evaluation) -> Iterator[Plot]:
    """Yield all plots of the main target; of each further one its clips and, where there are any, its deviations."""
    main, *others = evaluation.pairs.values()
    yield scatter_plot("scatter_utterance", "Clips", main.utterance, main.target)
    if main.system is not None:
        yield scatter_plot("scatter_system", "Systems", main.system, main.target)
    yield calibration_plot(main)
    if main.utterance.deviation is not None:
        yield deviation_plot(main)
    yield distribution_plot(main.utterance.prediction, main.target, main.utterance.truth)
    for pairs in others:
        yield scatter_plot(
            f"scatter_utterance_{file_name(pairs.target)}", f"Clips: {unit(pairs.target)}", pairs.utterance, pairs.target
        )
        if pairs.utterance.deviation is not None:
            name, title = f"deviation_{file_name(pairs.target)}", f"Predicted standard deviation: {unit(pairs.target)}"
            yield replace(deviation_plot(pairs), name=name, title=title)


def unit(target: str) -> str:
    """Return a target's name as it is written on an axis.

    Example:
        >>> unit("mos"), unit("naturalness")
        ('MOS', 'naturalness')
    """
    return target.upper() if len(target) <= 4 else target


def file_name(target: str) -> str:
    """Return a target's name as part of a file name."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", target)


def _figure(size: tuple[float, float] = SIZE) -> tuple[Figure, Axes]:
    figure = require("matplotlib.figure", "train").Figure(figsize=size, layout="constrained")
    return figure, figure.add_subplot()


def style() -> Any:
    """Return the context in which figures are drawn and saved."""
    return require("matplotlib", "train").rc_context(STYLE)


def limits(*values: np.ndarray, target: str) -> tuple[float, float]:
    """Return axis limits that hold all finite values, and 1 to 5 for MOS, with a margin of 4 %."""
    low, high = (float(edge(np.concatenate(values))) for edge in (np.min, np.max))
    if target == "mos":
        low, high = min(low, MOS_RANGE[0]), max(high, MOS_RANGE[1])
    margin = 0.04 * (high - low) or 0.5
    return low - margin, high + margin


def _square(axes: Axes, edges: tuple[float, float]) -> None:
    """Give both axes the same limits, length and ticks, and draw the line of equality."""
    locator = require("matplotlib.ticker", "train").MaxNLocator
    axes.plot(edges, edges, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    axes.set(xlim=edges, ylim=edges, aspect="equal")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(locator(nbins=6, steps=[1, 2, 5, 10]))


def scatter_plot(name: str, title: str, level: Level, target: str) -> Plot:
    """Plot prediction against truth; on the dashed line they are equal."""
    many = len(level.names) > RASTER_POINTS
    with style():
        figure, axes = _figure()
        edges = limits(level.truth, level.prediction, target=target)
        _square(axes, edges)
        size = float(np.clip(9000 / len(level.names), 5, 36))
        points = axes.scatter(level.truth, level.prediction, s=size, color=ACCENT, alpha=0.3 if many else 0.6, linewidths=0)
        points.set_gid("points")
        points.set_rasterized(many)
        axes.set(xlabel=f"true {unit(target)}", ylabel=f"predicted {unit(target)}")
    tooltips = [
        f"{item}: true {truth:.2f}, predicted {prediction:.2f}"
        for item, truth, prediction in zip(level.names, level.truth, level.prediction, strict=True)
    ]
    caption = "Each point is a " + ("system, the mean of its clips" if name == "scatter_system" else "clip")
    return Plot(
        name, title, f"{caption}; on the dashed line, prediction and truth are equal.", figure, () if many else tooltips
    )


def calibration_plot(pairs: Pairs) -> Plot:
    """Plot the mean truth of clips with similar predictions, with its 95 % interval by Student's t."""
    truth, prediction = pairs.utterance.truth, pairs.utterance.prediction
    bins = int(np.clip(len(truth) // CLIPS_PER_BIN, 1, CALIBRATION_BINS))
    groups = np.array_split(np.argsort(prediction, kind="stable"), bins)
    x = np.array([prediction[group].mean() for group in groups])
    y = np.array([truth[group].mean() for group in groups])
    half = np.nan_to_num([mean_half_width(truth[group]) for group in groups])
    with style():
        figure, axes = _figure()
        edges = limits(truth, prediction, target=pairs.target)
        _square(axes, edges)
        if len(truth) > 1 and not is_constant(prediction):
            slope, intercept = first_order_map(truth, prediction)
            ends = np.array([prediction.min(), prediction.max()])
            label = f"true = {slope:.2f} × predicted {'+' if intercept >= 0 else '−'} {abs(intercept):.2f}"
            axes.plot(ends, slope * ends + intercept, color=SECOND, linewidth=1.5, label=label)
            axes.legend(loc="upper left")
        axes.errorbar(x, y, yerr=half, fmt="o", color=ACCENT, markersize=5, elinewidth=1.5, capsize=0)
        axes.set(xlabel=f"predicted {unit(pairs.target)}", ylabel=f"true {unit(pairs.target)}")
    groups_text = f"{bins} equal groups" if bins > 1 else "one group"
    caption = (
        f"Clips in {groups_text} by prediction: the mean truth of each with its 95 % interval, and the least-squares line."
    )
    return Plot("calibration", "Calibration", caption, figure)


def deviation_plot(pairs: Pairs) -> Plot:
    """Plot the RMSE of clips with similar predicted deviations, with its 95 % interval; only for scores with deviations."""
    level = pairs.utterance
    square_error = (level.prediction - level.truth) ** 2
    bins = int(np.clip(len(square_error) // CLIPS_PER_BIN, 1, CALIBRATION_BINS))
    groups = np.array_split(np.argsort(level.deviation, kind="stable"), bins)
    x = np.array([np.sqrt(np.mean(level.deviation[group] ** 2)) for group in groups])
    mean = np.array([square_error[group].mean() for group in groups])
    half = np.nan_to_num([mean_half_width(square_error[group]) for group in groups])
    low, high = np.sqrt(np.maximum(mean - half, 0.0)), np.sqrt(mean + half)
    y = np.sqrt(mean)
    with style():
        figure, axes = _figure()
        _square(axes, (0.0, 1.06 * float(max(high.max(), x.max()))))
        axes.errorbar(x, y, yerr=[y - low, high - y], fmt="o", color=ACCENT, markersize=5, elinewidth=1.5, capsize=0)
        axes.set(xlabel=f"predicted standard deviation, {unit(pairs.target)}", ylabel=f"RMSE, {unit(pairs.target)}")
    groups_text = f"{bins} equal groups" if bins > 1 else "one group"
    caption = (
        f"Clips in {groups_text} by predicted standard deviation: the root mean square error of each, with the 95 % interval "
        "of the mean square by Student's t. On the dashed line the deviations tell the errors."
    )
    return Plot("deviation", "Predicted standard deviation", caption, figure)


def distribution_plot(prediction: np.ndarray, target: str, truth: np.ndarray | None = None) -> Plot:
    """Plot histograms of predictions and, where there is any, truth."""
    values = prediction if truth is None else np.concatenate([prediction, truth])
    if target == "mos":
        low, high = limits(values, target=target)
        edges = np.arange(np.floor(low / MOS_BIN), np.ceil(high / MOS_BIN) + 1) * MOS_BIN
    else:
        edges = np.histogram_bin_edges(values, bins=20)
    with style():
        figure, axes = _figure()
        axes.hist(prediction, edges, color=ACCENT, alpha=0.55, linewidth=0, label="predicted")
        if truth is not None:
            axes.hist(truth, edges, histtype="step", color=SECOND, linewidth=1.6, label="true")
            axes.legend(loc="best")
        axes.set(xlabel=unit(target), ylabel="clips")
        axes.grid(axis="x", visible=False)
        axes.yaxis.get_major_locator().set_params(integer=True)
    name = "distribution" if target == "mos" else f"distribution_{file_name(target)}"
    whose = "predicted score" if truth is None else "predicted and which true score"
    return Plot(name, f"Distribution of {unit(target)}", f"How many clips have which {whose}.", figure)


def ranking_plot(rows: Sequence[dict[str, Any]], target: str) -> Iterator[Plot]:
    """Yield a plot of the systems, best prediction on top, with intervals; nothing where there are no systems."""
    if not rows:
        return
    title = "Systems"
    if len(rows) > RANKED_SYSTEMS:
        half = RANKED_SYSTEMS // 2
        title, rows = f"Systems: best and worst {half} of {len(rows)}", [*rows[:half], *rows[-half:]]
    places = np.arange(len(rows))[::-1]
    with style():
        figure, axes = _figure((6.4, 1.0 + 0.2 * len(rows)))
        for key, color, shift, marker in (("truth", SECOND, -0.14, "D"), ("prediction", ACCENT, 0.14, "o")):
            mean = np.array([row[key] for row in rows])
            half_widths = np.array([row[f"{key}_ci"][1] - row[key] if row[f"{key}_ci"] else 0.0 for row in rows])
            label = "true" if key == "truth" else "predicted"
            axes.errorbar(
                mean, places + shift, xerr=half_widths, fmt=marker, color=color, markersize=3.5, elinewidth=1.2, label=label
            )
        axes.set_yticks(places, [row["system"] for row in rows], fontsize=8)
        for text in axes.get_yticklabels():
            text.set_parse_math(False)  # a '$' in a name is a '$'
        means = np.array([row[key] for row in rows for key in ("truth", "prediction")])
        axes.set(xlabel=unit(target), xlim=limits(means, target=target), ylim=(-0.8, len(rows) - 0.2))
        axes.set_title(title, fontsize=10)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper right", ncols=2)
    yield Plot("ranking", title, "Means with 95 % intervals.", figure)
