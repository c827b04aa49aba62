"""``report.html``: one self-contained page that opens offline, with or without truth."""

from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import distilmos_plugin
from distilmos_plugin.data.directory import DataDirectory
from distilmos_plugin.errors import DataError, require
from distilmos_plugin.evaluation.correlations import HIGHER_IS_BETTER, METRICS, P1401_METRICS, mean_half_width
from distilmos_plugin.evaluation.pairs import is_scored, load_scores, scored_targets, unscored
from distilmos_plugin.evaluation.players import player
from distilmos_plugin.evaluation.plots import Plot, distribution_plot, evaluation_plots, limits, unit
from distilmos_plugin.evaluation.ranking import difference_rows
from distilmos_plugin.evaluation.svg import inline_svg
from distilmos_plugin.evaluation.uncertainty import sentence
from distilmos_plugin.files import atomic_write
from distilmos_plugin.scoring.results import Score

if TYPE_CHECKING:
    from distilmos_plugin.evaluation.evaluate import Evaluation

TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)  # STOI spans tenths, other measures tens
MOST_TICKS = 6  # of the ranking's scale
PLAYED = 10  # clips with a player: bounds the size of the page
LISTED = 200  # rows of the lists of flagged and of unscored clips; the score file has them all

UNREMARKABLE = {"resampled"}  # a flag that many whole corpora carry: counted, not listed

LABELS = {
    "mse": "MSE",
    "rmse": "RMSE",
    "lcc": "LCC",
    "srcc": "SRCC",
    "ktau": "KTAU",
    "bias": "Bias",
    "rmse_map": "RMSE, mapped",
    "rmse_star": "RMSE*",
}
SYSTEM_TRUTH = {
    "scored-set": "the mean of the labels of its scored clips",
    "ratings": "the mean of all single ratings of its scored clips",
    "file": "read from a file",
}
STATUS = {
    "unreadable": "unreadable",
    "empty": "empty",
    "too_short": "too short",
    "non_finite": "NaN or infinite samples",
    "missing": "not in the score file",
}


def write_report(
    scores_path: str | Path,
    output: str | Path,
    directory: DataDirectory | None = None,
    *,
    system_from: str | None = None,
    ranking: Mapping[str, Any] | None = None,
    **options: Any,
) -> Path:
    """Write the report of a score file.

    With a data directory that has labels for one of the targets this is the evaluation's report. Else it shows the scores
    alone: distribution, systems where they are known, the lowest and highest clips to listen to, flagged and unscored files.

    Args:
        scores_path: the score file.
        output: the HTML file.
        directory: labels and system ids; either may be missing.
        system_from: regular expression whose first group (the whole match without one), found in a clip's key, names its
            system; for scores without a data directory.
        ranking: of :func:`~.ranking.rank_systems`; the page then is about systems, labels or not.
        options: of :func:`~.evaluate.assess`, where there are labels.

    Raises:
        DataError: if the score file is damaged, ``system_from`` is no regular expression, or ``output`` ends otherwise.
    """
    from distilmos_plugin.evaluation.evaluate import assess

    output = Path(output)
    if output.suffix.lower() not in (".html", ".htm"):
        raise DataError(f"{output}: a report is an HTML file; expected the ending .html, found '{output.suffix}'")
    scores = load_scores(scores_path)
    if ranking is None and directory is not None and set(scored_targets(scores)) & set(directory.targets):
        write_evaluation_report(assess(scores_path, directory, **options), output)
        return output
    systems = _systems(scores, directory, system_from)
    targets = scored_targets(scores)
    target = ranking["target"] if ranking else targets[0] if targets else "mos"
    scored = sorted((score for score in scores if is_scored(score, target)), key=lambda score: score.targets[target])
    half = min(PLAYED // 2, len(scored) // 2) or min(len(scored), 1)
    rows = ranking["systems"] if ranking else _system_rows(scored, systems, target)
    context = {
        **_common(scores, unscored(scores, directory), target, systems, str(scores_path)),
        "truth": None,
        "title": Path(scores_path).parent.name or Path(scores_path).stem,
        "tables": [_score_row(name, scores) for name in targets],
        "plots": [_plot(_distribution(name, scores)) for name in targets],
        "ranking": _ranking_rows(rows, target),
        "listening": [
            ("Lowest scores", [_clip(score, target, systems) for score in scored[:half]]),
            ("Highest scores", [_clip(score, target, systems) for score in reversed(scored[half:][-half:])]),
        ],
    }
    if ranking:
        by_key = {score.key: score for score in scores}
        context |= {
            "title": "Ranking of systems",
            "tables": [],
            "plots": [],
            "differences": difference_rows(ranking),
            "listening": [
                (f"Sentence {item['sentence']}", [_clip(by_key[key], target, systems) for key in item["keys"][:PLAYED]])
                for item in ranking["listening"][: max(1, PLAYED // len(rows))]
            ],
        }
    _write(context, output)
    return output


def write_evaluation_report(evaluation: Evaluation, output: str | Path) -> None:
    """Write the report of an evaluation."""
    figures, (target, main) = evaluation.figures, next(iter(evaluation.pairs.items()))
    systems = (
        {}
        if main.system is None
        else {key: main.system.names[member] for key, member in zip(main.utterance.names, main.members, strict=True)}
    )
    truth = dict(zip(main.utterance.names, main.utterance.truth.tolist(), strict=True))
    by_key = {score.key: score for score in evaluation.scores}
    worst = sorted(truth, key=lambda key: -abs(by_key[key].targets[target] - truth[key]))[:PLAYED]
    blocks = {target: figures, **figures["targets"]}
    context = {
        **_common(evaluation.scores, evaluation.unscored, target, systems, evaluation.source),
        "behind_truth": figures["truth"],
        "truth": SYSTEM_TRUTH[figures["system_truth"]],
        "title": " / ".join(Path(figures["data"]).parts[-2:]),
        "cards": _cards(figures, target),
        "tables": [row for name, block in blocks.items() for row in _figure_rows(name, block, len(blocks) > 1)],
        "notes": _notes(blocks),
        "bootstrap": figures["bootstrap"],
        "bias": _bias(figures["utterance"], unit(target)),
        "plots": [_plot(plot) for plot in evaluation_plots(evaluation)],
        "ranking": _ranking_rows(figures["ranking"], target),
        "listening": [("Worst misses", [_clip(by_key[key], target, systems, truth[key]) for key in worst])],
        "not_in_data": figures["not_in_data"],
        "votes": main.utterance.half_width is not None,
    }
    _write(context, Path(output))


def _write(context: Mapping[str, Any], output: Path) -> None:
    jinja2 = require("jinja2", "train")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["pieces"] = lambda name: re.split(r"(?<=[/_.-])", name)  # a long name may break behind these
    page = environment.get_template("report.html").render(context)
    with atomic_write(output) as file:
        file.write(page.encode("utf-8", "replace").decode())  # a file name that is no Unicode must not cost the report


def _common(
    scores: Sequence[Score], reasons: Mapping[str, str], target: str, systems: Mapping[str, str], source: str
) -> dict[str, Any]:
    """Return what both kinds of report show."""
    by_key = {score.key: score for score in scores}
    resampled = [score for score in scores if is_scored(score) and set(score.flags) == UNREMARKABLE]
    flagged = [score for score in scores if is_scored(score) and set(score.flags) - UNREMARKABLE]
    silent = [
        {"key": key, "reason": STATUS.get(reason, reason), "detail": (by_key[key].reason or "") if key in by_key else ""}
        for key, reason in reasons.items()
    ]
    return {
        "signature": [part.partition(":")[::2] for part in scores[0].signature.split("|")],
        "unit": unit(target),
        "scored": sum(map(is_scored, scores)),
        "seconds": sum(score.duration or 0.0 for score in scores if is_scored(score)),
        "status_counts": Counter(STATUS.get(reason, reason) for reason in reasons.values()).most_common(),
        "unscored": silent[:LISTED],
        "unscored_total": len(silent),
        "flag_counts": Counter(flag for score in flagged for flag in score.flags).most_common(),
        "flagged": [_clip_row(score, target, systems) for score in flagged[:LISTED]],
        "flagged_total": len(flagged),
        "resampled": len(resampled),
        "source": source,
        "version": distilmos_plugin.__version__,
        "created": f"{datetime.datetime.now().astimezone():%Y-%m-%d %H:%M %Z}",
        "cards": [],
        "notes": [],
        "bootstrap": None,
        "behind_truth": None,
        "bias": None,
        "not_in_data": 0,
        "votes": False,
        "differences": None,
    }


def _cards(figures: Mapping[str, Any], target: str) -> list[dict[str, Any]]:
    """Return the four figures to look at first, each with its interval on a scale."""
    if figures["system"] is None:
        chosen = [("utterance", name) for name in ("srcc", "lcc", "ktau", "rmse")]
    else:
        chosen = [("system", "srcc"), ("system", "lcc"), ("utterance", "lcc"), ("utterance", "rmse")]
    cards = []
    for level, name in chosen:
        value, bounds = figures[level][name], figures[level][f"{name}_ci"]
        shown = [edge for edge in (value, *(bounds or ())) if edge is not None]
        least = min(shown, default=0.0)
        low = -1.0 if least < 0 else 0.5 if least > 0.5 and name in HIGHER_IS_BETTER else 0.0
        high = max([1.0, *shown])
        places = [100 * (edge - low) / (high - low) for edge in shown]
        cards.append(
            {
                "label": f"{level.capitalize()} {LABELS[name]}",
                "value": _number(value),
                "interval": f"{_number(bounds[0])} to {_number(bounds[1])}" if bounds else "no interval",
                "unit": f"{unit(target)} points" if name == "rmse" else "",
                "reason": figures[level]["undefined"].get(name) or figures[level]["undefined"].get(f"{name}_ci", ""),
                "left": min(places, default=0.0),
                "width": max(places, default=0.0) - min(places, default=0.0),
                "at": places[0] if places else None,
                "scale": (f"{low:g}".replace("-", "−"), f"{high:.2g}"),
            }
        )
    return cards


def _figure_rows(target: str, block: Mapping[str, Any], several: bool) -> Iterable[dict[str, Any]]:
    """Yield one row of the summary table a level: label, count, and (value, interval, reason) of each figure."""
    for level, count in (("utterance", block["n_utterances"]), ("system", block["n_systems"])):
        figures = block[level]
        if figures is None:
            continue
        cells = []
        for name in (*METRICS, *P1401_METRICS):
            bounds = figures.get(f"{name}_ci")
            cells.append(
                {
                    "name": LABELS[name],
                    "value": _number(figures.get(name)),
                    "interval": f"{_number(bounds[0])} – {_number(bounds[1])}" if bounds else "",
                    "reason": figures["undefined"].get(name, "") if name in figures else "needs single ratings",
                }
            )
        yield {"label": f"{unit(target)}, {level}" if several else level.capitalize(), "count": count, "cells": cells}


def _notes(blocks: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a sentence on each target's standard deviations, and one for each figure that could not be computed."""
    deviations = [
        f"{unit(target)}, predicted standard deviation: {sentence(block['uncertainty'])}"
        for target, block in blocks.items()
        if block["uncertainty"]
    ]
    return deviations + [
        f"{unit(target)}, {level}, {LABELS[name.removesuffix('_ci')]}{', interval' * name.endswith('_ci')}: {reason}"
        for target, block in blocks.items()
        for level in ("utterance", "system")
        if block[level] is not None
        for name, reason in block[level]["undefined"].items()
    ]


def _ranking_rows(rows: Sequence[Mapping[str, Any]], target: str) -> dict[str, Any] | None:
    """Return the systems with the places of their means and intervals on a common scale, in percent."""
    if not rows:
        return None
    means = [row[name] for row in rows for name in ("prediction", "truth") if name in row]
    low, high = limits(np.array(means), target=target)  # of the means: the interval of two clips can be wider than the scale

    def place(value: float) -> float:
        return round(float(np.clip(100 * (value - low) / (high - low), 0, 100)), 2)

    shown = []
    for rank, row in enumerate(rows, start=1):
        marks = []
        for name in ("truth", "prediction"):
            if name in row:
                start, end = row[f"{name}_ci"] or [row[name]] * 2
                marks.append({"name": name, "at": place(row[name]), "left": place(start), "width": place(end) - place(start)})
        shown.append({"rank": rank, **row, "marks": marks})
    spacing = next(step for step in TICKS if (high - low) / step <= MOST_TICKS or step == TICKS[-1])
    ticks = spacing * np.arange(np.ceil(low / spacing), np.floor(high / spacing) + 1)
    return {
        "rows": shown,
        "ticks": [{"label": f"{tick:g}", "at": place(tick)} for tick in ticks],
        "truth": "truth" in rows[0],
    }


def _system_rows(scores: Sequence[Score], systems: Mapping[str, str], target: str) -> list[dict[str, Any]]:
    """Return the systems by falling mean prediction, with Student's t interval over their clips."""
    grouped: dict[str, list[float]] = {}
    for score in scores:
        if score.key in systems:
            grouped.setdefault(systems[score.key], []).append(score.targets[target])
    rows = []
    for system, values in grouped.items():
        mean, half = float(np.mean(values)), mean_half_width(values)
        bounds = None if np.isnan(half) else [mean - half, mean + half]
        rows.append({"system": system, "n": len(values), "prediction": mean, "prediction_ci": bounds})
    return sorted(rows, key=lambda row: (-row["prediction"], row["system"]))


def _systems(scores: Sequence[Score], directory: DataDirectory | None, system_from: str | None) -> dict[str, str]:
    if system_from is not None:
        try:
            pattern = re.compile(system_from)
        except re.error as error:
            raise DataError(f"'{system_from}' is not a regular expression: {error}") from None
        found = {score.key: pattern.search(score.key) for score in scores}
        return {key: match.group(1 if pattern.groups else 0) or "" for key, match in found.items() if match}
    return dict(directory.systems or {}) if directory is not None else {}


def _distribution(target: str, scores: Sequence[Score]) -> Plot:
    return distribution_plot(np.array([score.targets[target] for score in scores if is_scored(score, target)]), target)


def _score_row(target: str, scores: Sequence[Score]) -> dict[str, Any]:
    """Return count, mean, spread and percentiles of one target's scores."""
    values = np.array([score.targets[target] for score in scores if is_scored(score, target)])
    p5, median, p95 = np.percentile(values, [5, 50, 95])
    figures = {
        "Mean": values.mean(),
        "Median": median,
        "5 %": p5,
        "95 %": p95,
        "Lowest": values.min(),
        "Highest": values.max(),
    }
    cells = [{"name": name, "value": _number(value, 2), "interval": "", "reason": ""} for name, value in figures.items()]
    return {"label": unit(target), "count": len(values), "cells": cells}


def _plot(plot: Plot) -> dict[str, str]:
    return {"title": plot.title, "caption": plot.caption, "svg": inline_svg(plot)}


def _clip_row(score: Score, target: str, systems: Mapping[str, str]) -> dict[str, Any]:
    return {
        "key": score.key,
        "system": systems.get(score.key, ""),
        "score": _number(score.targets.get(target), 2),
        "flags": [flag.replace("_", " ") for flag in score.flags],
        "seconds": "" if score.duration is None else f"{score.duration:.1f}",
    }


def _clip(score: Score, target: str, systems: Mapping[str, str], truth: float | None = None) -> dict[str, Any]:
    """Return a clip with its audio."""
    sound = player(score.path)
    error = None if truth is None else score.targets[target] - truth
    return {
        **_clip_row(score, target, systems),
        "truth": None if truth is None else _number(truth, 2),
        "error": None if error is None else f"{'+' if error > 0 else '−'}{abs(error):.2f}",
        "audio": sound.uri,
        "note": sound.note,
    }


def _bias(figures: Mapping[str, Any], scale: str) -> dict[str, str]:
    """Return a sentence on the mean error, in three parts of which the middle one is the figure."""
    value, bounds = figures["bias"], figures["bias_ci"]
    if bounds is None:
        return {"before": "The mean error is", "value": _number(value, 2), "after": f"{scale} points"}
    low, high = (_number(edge, 2) for edge in bounds)
    if bounds[0] <= 0 <= bounds[1]:
        return {
            "before": "No bias is seen: the mean error is",
            "value": _number(value, 2),
            "after": f"{scale} points ({low} to {high})",
        }
    direction = "high" if value > 0 else "low"
    low, high = sorted(_number(abs(edge), 2) for edge in bounds)
    after = f"{scale} points too {direction} ({low} to {high})"
    return {"before": "On average the prediction is", "value": _number(abs(value), 2), "after": after}


def _number(value: float | None, digits: int = 3) -> str:
    """Write a figure with a true minus sign; a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "−")
