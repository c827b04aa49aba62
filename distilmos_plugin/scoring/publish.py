"""The last step of a recipe: the measured figures go into the released model's card."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from distilmos_plugin.errors import DataError
from distilmos_plugin.files import atomic_write
from distilmos_plugin.progress import say
from distilmos_plugin.scoring.models import load
from distilmos_plugin.scoring.release import CARD

TITLE = "## Measured figures"
METRICS = ("lcc", "srcc", "ktau", "rmse")


def publish(expdir: str | os.PathLike) -> Path:
    """Check an experiment's released model and write the figures of its evaluations into its card.

    Args:
        expdir: experiment directory with ``model/`` and ``<set>/metrics.json``.

    Returns:
        The model's directory.

    Raises:
        ModelError: if the model does not load.
        DataError: if a set's figures are of another model.
    """
    expdir = Path(expdir)
    directory = expdir / "model"
    model = load(directory, device="cpu")
    sets = {path.parent.name: _read(path) for path in sorted(expdir.glob("*/metrics.json"))}
    for name, figures in sets.items():
        if f"@{model.digest}|" not in figures["signature"]:
            raise DataError(
                f"{expdir / name}: evaluated with {figures['signature']}, but the model is {model.name}@{model.digest}; "
                "score and evaluate the set again"
            )
    card = directory / CARD
    text = card.read_text(encoding="utf-8") if card.exists() else f"# {model.name}\n"
    # From the title to the next one of its level, or to the end.
    text = re.sub(rf"\n*^{TITLE}\n.*?(?=^## |\Z)", "\n\n", text, flags=re.MULTILINE | re.DOTALL).rstrip() + "\n"
    if sets:
        text += "\n".join(["", TITLE, "", *_table(sets), ""])
    if not card.exists() or card.read_text(encoding="utf-8") != text:
        with atomic_write(card) as file:
            file.write(text)
    say(f"model: {directory} ({model.name}@{model.digest}); use it anywhere: distilmos score --model {directory} a.wav")
    return directory


def _read(path: Path) -> dict[str, Any]:
    try:
        figures = json.loads(path.read_text(encoding="utf-8"))
        for name in ("signature", "target", "targets", "utterance", "system"):
            figures[name]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not a metrics file ({type(error).__name__}: {error}); evaluate the set again") from None
    return figures


def _table(sets: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield the rows: one a test set, target and level; 95 % intervals in brackets."""
    yield f"| test set | target | level | n | {' | '.join(metric.upper() for metric in METRICS)} |"
    yield "|---|---|---|--:|" + "--:|" * len(METRICS)
    for name, figures in sets.items():
        for target, blocks in {figures["target"]: figures, **figures["targets"]}.items():
            for level, count in (("utterance", "n_utterances"), ("system", "n_systems")):
                block = blocks[level]
                if block is not None:
                    cells = [_cell(block, metric) for metric in METRICS]
                    yield f"| {name} | {target} | {level} | {blocks.get(count, '')} | {' | '.join(cells)} |"
    yield ""
    yield from dict.fromkeys(figures["truth"] for figures in sets.values() if figures.get("truth"))
    yield ""
    yield "In brackets: 95 % bootstrap intervals. How they were measured:"
    yield ""
    for signature in dict.fromkeys(figures["signature"] for figures in sets.values()):
        yield f"    {signature}"


def _cell(block: Mapping[str, Any], metric: str) -> str:
    value, interval = block.get(metric), block.get(f"{metric}_ci")
    if value is None:
        return "-"
    return f"{value:.3f}" + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval and None not in interval else "")
