"""What ``distilmos score`` does: collect, score, write or print, count."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from distilmos_plugin.decoding import shown
from distilmos_plugin.errors import DataError
from distilmos_plugin.progress import Progress, say
from distilmos_plugin.scoring.collect import Clip, collect
from distilmos_plugin.scoring.ensemble import Ensemble
from distilmos_plugin.scoring.models import announce, load
from distilmos_plugin.scoring.predictor import READERS, Predictor
from distilmos_plugin.scoring.results import (
    DELIMITERS,
    STATUSES,
    Score,
    ScoreWriter,
    file_format,
    read_scores,
    to_line,
    write_table,
)
from distilmos_plugin.scoring.summary import format_summary, summarize

REASONS_SHOWN = 5


@dataclass
class Outcome:
    """Counts of a run.

    Attributes:
        status: status -> clips, over the whole output, also of clips scored before a resume.
        resumed: clips that were in the output already.
        audio_seconds: of this run's clips that could be read.
        seconds: that this run took, without loading the model.
        reasons: why there is no score, of this run's clips.
    """

    status: Counter[str] = field(default_factory=Counter)
    resumed: int = 0
    audio_seconds: float = 0.0
    seconds: float = 0.0
    reasons: list[str] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """Clips without a score."""
        return self.status.total() - self.status["ok"]

    @property
    def exit_code(self) -> int:
        """0 if every clip has a score, else 3."""
        return 3 if self.failed else 0

    @property
    def speed(self) -> float:
        """Seconds of audio scored in a second."""
        return self.audio_seconds / self.seconds if self.seconds else 0.0

    def add(self, score: Score) -> None:
        """Count one score of this run."""
        self.status[score.status] += 1
        self.audio_seconds += score.duration or 0.0
        if score.reason:
            self.reasons.append(score.reason)

    def __str__(self) -> str:
        text = f"{self.status['ok']} of {self.status.total()} clips scored"
        if self.failed:
            kinds = ", ".join(f"{status} {self.status[status]}" for status in STATUSES[1:] if self.status[status])
            text += f", {self.failed} without a score ({kinds})"
        if self.resumed:
            text += f"; {self.resumed} of them were done before"
        if self.audio_seconds:
            text += f"; {self.audio_seconds:.1f} s of audio in {self.seconds:.1f} s, {self.speed:.1f} x real time"
        return text


def score_paths(
    paths: Sequence[str | Path],
    *,
    model: str | Path | Sequence[str | Path],
    output: str | Path | None = None,
    format: str | None = None,
    resume: bool = False,
    frames: bool = False,
    summary: bool = False,
    system_from: str | None = None,
    device: str = "auto",
    precision: str = "fp32",
    batch_seconds: float | None = None,
    workers: int = READERS,
    allow_pipes: bool = False,
) -> Outcome:
    """Score whatever a user names; results go to ``output`` or to standard output, all else to standard error.

    Args:
        paths: files, folders, globs, ``wav.scp`` files, data directories, ``-``: see :func:`~.collect.collect`.
        model: name or directory of the model, or several of them (:class:`~.ensemble.Ensemble`).
        output: score file; None prints a table, or with ``format`` what the file would hold.
        format: ``jsonl``, ``csv``, ``tsv``; None goes by the ending of ``output``.
        resume: keep what ``output``, or the ``.part`` of a run that was cut off, has already (:class:`ScoreWriter`).
        frames: also give scores over time (JSON lines only).
        summary: print mean, standard deviation, median and percentiles at the end.
        system_from: also by system, the first group of this regular expression in the key (implies ``summary``).
        device, precision, batch_seconds, workers, allow_pipes: see :class:`Predictor` and :meth:`Predictor.score_many`.

    Returns:
        The counts; ``exit_code`` is what the command ends with.

    Raises:
        DistilmosError: if the call, the model or the list of clips is wrong; never for bad audio.
    """
    if output is not None or format is not None:
        kind = file_format(output or "standard output", format)
        if frames and kind != "jsonl":
            raise DataError(f"scores over time (--frames) go into JSON lines, not into {kind}; name the output .jsonl")
    elif frames:
        raise DataError("scores over time (--frames) need an output: -o scores.jsonl")
    if resume and output is None:
        raise DataError("--resume needs the output to go on from: -o scores.jsonl")
    summarize([], system_from)  # a wrong expression is known before the work, not after it
    clips = collect(paths, allow_pipes)
    predictor = load_all([model] if isinstance(model, str | Path) else model, device, precision)
    if frames and isinstance(predictor, Ensemble):
        raise DataError("scores over time (--frames) are of one model; name one")
    options = {"batch_seconds": batch_seconds, "workers": workers, "frames": frames, "allow_pipes": allow_pipes}
    outcome = Outcome()
    if output is None:
        scores = _print(predictor, _timed(predictor.score_many(clips, **options), outcome), format)
    else:
        scores = _write(
            predictor, clips, Path(output), kind, resume, options, outcome, wanted=summary or system_from is not None
        )
    if summary or system_from is not None:
        print(format_summary(summarize(scores, system_from)))
    _say_reasons(outcome, clips)
    say(f"{outcome}" + (f"; {output}" if output is not None else ""))
    return outcome


def _say_reasons(outcome: Outcome, clips: Sequence[Clip]) -> None:
    for reason in outcome.reasons[:REASONS_SHOWN]:
        say(f"no score: {reason}")
    if len(outcome.reasons) > REASONS_SHOWN:
        say(f"no score: {len(outcome.reasons) - REASONS_SHOWN} more")
    listed = [clip.path for clip in clips if clip.path and clip.path != clip.key and not os.path.isabs(clip.path)]
    if not outcome.status["ok"] and listed and not any(map(os.path.lexists, listed)):
        say(f"relative paths of a wav.scp start at the working directory, {os.getcwd()}; were these written for it?")


def load_all(names: Sequence[str | Path], device: str = "auto", precision: str = "fp32") -> Predictor | Ensemble:
    """Load one model or several, and say what they are."""
    predictors = [load(name, device, precision) for name in names]
    for predictor in predictors:
        announce(predictor)
    return predictors[0] if len(predictors) == 1 else Ensemble(predictors)


def signatures(names: Sequence[str | Path], device: str = "auto", precision: str = "fp32") -> list[str]:
    """Return the signature of each model and, of several, the one of their mean, as it stands in results."""
    loaded = load_all(names, device, precision)
    parts = loaded.predictors if len(names) > 1 else ()
    return [*(predictor.signature for predictor in parts), loaded.signature]


def _timed(scores: Iterable[Score], outcome: Outcome) -> Iterable[Score]:
    started = time.monotonic()
    for score in scores:
        outcome.add(score)
        outcome.seconds = time.monotonic() - started
        yield score


def _write(
    predictor: Predictor | Ensemble,
    clips: list,
    output: Path,
    kind: str,
    resume: bool,
    options: dict,
    outcome: Outcome,
    wanted: bool,
):
    with ScoreWriter(output, resume, predictor.signature, kind) as writer:
        outcome.resumed = len(writer.earlier)
        if writer.outdated:
            say(f"{writer.outdated} scores of {output} are of another model or of files that have changed: scored again")
        outcome.status.update(score.status for score in writer.earlier)
        clips = [clip for clip in clips if clip.key not in writer.done]
        if clips:
            _fill(writer, predictor.score_many(clips, **options), len(clips), outcome)
        else:
            say(f"scoring: {output} is complete and current, nothing to do")
    return read_scores(output, kind) if wanted else []


def _fill(writer: ScoreWriter, scores: Iterable[Score], total: int, outcome: Outcome) -> None:
    try:
        with Progress("scoring", total, "clips") as progress:
            for score in _timed(scores, outcome):
                writer.write([score])
                progress.advance(1, f"clips, {outcome.speed:.1f} x real time")
    except BaseException:
        say(f"{len(writer.done)} scores are in {writer.part}; the same command with --resume goes on from there")
        raise


def _print(predictor: Predictor | Ensemble, scores: Iterable[Score], format: str | None) -> list[Score]:
    """Print scores as they come (a csv or tsv table at the end, when its columns are known)."""
    shown_scores = []
    if format is None:
        print(
            "".join(f"{target:>{_width(target)}}" for target in predictor.columns)
            + f"{'seconds':>9}  {'status':<11} {'flags':<20} clip"
        )
    for score in scores:
        shown_scores.append(score)
        if format is None:
            print(_table_row(score, predictor.columns), flush=True)
        elif format == "jsonl":
            sys.stdout.buffer.write(to_line(score))
            sys.stdout.buffer.flush()
    if format in DELIMITERS:
        write_table(sys.stdout, shown_scores, DELIMITERS[format])
    return shown_scores


def _table_row(score: Score, targets: Sequence[str]) -> str:
    values = "".join(f"{f'{score.targets[name]:.3f}' if score.ok else '-':>{_width(name)}}" for name in targets)
    seconds = "-" if score.duration is None else f"{score.duration:.2f}"
    return f"{values}{seconds:>9}  {score.status:<11} {','.join(score.flags) or '-':<20} {shown(score.key)}"


def _width(target: str) -> int:
    """Return the width of a target's column, characters."""
    return max(8, len(target) + 2)
