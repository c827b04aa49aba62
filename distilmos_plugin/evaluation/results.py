"""``RESULTS.md`` of an experiment: how it was made, and its figures on every test set."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import distilmos_plugin
from distilmos_plugin.corpora.importing import ABOUT
from distilmos_plugin.errors import DataError
from distilmos_plugin.evaluation.best_score import OUT_OF_DOMAIN, best_score_tables
from distilmos_plugin.evaluation.correlations import METRICS
from distilmos_plugin.evaluation.plots import unit
from distilmos_plugin.evaluation.published import place_of, published_tables
from distilmos_plugin.evaluation.tables import figure
from distilmos_plugin.evaluation.uncertainty import sentence
from distilmos_plugin.files import atomic_write
from distilmos_plugin.progress import say
from distilmos_plugin.typed_yaml import load_yaml

PACKAGES = ("torch", "s3prl", "lightning", "numpy", "scipy", "soxr", "soundfile", "faiss-cpu")
RESULTS = "RESULTS.md"
CONFIG, HISTORY = "config.yaml", "history.jsonl"  # what training leaves in an experiment directory
PUBLISHED = "## Published figures"


def write_results(expdir: str | Path, command: str | None = None, against: Sequence[str | Path] = ()) -> Path:
    """Write ``<expdir>/RESULTS.md`` from the ``metrics.json`` of each test set and the experiment's ``config.yaml``.

    A file that is newer than all of these is left alone: it says when and where the figures were made.

    Args:
        expdir: the experiment directory.
        command: the command line that made the experiment.
        against: other experiments, for the best-score ratio and difference on the test sets that all share.

    Raises:
        DataError: if no test set has been evaluated or a ``metrics.json`` is damaged.
    """
    expdir = Path(expdir)
    output, sources = expdir / RESULTS, sorted(expdir.glob("*/metrics.json"))
    if sources and not against and _is_newer(output, [*sources, expdir / "config.yaml"]):
        say(f"results: {output} is complete and current, nothing to do")
        return output
    sets = read_sets(expdir)
    compared = {_named(expdir): sets}
    for other in against:
        compared[_named(other) if _named(other) not in compared else str(other)] = read_sets(Path(other))
    lines = [f"# {_named(expdir)}", ""]
    if command:
        lines += ["```", command, "```", ""]
    lines += [
        *_about(expdir),
        *_truth(sets),
        *_decided(sets),
        "",
        *_tables(sets),
        *best_score_tables(compared),
        *_reading(sets),
    ]
    lines += [*_published(sets), *environment(), ""]
    with atomic_write(output) as file:
        file.write("\n".join(lines))
    say(f"results: {output}")
    return output


def _named(expdir: str | Path) -> str:
    return Path(os.path.abspath(expdir)).name


def read_sets(expdir: Path) -> dict[str, dict[str, Any]]:
    """Return the ``metrics.json`` of each test set of an experiment, or raise a DataError."""
    sets = {path.parent.name: read_metrics(path) for path in sorted(expdir.glob("*/metrics.json"))}
    if not expdir.is_dir():
        raise DataError(f"{expdir}: no such experiment directory")
    if not sets:
        raise DataError(
            f"{expdir}: no */metrics.json; evaluate a test set first: distilmos evaluate <set>/scores.jsonl --data <data>"
        )
    return sets


def _is_newer(output: Path, sources: Sequence[Path]) -> bool:
    """Tell whether ``output`` exists and is newer than every one of ``sources`` that exists."""
    return output.is_file() and all(
        source.stat().st_mtime_ns < output.stat().st_mtime_ns for source in sources if source.exists()
    )


def read_metrics(path: Path) -> dict[str, Any]:
    """Return a ``metrics.json``, or raise a DataError that names what is wrong with it."""
    try:
        figures = json.loads(path.read_text(encoding="utf-8"))
        for name in ("signature", "target", "targets", "truth", "data", "utterance", "system", "n_utterances", "n_systems"):
            figures[name]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not a metrics file ({type(error).__name__}: {error}); evaluate the set again") from None
    return figures


def _about(expdir: Path) -> list[str]:
    """Return a sentence on system, upstream, seed and training, as far as the experiment tells."""
    if not (expdir / CONFIG).is_file():
        return []
    config = load_yaml(expdir / CONFIG)
    folds = config.get("fold_conf", {}).get("folds")
    runs = f"the mean of {folds} folds" if folds else "one training run"
    sentence = f"System `{config['system']}` on the upstream `{config['upstream']}`; {runs}, seed {config['seed']}"
    if not (expdir / HISTORY).is_file():
        return [f"{sentence}."]
    epochs = [json.loads(line) for line in (expdir / HISTORY).read_text(encoding="utf-8").splitlines()]
    return [f"{sentence}, {len(epochs)} epochs in {sum(epoch['seconds'] for epoch in epochs) / 60:.1f} minutes."]


def _truth(sets: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return what stands behind the labels, for corpora that this package made."""
    sentences = dict.fromkeys(figures["truth"] for figures in sets.values() if figures["truth"])
    return [f"\n**{sentence}**" for sentence in sentences]


def _decided(sets: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield what an importer decided on the corpus: which of its labels, clips that were left out, splits."""
    for folder in dict.fromkeys(Path(figures["data"]).parent for figures in sets.values()):
        try:
            about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
            notes = [f"- {about['corpus']}: {note}." for note in about["notes"]]
        except (OSError, ValueError, KeyError, TypeError):
            continue  # not made by an importer
        yield from ["", *notes] if notes else ()


def _tables(sets: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield one table for each target and level, with the test sets below one another."""
    targets = dict.fromkeys(target for figures in sets.values() for target in (figures["target"], *figures["targets"]))
    for target in targets:
        blocks = {name: {figures["target"]: figures, **figures["targets"]}.get(target) for name, figures in sets.items()}
        for level, count in (("utterance", "n_utterances"), ("system", "n_systems")):
            rows = {name: block for name, block in blocks.items() if block is not None and block[level] is not None}
            if not rows:
                continue
            yield f"## {unit(target)}, {level} level"
            yield ""
            yield row(["test set", "clips" if level == "utterance" else "systems", *(name.upper() for name in METRICS)])
            yield row(["---", *["--:"] * (1 + len(METRICS))])
            for name, block in rows.items():
                cells = [figure(block[level][metric], block[level][f"{metric}_ci"]) for metric in METRICS]
                yield row([_domain(name, sets), str(block[count]), *cells])
            yield from _domain_means(rows, level, sets)
            yield ""


def row(cells: Sequence[str]) -> str:
    """Return a row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def _domain(name: str, sets: Mapping[str, Any]) -> str:
    if not any(OUT_OF_DOMAIN in other for other in sets):
        return name
    return f"{name} ({'out of' if OUT_OF_DOMAIN in name else 'in'} domain)"


def _domain_means(rows: Mapping[str, Mapping[str, Any]], level: str, sets: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield the plain means over the test sets in and out of domain, where there are several of a kind."""
    for where, outside in (("in", False), ("out of", True)):
        names = [name for name in rows if (OUT_OF_DOMAIN in name) == outside]
        if len(names) > 1 and len(names) < len(rows):
            values = [[rows[name][level][metric] for name in names] for metric in METRICS]
            means = [None if None in column else statistics.fmean(column) for column in values]
            yield row([f"mean of {len(names)} sets {where} domain", "", *map(figure, means)])


def _reading(sets: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield what a reader of the tables must know: intervals, system truth, what was left out, signatures, reports."""
    first = next(iter(sets.values()))
    resamples, seed = first["bootstrap"]["resamples"], first["bootstrap"]["seed"]
    truths = ", ".join(dict.fromkeys(figures["system_truth"] for figures in sets.values()))
    yield f"In brackets: 95 % bootstrap intervals ({resamples:,} resamples, seed {seed}). System truth: {truths}."
    for name, figures in sets.items():
        left_out = ", ".join(f"{count} {reason}" for reason, count in figures["unscored"].items())
        if left_out:
            yield f"Clips of {name} without a score, left out: {left_out}."
        for target, block in {figures["target"]: figures, **figures["targets"]}.items():
            if block.get("uncertainty"):
                yield f"{name}, predicted standard deviation of {unit(target)}: {sentence(block['uncertainty'])}."
            for level in ("utterance", "system"):
                undefined = block[level]["undefined"] if block[level] else {}
                yield from (f"{name}, {unit(target)} {level}, {metric}: {reason}." for metric, reason in undefined.items())
    yield ""
    yield "Reports: " + ", ".join(f"[{name}]({name}/report.html)" for name in sets) + "."
    yield ""
    yield "Signature:"
    yield ""
    for signature in dict.fromkeys(figures["signature"] for figures in sets.values()):
        yield f"    {signature}"
    yield ""


def _published(sets: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield what others published on the test sets that an importer of this package made."""
    by_corpus: dict[str, dict[str, Mapping[str, Any]]] = {}
    for figures in sets.values():
        if place := place_of(figures["data"]):
            by_corpus.setdefault(place[0], {})[place[1]] = figures
    lines = list(published_tables(by_corpus))
    if lines:
        yield PUBLISHED
        yield ""
        yield from lines


def environment() -> Iterator[str]:
    """Yield the environment that this was written in."""
    commit = git_commit()
    facts = {
        "date": f"{datetime.datetime.now().astimezone():%Y-%m-%d %H:%M %Z}",
        "distilmos-plugin": distilmos_plugin.__version__ + (f", commit {commit}" if commit else ""),
        "python": platform.python_version(),
        **{package: version for package in PACKAGES if (version := _version(package))},
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    }
    yield "## Environment"
    yield ""
    yield row(["", ""])
    yield row(["---", "---"])
    for name, value in facts.items():
        yield row([name, value])


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def git_commit() -> str | None:
    """Return the commit of the source tree that this package runs from, ``+changes`` where files differ; None without one."""
    package = Path(distilmos_plugin.__file__).parent

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(package), *arguments], capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return None
        return done.stdout.strip()

    if git("ls-files", "--error-unmatch", "__init__.py") is None:  # installed into a folder of somebody else's repository
        return None
    commit, changes = git("rev-parse", "--short", "HEAD"), git("status", "--porcelain", "--untracked-files=no", ".")
    return commit and commit + ("+changes" if changes else "")
