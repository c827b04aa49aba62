"""Training on pooled corpora: domains, listeners and balanced sampling together, to a release that scores."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from distilmos_plugin.config import Config, override
from distilmos_plugin.corpora.pooling import pool
from distilmos_plugin.data.directory import DataDirectory, write_data_directory
from distilmos_plugin.errors import ConfigError
from distilmos_plugin.scoring.models import load
from distilmos_plugin.training.fit import train

from .material import write_corpus

OPTIONS = [
    "model_conf={label_range: [1, 5], domains: true, listeners: true}",
    "single_ratings=2",
    "domain_sampling=balanced",
    "max_epoch=1",
]


@pytest.fixture(scope="module")
def pooled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two corpora of 12 and 4 clips, with the same keys and listeners."""
    folder = tmp_path_factory.mktemp("pool")
    for name, clips in (("large", 12), ("small", 4)):
        for seed, part in enumerate(("train", "dev", "test")):
            write_corpus(folder / name / part, clips=clips, seed=seed)
    pool(folder / "both", [folder / "large", folder / "small"])
    return folder


@pytest.fixture(scope="module")
def experiment(pooled: Path, config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    expdir = tmp_path_factory.mktemp("exp") / "both"
    train(override(config, OPTIONS), pooled / "both" / "train", pooled / "both" / "dev", expdir, ngpu=0)
    return expdir


def test_an_epoch_takes_every_corpus_as_often_as_the_largest(experiment: Path):
    history = [json.loads(line) for line in (experiment / "history.jsonl").read_text().splitlines()]
    assert history[0]["step"] == 2 * 12 / 4  # two corpora, batches of 4
    assert {"loss_mos", "loss_listener", "loss_domain"} < set(history[0]["train"])


def test_the_release_knows_its_corpora_and_scores_without_being_told_one(experiment: Path, pooled: Path):
    predictor = load(experiment / "model", device="cpu")
    assert predictor.model.domain_embedding.weight.shape[0] == 3  # any corpus, large, small
    assert predictor.model.domain_embedding.weight.abs().sum(dim=1).gt(0).all()  # all of them were trained
    assert re.search(r"domains:\n  - large\n  - small", (experiment / "model" / "config.yaml").read_text())
    for name in ("large", "small"):
        test = DataDirectory.read(pooled / "both" / f"test_{name}")
        scores = list(predictor.score_many(test.wav))
        assert all(score.ok and np.isfinite(score.mos) for score in scores)


def test_training_goes_on_from_a_checkpoint(experiment: Path, pooled: Path, config: Config, tmp_path: Path):
    copy = tmp_path / "both"
    shutil.copytree(experiment, copy)
    shutil.rmtree(copy / "model")
    (copy / ".complete.json").unlink()
    model = train(override(config, OPTIONS), pooled / "both" / "train", pooled / "both" / "dev", copy, ngpu=0)
    released = [(folder / "model.safetensors").read_bytes() for folder in (model, experiment / "model")]
    assert released[0] == released[1]


@pytest.mark.parametrize("option", ["model_conf={label_range: [1, 5], domains: true}", "domain_sampling=balanced"])
def test_what_needs_a_pool_is_refused_without_one(option: str, pooled: Path, config: Config, tmp_path: Path):
    with pytest.raises(ConfigError, match=r"large/train has no utt2domain; `distilmos corpus pool` makes pooled corpora"):
        train(override(config, [option]), pooled / "large" / "train", pooled / "large" / "dev", tmp_path / "exp", ngpu=0)
    assert not (tmp_path / "exp").exists()


def test_a_target_that_one_corpus_lacks_is_learnt_from_the_others(pooled: Path, config: Config, tmp_path: Path):
    for part in ("train", "dev", "test"):
        rated = DataDirectory.read(pooled / "large" / part)
        targets = rated.targets | {"sig": {key: 6 - value for key, value in rated.targets["mos"].items()}}
        write_data_directory(tmp_path / "large" / part, rated.wav, targets, rated.systems)
    pool(tmp_path / "both", [tmp_path / "large", pooled / "small"])
    options = override(config, ["targets=[mos, sig]", "max_epoch=1"])
    model = train(options, tmp_path / "both" / "train", tmp_path / "both" / "dev", tmp_path / "exp", ngpu=0)
    (entry,) = [json.loads(line) for line in (tmp_path / "exp" / "history.jsonl").read_text().splitlines()]
    assert np.isfinite(entry["train"]["loss_sig"])
    assert entry["valid"]["utterance_lcc_sig"] is not None  # over the clips that have the label
    score = load(model, device="cpu").score(rated.wav[rated.keys[0]])
    assert set(score.targets) == {"mos", "sig"}
