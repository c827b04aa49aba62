"""``RESULTS.md`` of a recipe: what was measured on its corpus, experiment by experiment, or that nothing was."""

from __future__ import annotations

import os
import re
from pathlib import Path

from distilmos_plugin.corpora import importer
from distilmos_plugin.errors import DataError
from distilmos_plugin.evaluation.published import published_tables
from distilmos_plugin.evaluation.results import PUBLISHED, RESULTS
from distilmos_plugin.files import atomic_write
from distilmos_plugin.progress import say

NOTHING = "Nothing was run yet: there is no figure of ours on this corpus."
FENCE = "```"


def record_results(output: str | os.PathLike, corpus: str, expdir: str | os.PathLike | None = None) -> Path:
    """Put the results of an experiment into the ``RESULTS.md`` of its recipe, beside those of other experiments there.

    Each experiment has a section of the name of its folder; a section of that name is replaced. Where nothing was run, the
    file says so, and gives what others published.

    Args:
        output: the file, ``egs/<corpus>/RESULTS.md``.
        corpus: name of the corpus.
        expdir: experiment directory with a ``RESULTS.md``; None where nothing was run.

    Raises:
        DataError: if the corpus is unknown or the experiment has no results.
    """
    output, card = Path(output), importer(corpus).CARD
    sections = _sections(output)
    if expdir is not None:
        name, body = _experiment(Path(expdir))
        sections[name] = body
    lines = [f"# {corpus}", "", f"{card.title[:1].upper()}{card.title[1:]}.", ""]
    if sections:
        for name in sorted(sections):
            lines += [f"## {name}", "", *sections[name], ""]
    else:
        published = list(published_tables(corpus, {}))
        lines += [NOTHING, "", *([PUBLISHED, "", *published] if published else [])]
    with atomic_write(output) as file:
        file.write("\n".join(lines).rstrip() + "\n")
    say(f"results: {output}")
    return output


def _experiment(expdir: Path) -> tuple[str, list[str]]:
    """Return name and text of an experiment's results, its headings one level lower and its links as paths."""
    path = expdir / RESULTS
    try:
        title, *lines = path.read_text(encoding="utf-8").rstrip().splitlines()
    except (OSError, ValueError):
        raise DataError(f"{path}: no results; write them first: distilmos results {expdir}") from None
    body, code = [], False
    for line in lines:
        code ^= line.startswith(FENCE)
        line = f"#{line}" if line.startswith("#") and not code else line
        body.append(re.sub(r"\[([^][]+)\]\(([^)]+/report\.html)\)", rf"`{expdir}/\2`", line))
    return title.removeprefix("# "), _strip(body)


def _sections(path: Path) -> dict[str, list[str]]:
    """Return the sections of experiments that a recipe's results hold already."""
    if not path.is_file():
        return {}
    sections: dict[str, list[str]] = {}
    here: list[str] | None = None
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            here = sections.setdefault(line.removeprefix("## "), [])
        elif here is not None:
            here.append(line)
    sections.pop(PUBLISHED.removeprefix("## "), None)
    return {name: _strip(lines) for name, lines in sections.items()}


def _strip(lines: list[str]) -> list[str]:
    """Return lines without empty ones at either end."""
    return "\n".join(lines).strip("\n").split("\n")
