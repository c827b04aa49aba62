"""``RESULTS.md`` of a recipe: what was measured on its corpus, experiment by experiment, or that nothing was."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from distilmos_plugin.corpora import importer
from distilmos_plugin.errors import DataError
from distilmos_plugin.evaluation.published import published_tables
from distilmos_plugin.evaluation.results import PUBLISHED, RESULTS
from distilmos_plugin.files import atomic_write
from distilmos_plugin.progress import say

NOTHING = "Nothing was run yet: there is no figure of ours here."
FENCE = "```"


def record_results(output: str | os.PathLike, corpora: Sequence[str], expdir: str | os.PathLike | None = None) -> Path:
    """Put the results of an experiment into the ``RESULTS.md`` of its recipe, beside those of other experiments there.

    Each experiment has a section of the name of its folder; a section of that name is replaced. Where nothing was run, the
    file says so, and gives what others published.

    Args:
        output: the file, ``egs/<recipe>/RESULTS.md``; its folder is the title.
        corpora: names of the recipe's corpora, those of a pool joined by ``+``; all of them where the file is new.
        expdir: experiment directory with a ``RESULTS.md``; None where nothing was run.

    Raises:
        DataError: if a corpus is unknown, the experiment has no results, or the file is no recipe's.
    """
    output = Path(output)
    corpora = [name for corpus in corpora for name in corpus.split("+")]
    cards = [importer(corpus).CARD for corpus in corpora]
    head, sections = _parts(output)
    if not head:
        head = [f"# {output.resolve().parent.name}", "", *(f"- `{card.name}`: {card.title}" for card in cards)]
    elif not any(line.startswith("- `") for line in head):  # a table over many experiments, say
        raise DataError(f"{output}: not the results of a recipe, which name their corpora at the top; choose another file")
    if expdir is not None:
        name, body = _experiment(Path(expdir))
        sections[name] = body
    lines = [*head, ""]
    if sections:
        for name in sorted(sections):
            lines += [f"## {name}", "", *sections[name], ""]
    else:
        published = list(published_tables({corpus: {} for corpus in corpora}))
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


def _parts(path: Path) -> tuple[list[str], dict[str, list[str]]]:
    """Return the head of a recipe's results and the sections of the experiments that they hold already."""
    if not path.is_file():
        return [], {}
    head: list[str] = []
    sections: dict[str, list[str]] = {}
    here = head
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            here = sections.setdefault(line.removeprefix("## "), [])
        elif line != NOTHING:
            here.append(line)
    sections.pop(PUBLISHED.removeprefix("## "), None)
    return _strip(head), {name: _strip(lines) for name, lines in sections.items()}


def _strip(lines: list[str]) -> list[str]:
    """Return lines without empty ones at either end."""
    return "\n".join(lines).strip("\n").split("\n")
