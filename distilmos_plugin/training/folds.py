"""k-fold training: each of k models leaves out another part of the labelled data, and together they are one model."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from distilmos_plugin.config import Config, FoldConfig
from distilmos_plugin.corpora import LABELS
from distilmos_plugin.data.directory import DataDirectory, write_data_directory
from distilmos_plugin.errors import ConfigError, DataError, TrainingError, some
from distilmos_plugin.progress import say
from distilmos_plugin.scoring.ensemble_release import write_ensemble
from distilmos_plugin.scoring.models import load
from distilmos_plugin.scoring.results import ScoreWriter, read_scores
from distilmos_plugin.scoring.run import score_paths
from distilmos_plugin.training.card import describe_training
from distilmos_plugin.training.experiment import MODEL, Experiment, data_fingerprint
from distilmos_plugin.training.fit import train
from distilmos_plugin.training.preparation import STATES

OUT_OF_FOLD = "out_of_fold.jsonl"


def train_folds(
    config: Config,
    train_dir: str | Path,
    dev_dir: str | Path,
    expdir: str | Path,
    *,
    ngpu: int | None = None,
    nnodes: int = 1,
    allow_pipes: bool = False,
) -> Path:
    """Train the folds one after the other, or go on where that was cut off, and release their mean as one model.

    Args:
        config: the experiment, with ``fold_conf``. Fold i has the seed ``seed + i - 1``.
        train_dir, dev_dir: data directories; their clips are put together and dealt out anew.
        expdir: gets ``fold<i>/`` with an experiment each, ``out_of_fold.jsonl`` with the score of every clip by the model that
            did not see it, and ``model/``.
        ngpu: 0 or 1.
        nnodes: 1.
        allow_pipes: run ``command |`` entries of ``wav.scp``.

    Returns:
        The released model's directory.

    Raises:
        ConfigError, DataError: before training starts.
        TrainingError: as :func:`~.fit.train`, or if more than one device is asked for.
    """
    if nnodes > 1 or (ngpu or 0) > 1:
        raise TrainingError("fold_conf: folds are trained on one device; use --ngpu 0 or --ngpu 1, --nnodes 1")
    if config.loss_conf.token_weight > 0:
        raise ConfigError("fold_conf: with token_weight above 0 there are no tokens of the dev set's clips; set either to 0")
    sets = [DataDirectory.read(path, allow_pipes) for path in (train_dir, dev_dir)]
    pool = _together(*sets)
    folds = assign_folds(pool, config.fold_conf, config.seed)
    expdir = Path(expdir)
    experiment = Experiment(expdir, config, {"data": data_fingerprint(pool)})
    experiment.check()
    experiment.write_config()
    options = {"ngpu": ngpu, "allow_pipes": allow_pipes, "states_dir": expdir / STATES}
    for number in range(1, config.fold_conf.folds + 1):
        say(f"fold {number} of {config.fold_conf.folds}")
        _train_fold(number, config, pool, folds, expdir / f"fold{number}", **options)
    shutil.rmtree(expdir / STATES, ignore_errors=True)
    return _release(expdir, config.fold_conf, pool)


def assign_folds(directory: DataDirectory, conf: FoldConfig, seed: int) -> dict[str, int]:
    """Return key -> fold, from 1, drawn from a private generator seeded by ``seed``.

    By ``clip``: the clips of each system, shuffled, are dealt out in turn, so that every fold has clips of every system. By
    ``system``: each system, in random order, goes as a whole to the fold that has the fewest clips then.

    Raises:
        ConfigError: for fewer than two folds.
        DataError: if there are fewer clips or systems than folds, or no systems to go by.
    """
    if conf.folds < 2:
        raise ConfigError(f"fold_conf: folds: expected 2 or more (0 trains one model), found {conf.folds}")
    if conf.by == "system" and directory.systems is None:
        raise DataError(f"{directory.path}: no utt2system, which fold_conf: by: system needs; by: clip does without")
    members: dict[str, list[str]] = {}
    for key in sorted(directory.keys):
        members.setdefault(directory.systems[key] if directory.systems else "", []).append(key)
    items = len(members) if conf.by == "system" else len(directory.keys)
    if items < conf.folds:
        raise DataError(f"{directory.path}: {items} {conf.by}s cannot be dealt out to {conf.folds} folds")
    generator = np.random.default_rng([seed, conf.folds])
    folds: dict[str, int] = {}
    sizes = [0] * conf.folds
    for system in generator.permutation(sorted(members)).tolist():
        whole = sizes.index(min(sizes))
        for key in generator.permutation(members[system]).tolist():
            fold = whole if conf.by == "system" else len(folds) % conf.folds
            folds[key] = fold + 1
            sizes[fold] += 1
    return folds


def _together(first: DataDirectory, second: DataDirectory) -> DataDirectory:
    """Return both directories' clips as one, with the tables that both have."""
    if twice := sorted(set(first.keys) & set(second.keys)):
        raise DataError(f"{first.path} and {second.path} both have the clips {some(twice)}")

    def joined(name: str) -> dict | None:
        one, other = getattr(first, name), getattr(second, name)
        return None if one is None or other is None else one | other

    common = [target for target in first.targets if target in second.targets]
    targets = {target: first.targets[target] | second.targets[target] for target in common}
    ratings = None if first.ratings is None or second.ratings is None else first.ratings + second.ratings
    tables = {name: joined(name) for name in ("systems", "num_samples", "rates", "domains")}
    return DataDirectory(first.path, first.wav | second.wav, targets, ratings=ratings, **tables)


def _train_fold(number: int, config: Config, pool: DataDirectory, folds: Mapping[str, int], folder: Path, **options) -> None:
    """Train one fold's model and score the clips that it did not see."""
    data = {"train": folder / "data" / "train", "dev": folder / "data" / "dev"}
    for name, path in data.items():
        keys = {key for key, fold in folds.items() if (fold == number) == (name == "dev")}
        _write_part(path, pool, keys)
    own = replace(config, fold_conf=FoldConfig(), seed=config.seed + number - 1)
    model = train(own, data["train"], data["dev"], folder, **options)
    allow_pipes = options["allow_pipes"]
    score_paths([data["dev"]], model=model, output=folder / OUT_OF_FOLD, resume=True, allow_pipes=allow_pipes)


def _write_part(path: Path, pool: DataDirectory, keys: set[str]) -> None:
    def part(table: Mapping | None) -> dict | None:
        return None if table is None else {key: value for key, value in table.items() if key in keys}

    targets = {target: part(labels) for target, labels in pool.targets.items()}
    ratings = None if pool.ratings is None else [rating for rating in pool.ratings if rating.key in keys]
    tables = {name: part(getattr(pool, name)) for name in ("systems", "num_samples", "rates", "domains")}
    write_data_directory(path, part(pool.wav), targets, ratings=ratings, **tables)
    if (pool.path / LABELS).is_file():  # what models have labelled stays named, in the fold's model card too
        shutil.copyfile(pool.path / LABELS, path / LABELS)


def _release(expdir: Path, conf: FoldConfig, pool: DataDirectory) -> Path:
    """Write the scores of all folds as one file, and their models as one."""
    folders = [expdir / f"fold{number}" for number in range(1, conf.folds + 1)]
    with ScoreWriter(expdir / OUT_OF_FOLD) as writer:
        for folder in folders:
            writer.write(read_scores(folder / OUT_OF_FOLD))
    about, card = describe_training(pool)
    card["Training data"] += f" These are the train and the dev set together; each of the {conf.folds} models left a part out."
    models = [folder / MODEL for folder in folders]
    write_ensemble(expdir / MODEL, [load(model, device="cpu") for model in models], models, about=about, card=card)
    say(f"{expdir / MODEL}: mean of {conf.folds} folds; {expdir / OUT_OF_FOLD}: each clip by the model that did not see it")
    return expdir / MODEL
