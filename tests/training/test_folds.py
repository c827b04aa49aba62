"""k folds: who is left out where, what comes out, and that it can be cut off; stacking of several models."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import distilmos_plugin as dm
from distilmos_plugin.config import Config, FoldConfig, override
from distilmos_plugin.data.directory import DataDirectory, write_data_directory
from distilmos_plugin.errors import ConfigError, DataError
from distilmos_plugin.scoring.publish import publish
from distilmos_plugin.scoring.results import read_scores
from distilmos_plugin.training.fit import train
from distilmos_plugin.training.folds import assign_folds
from distilmos_plugin.training.stacking import fit_stack, make_ensemble


def directory(systems: dict[str, int]) -> DataDirectory:
    """Return a directory of so many clips of each system."""
    clips = {f"{name}_{number}": name for name, count in systems.items() for number in range(count)}
    return DataDirectory(Path("data"), dict.fromkeys(clips, "x.wav"), systems=clips)


def test_by_clip_every_fold_has_clips_of_every_system():
    data = directory({"a": 14, "b": 7, "c": 21})
    folds = assign_folds(data, FoldConfig(folds=7), seed=0)
    pairs = Counter((fold, data.systems[key]) for key, fold in folds.items())
    assert pairs == {(fold, name): size for fold in range(1, 8) for name, size in (("a", 2), ("b", 1), ("c", 3))}


def test_by_system_no_system_is_in_two_folds_and_the_folds_are_of_like_size():
    data = directory({f"s{number}": 10 for number in range(21)})
    folds = assign_folds(data, FoldConfig(folds=7, by="system"), seed=0)
    assert len({(data.systems[key], fold) for key, fold in folds.items()}) == 21
    assert set(Counter(folds.values()).values()) == {30}


@pytest.mark.parametrize("by", ["clip", "system"])
def test_the_folds_follow_the_seed_and_nothing_else(by: str):
    data = directory({f"s{number}": 5 for number in range(10)})
    conf = FoldConfig(folds=5, by=by)
    turned = replace(data, wav=dict(reversed(data.wav.items())))
    assert assign_folds(data, conf, seed=1) == assign_folds(turned, conf, seed=1)
    assert assign_folds(data, conf, seed=1) != assign_folds(data, conf, seed=2)


@pytest.mark.parametrize(
    ("conf", "error", "message"),
    [
        (FoldConfig(folds=1), ConfigError, "expected 2 or more"),
        (FoldConfig(folds=9), DataError, "8 clips cannot be dealt out to 9 folds"),
        (FoldConfig(folds=3, by="system"), DataError, "2 systems cannot"),
    ],
)
def test_folds_that_cannot_be_made_are_refused(conf: FoldConfig, error: type, message: str):
    with pytest.raises(error, match=message):
        assign_folds(directory({"a": 4, "b": 4}), conf, seed=0)


@pytest.fixture(scope="module")
def train_dir(corpus: Path) -> Path:
    return corpus / "train"


@pytest.fixture(scope="module")
def dev_dir(corpus: Path, tmp_path_factory) -> Path:
    """The dev set under other keys: those of the corpus are in its train set too."""
    folder, data = tmp_path_factory.mktemp("data") / "dev", DataDirectory.read(corpus / "dev")

    def renamed(table: dict) -> dict:
        return {f"dev-{key}": value for key, value in table.items()}

    write_data_directory(folder, renamed(data.wav), {"mos": renamed(data.targets["mos"])}, renamed(data.systems))
    return folder


@pytest.fixture(scope="module")
def experiment(config: Config, train_dir: Path, dev_dir: Path, tmp_path_factory) -> Path:
    """Two folds of one epoch, on a frozen upstream."""
    folder = tmp_path_factory.mktemp("exp") / "folds"
    frozen = replace(config.upstream_conf, trainable=False, cache_gb=0.1)
    conf = replace(config, upstream_conf=frozen, fold_conf=FoldConfig(folds=2), max_epoch=1, keep_nbest_models=1)
    train(conf, train_dir, dev_dir, folder, ngpu=0)
    times = {path: path.stat().st_mtime_ns for path in folder.glob("fold*/model/*")}
    train(conf, train_dir, dev_dir, folder, ngpu=0)  # again: nothing is trained twice
    assert times == {path: path.stat().st_mtime_ns for path in folder.glob("fold*/model/*")}
    return folder


def test_every_clip_is_scored_by_the_model_that_did_not_see_it(experiment: Path, train_dir: Path, dev_dir: Path):
    scores = {score.key: score for score in read_scores(experiment / "out_of_fold.jsonl")}
    assert scores.keys() == {*DataDirectory.read(train_dir).keys, *DataDirectory.read(dev_dir).keys}
    for number in (1, 2):
        seen = DataDirectory.read(experiment / f"fold{number}" / "data" / "train").keys
        assert not any(f"fold{number}@" in scores[key].signature for key in seen)


def test_the_folds_are_one_model_wherever_a_model_is_named(experiment: Path, dev_dir: Path):
    whole, *parts = (dm.load(experiment / place, device="cpu") for place in ("model", "fold1/model", "fold2/model"))
    path = next(iter(DataDirectory.read(dev_dir).wav.values()))
    scores = [part.score(path).mos for part in parts]
    score = whole.score(path)
    assert score.mos == pytest.approx(np.mean(scores), abs=1e-6)
    assert score.targets["mos_sd"] == pytest.approx(np.std(scores, ddof=1), abs=1e-6)
    assert score.signature.startswith(f"distilmos|model:folds@{whole.digest}|")
    assert publish(experiment) == experiment / "model"


def test_the_states_of_the_upstream_are_gone_when_all_is_done(experiment: Path):
    assert not list(experiment.rglob("states"))


def test_a_stack_maps_the_out_of_fold_scores_to_the_labels(experiment: Path, train_dir: Path, dev_dir: Path, tmp_path: Path):
    output = tmp_path / "stack"
    make_ensemble(output, [experiment / "model"], [experiment / "out_of_fold.jsonl"], [train_dir, dev_dir])
    stack = dm.load(output, device="cpu").identity.stacks["mos"]
    labels = DataDirectory.read(train_dir).targets["mos"] | DataDirectory.read(dev_dir).targets["mos"]
    scores = {score.key: score.mos for score in read_scores(experiment / "out_of_fold.jsonl")}
    # The intercept is not penalised, so the mean error is 0; scores in the file have six decimals.
    assert np.mean([stack([scores[key]]) - labels[key] for key in labels]) == pytest.approx(0, abs=1e-5)


def test_a_stack_weighs_models_by_what_they_add():
    rng = np.random.default_rng(0)
    truth = rng.uniform(1, 5, 400)
    sharp, blunt = truth + 0.2 * rng.standard_normal(400), truth + 0.8 * rng.standard_normal(400)
    stack = fit_stack(np.stack([sharp, blunt - 1.0], axis=1), truth)
    # Weights of the best unbiased mix are as 1 / 0.04 to 1 / 0.64.
    assert stack.weights[0] == pytest.approx(0.94, abs=0.04)
    mixed = np.array([stack(pair) for pair in np.stack([sharp, blunt - 1.0], axis=1)])
    assert np.mean((mixed - truth) ** 2) < np.mean((sharp - truth) ** 2)


def test_with_little_to_go_by_a_stack_stays_near_the_mean():
    rng = np.random.default_rng(0)
    truth = rng.uniform(1, 5, 12)
    many = truth[:, None] + 0.5 * rng.standard_normal((12, 8))
    assert fit_stack(many, truth).weights == pytest.approx([1 / 8] * 8, abs=0.06)


def test_folds_keep_listeners_corpora_and_who_gave_the_labels(config: Config, corpus: Path, tmp_path: Path):
    data = DataDirectory.read(corpus / "train")
    domains = {key: ("large", "small")[number % 2] for number, key in enumerate(data.keys)}
    for name, keys in (("train", data.keys[:10]), ("dev", data.keys[10:])):
        ratings = [rating for rating in data.ratings if rating.key in keys]
        wav, mos, own = ({key: table[key] for key in keys} for table in (data.wav, data.targets["mos"], domains))
        write_data_directory(tmp_path / name, wav, {"mos": mos}, ratings=ratings, domains=own)
    (tmp_path / "train" / "labels.json").write_text('{"mos": "judge@0123"}')
    settings = ["model_conf={label_range: [1, 5], domains: true, listeners: true}", "single_ratings=2", "max_epoch=1"]
    model = train(
        override(config, [*settings, "fold_conf={folds: 2}", "keep_nbest_models=1"]),
        tmp_path / "train",
        tmp_path / "dev",
        tmp_path / "exp",
        ngpu=0,
    )
    for number, member in enumerate(dm.load(model, device="cpu").predictors, 1):
        assert len(member.model.listener_embedding.weight) == 4  # the mean listener and three
        assert len(member.model.domain_embedding.weight) == 3  # any corpus and two
        fold = tmp_path / "exp" / f"fold{number}"
        parts = [DataDirectory.read(fold / "data" / name) for name in ("train", "dev")]
        assert parts[0].domains | parts[1].domains == domains
        assert "mos: scores of judge@0123" in (fold / "model" / "README.md").read_text()
    assert "mos: scores of judge@0123" in (model / "README.md").read_text()


def test_clips_that_are_in_both_sets_are_refused(config: Config, corpus: Path, tmp_path: Path):
    with pytest.raises(DataError, match="both have the clips sys0-clip00"):
        train(replace(config, fold_conf=FoldConfig(folds=2)), corpus / "train", corpus / "dev", tmp_path / "exp", ngpu=0)


def test_scores_and_models_of_unequal_number_are_refused(experiment: Path, tmp_path: Path):
    with pytest.raises(DataError, match="2 score files for 1 models"):
        make_ensemble(tmp_path / "x", [experiment / "model"], [experiment / "out_of_fold.jsonl"] * 2)
