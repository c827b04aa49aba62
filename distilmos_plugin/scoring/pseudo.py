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
from distilmos_plugin.scoring.results import Score, ScoreWriter, read_scores

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
    most: Mapping[str, int] | None = None,
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
        most: of some teachers, how many clips they label at most, each time the same ones; the others have no label.
        allow_pipes: run ``command |`` entries of ``wav.scp``.

    Raises:
        DataError: if there is no teacher, or ``output`` is ``data`` or holds something else.
        ModelError: if a teacher cannot be found.
    """
    output, teachers, most = Path(output), teachers or Teachers(), most or {}
    source = DataDirectory.read(data, allow_pipes)
    if not names:
        raise DataError("pseudo-label: name at least one teacher")
    _refuse_overwriting(source.path, output)
    contents = [source.wav, source.targets, source.systems, source.ratings, source.num_samples, source.rates]
    identities = {name: [teachers.identity(name), most[name]] if name in most else teachers.identity(name) for name in names}
    origin = {"data": fingerprint(contents), "teachers": identities}
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
        chosen = _chosen(source.wav, most.get(name))
        scores = _scores(source, chosen, teacher, output / SCORES / file, allow_pipes)
        unlabelled = dict.fromkeys(source.wav)
        found = {target: unlabelled | {score.key: score.targets.get(target) for score in scores} for target in teacher.targets}
        targets |= found
        given |= {target: f"{teacher.name}@{teacher.digest}" + f" ({teacher.about})" * bool(teacher.about) for target in found}
    lengths = {"num_samples": source.num_samples, "rates": source.rates}
    write_data_directory(output, source.wav, targets, source.systems, source.ratings, **lengths, domains=source.domains)
    with atomic_write(output / LABELS) as file:
        json.dump(given, file, indent=2, ensure_ascii=False)
    write_stamp(output, stamp)
    counts = ", ".join(f"{target} of {sum(value is not None for value in targets[target].values())}" for target in given)
    say(f"pseudo labels: {output}: {counts} of {len(source.keys)} clips")


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
    most = {} if conf.stand_in_clips is None else {conf.stand_in: conf.stand_in_clips}
    teachers = Teachers()
    for part in sets:
        names = [*taught * (part.name in LEARNT_FROM), *always]
        if names:
            pseudo_label(part, Path(output) / part.name, names, teachers, most=most)


def _chosen(clips: Mapping[str, str], most: int | None) -> Mapping[str, str]:
    """Return up to ``most`` of the clips, by a hash of their keys: which ones does not depend on the order."""
    keys = sorted(clips, key=lambda key: fingerprint([key]))
    return {key: clips[key] for key in keys[:most]}


def _scores(source: DataDirectory, clips: Mapping[str, str], teacher: Predictor, path: Path, allow_pipes: bool) -> list[Score]:
    """Score those of the clips that are not in the score file yet, and return the scores of all of them."""
    with ScoreWriter(path, True, teacher.signature) as writer:
        left = {key: wav for key, wav in clips.items() if key not in writer.done}
        if left:
            with Progress(f"{source.path.name}: scoring with {teacher.name}", len(left), "clips") as progress:
                for score in teacher.score_many(left, allow_pipes=allow_pipes):
                    writer.write([score])
                    progress.advance()
    scores = [score for score in read_scores(path) if score.key in clips]
    failed = [f"{score.key} ({score.status})" for score in scores if not score.ok]
    if failed:
        say(f"{source.path}: {len(failed)} clips get no label from {teacher.name}: {some(failed)}")
    return scores


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
