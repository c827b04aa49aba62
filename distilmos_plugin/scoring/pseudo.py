"""Labels that models give: the scores of teachers as the labels of a data directory."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from distilmos_plugin.config import Config, with_first
from distilmos_plugin.corpora import LABELS, corpus_of
from distilmos_plugin.data.directory import WAV, DataDirectory, write_data_directory
from distilmos_plugin.errors import DataError, some
from distilmos_plugin.files import STAMP, atomic_write, file_digest, fingerprint, stamp_is_current, write_stamp
from distilmos_plugin.progress import Progress, say
from distilmos_plugin.scoring.models import announce, load
from distilmos_plugin.scoring.predictor import Predictor
from distilmos_plugin.scoring.public import is_public, weights_of
from distilmos_plugin.scoring.release import WEIGHTS
from distilmos_plugin.scoring.results import ScoreWriter, read_scores

SCORES = "teachers"  # folder of the new directory
LEARNT_FROM = ("train", "dev")  # sets that a teacher labels; tests keep the labels that they have


class Teachers:
    """Models by name, each loaded when it is first needed, on the best device there is."""

    def __init__(self) -> None:
        self._loaded: dict[str, Predictor] = {}

    def load(self, name: str) -> Predictor:
        """Return the model of a name."""
        if name not in self._loaded:
            self._loaded[name] = load(name)
            announce(self._loaded[name])
        return self._loaded[name]

    def identity(self, name: str) -> str:
        """Return what changes when a teacher's weights do, without loading them."""
        weights = weights_of(name) if is_public(name) else Path(name) / WEIGHTS
        return file_digest(weights) if weights.is_file() else name


def pseudo_label(
    data: str | os.PathLike,
    output: str | os.PathLike,
    names: Sequence[str],
    teachers: Teachers | None = None,
    *,
    table: str | os.PathLike | None = None,
    allow_pipes: bool = False,
) -> None:
    """Write a data directory whose labels of the teachers' targets are the teachers' scores; the others are the source's.

    The audio stays where it is. The scores themselves stay in the new directory, one score file a teacher, so that a run that
    was cut off goes on; a directory that is complete and current is left alone. Of two teachers for one target the last
    counts. Clips that a teacher cannot score have no label of its targets.

    Args:
        data: data directory.
        output: data directory to write; another folder.
        names: of the teachers, as for ``distilmos score --model``.
        teachers: those that are loaded already.
        table: of scores that are known, see :func:`write_table`; files that are in it are not scored again.
        allow_pipes: run ``command |`` entries of ``wav.scp``.

    Raises:
        DataError: if there is no teacher or no such table, or ``output`` is ``data`` or holds something else.
        ModelError: if a teacher cannot be found.
    """
    output, teachers = Path(output), teachers or Teachers()
    source = DataDirectory.read(data, allow_pipes)
    if not names:
        raise DataError("pseudo-label: name at least one teacher")
    _refuse_overwriting(source.path, output)
    contents = [source.wav, source.targets, source.systems, source.ratings, source.num_samples, source.rates]
    origin = {"data": fingerprint(contents), "teachers": {name: teachers.identity(name) for name in names}}
    stamp = _corpus(source.path) | {"origin": origin}
    if (output / WAV).is_file() and stamp_is_current(output, stamp):
        say(f"pseudo labels: {output} is complete and current, nothing to do")
        return
    (output / STAMP).unlink(missing_ok=True)
    targets: dict[str, Mapping[str, float | None]] = {name: _written(labels) for name, labels in source.targets.items()}
    given: dict[str, str] = {}
    for name in names:
        teacher = teachers.load(name)
        file = re.sub(r"[^\w.-]", "_", name) + ".jsonl"
        known = {} if table is None else _known(source.wav, teacher, Path(table))
        left = {key: wav for key, wav in source.wav.items() if key not in known}
        scores = known | _scores(source.path, left, teacher, output / SCORES / file, allow_pipes)
        found = {target: {key: scores[key].get(target) for key in source.wav} for target in teacher.targets}
        targets |= found
        given |= {target: f"{teacher.name}@{teacher.digest}" + f" ({teacher.about})" * bool(teacher.about) for target in found}
    lengths = {"num_samples": source.num_samples, "rates": source.rates}
    write_data_directory(output, source.wav, targets, source.systems, source.ratings, **lengths, domains=source.domains)
    with atomic_write(output / LABELS) as file:
        json.dump(given, file, indent=2, ensure_ascii=False)
    write_stamp(output, stamp)
    say(f"pseudo labels: {output}: {', '.join(given)} of {len(source.keys)} clips")


def write_table(scored: Sequence[str | os.PathLike], output: str | os.PathLike) -> None:
    """Write the scores of audio files by what is in the files, for :func:`pseudo_label` on the same audio elsewhere.

    A table is tab-separated: the model and its targets in the first line, then for each file the SHA-256 of its bytes and its
    scores, sorted.

    Args:
        scored: score files of one model.
        output: the table.

    Raises:
        DataError: if the scores are not of one model.
    """
    scores = [score for path in scored for score in read_scores(Path(path)) if score.ok and score.path]
    models = {_model_in(score.signature) for score in scores}
    if len(models) != 1:
        raise DataError(f"a table holds the scores of one model, found {some(sorted(models)) or 'no score'}")
    targets = list(scores[0].targets)
    rows = sorted((file_digest(score.path), *(f"{score.targets[target]:.6f}" for target in targets)) for score in scores)
    with atomic_write(output) as file:
        file.writelines("\t".join(row) + "\n" for row in [(models.pop(), *targets), *rows])


def _known(clips: Mapping[str, str], teacher: Predictor, table: Path) -> dict[str, dict[str, float]]:
    """Return the scores of the clips that a table has, by key; none if it is another model's."""
    if not table.is_file():
        raise DataError(f"{table}: no such table of scores (pseudo_conf: table)")
    (model, *targets), *rows = (line.split("\t") for line in table.read_text(encoding="utf-8").splitlines())
    if model != _model_in(teacher.signature):
        say(f"{table}: scores of {model}, not of {_model_in(teacher.signature)}; the clips are scored")
        return {}
    scores = {digest: dict(zip(targets, map(float, values), strict=True)) for digest, *values in rows}
    digests = {key: file_digest(wav) for key, wav in clips.items() if Path(wav).is_file()}
    return {key: scores[digest] for key, digest in digests.items() if digest in scores}


def _model_in(signature: str) -> str:
    return re.search(r"model:([^|]*)", signature)[1]


def pseudo_stage(config: Config, folder: str | os.PathLike, output: str | os.PathLike) -> None:
    """Label the data directories in ``folder`` as ``pseudo_conf`` says; nothing to do without one.

    Raises:
        DataError, ModelError, ConfigError: as :func:`pseudo_label`, or without any data directory in ``folder``.
    """
    conf = config.pseudo_conf
    if conf.stand_in is None and conf.teacher is None:
        say("pseudo labels: not asked for (pseudo_conf), nothing to do")
        return
    sets = sorted(path.parent for path in Path(folder).glob(f"*/{WAV}"))
    if not sets:
        raise DataError(f"{folder}: no data directories in it (<set>/{WAV})")
    always = [] if conf.stand_in is None else [conf.stand_in]
    taught = [] if conf.teacher is None else [with_first(conf.teacher, config, "pseudo_conf: teacher")]
    teachers = Teachers()
    for part in sets:
        names = [*taught * (part.name in LEARNT_FROM), *always]
        if names:
            pseudo_label(part, Path(output) / part.name, names, teachers, table=conf.table)


def _scores(
    data: Path, clips: Mapping[str, str], teacher: Predictor, path: Path, allow_pipes: bool
) -> dict[str, Mapping[str, float]]:
    """Score the clips that are not in the score file yet, and return the scores of all of them by key."""
    with ScoreWriter(path, True, teacher.signature) as writer:
        left = {key: wav for key, wav in clips.items() if key not in writer.done}
        if left:
            with Progress(f"{data.name}: scoring with {teacher.name}", len(left), "clips") as progress:
                for score in teacher.score_many(left, allow_pipes=allow_pipes):
                    writer.write([score])
                    progress.advance()
    scores = [score for score in read_scores(path) if score.key in clips]
    failed = [f"{score.key} ({score.status})" for score in scores if not score.ok]
    if failed:
        say(f"{data}: {len(failed)} clips get no label from {teacher.name}: {some(failed)}")
    return {score.key: score.targets for score in scores}


def _written(labels: Mapping[str, float]) -> dict[str, float | None]:
    """Return labels as they are written: None where there is none."""
    return {key: None if math.isnan(value) else value for key, value in labels.items()}


def _refuse_overwriting(source: Path, output: Path) -> None:
    if output.resolve() == source.resolve():
        raise DataError(f"pseudo-label: {output} is the data directory itself; its labels would be lost; name another folder")
    if (output / WAV).exists() and not (output / SCORES).is_dir():
        raise DataError(f"pseudo-label: {output} holds a data directory that this did not write; name another folder")


def _corpus(directory: Path) -> dict[str, str]:
    """Return what the new stamp says of the corpus that the data are of, if that is known."""
    corpus = corpus_of(directory)
    return {"corpus": corpus} if corpus else {}
