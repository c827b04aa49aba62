"""Figures on a dev set of several targets: means over the targets, each target's own, losses in the objective's units."""

from __future__ import annotations

import math

import pytest

from distilmos_plugin.config import Config, override
from distilmos_plugin.data.directory import DataDirectory, write_data_directory
from distilmos_plugin.models import build_model
from distilmos_plugin.scoring.predictor import Predictor
from distilmos_plugin.training.validation import Validation, valid_metrics
from distilmos_plugin.upstreams.upstream import load_upstream

SETTINGS = ["targets=[mos, stoi]", "model_conf={}", "loss_conf={units: {stoi: 0.1}, weights: {mos: 2.0}}"]


@pytest.fixture(scope="module")
def two(config: Config) -> Config:
    return override(config, SETTINGS)


@pytest.fixture(scope="module")
def dev(corpus, tmp_path_factory) -> DataDirectory:
    """The dev set with labels of ``stoi``; one clip has none."""
    data = DataDirectory.read(corpus / "dev")
    stoi = {key: 1.1 - value / 5 for key, value in data.targets["mos"].items()}
    first = data.keys[0]
    folder = tmp_path_factory.mktemp("dev")
    return write_data_directory(folder, data.wav, {"mos": data.targets["mos"], "stoi": stoi | {first: None}}, data.systems)


@pytest.fixture(scope="module")
def figures(two, dev):
    from lightning.fabric import Fabric

    model = build_model(two, load_upstream(two.upstream, two.upstream_conf))
    scores = {score.key: score.targets for score in Predictor(model, two).score_many(dev.wav)}
    return Validation(dev, two, Fabric(accelerator="cpu", devices=1))(model), scores


def test_all_promised_figures_are_there(figures, two):
    assert set(figures[0]) == set(valid_metrics(two.targets, systems=True))


def test_a_figure_without_a_target_is_the_mean_over_the_targets(figures):
    found, _ = figures
    for name in ("utterance_lcc", "utterance_mse", "system_srcc"):
        assert found[name] == pytest.approx((found[f"{name}_mos"] + found[f"{name}_stoi"]) / 2)


def test_a_clip_without_a_label_does_not_count(figures, dev):
    found, scores = figures
    labels = {key: value for key, value in dev.targets["stoi"].items() if not math.isnan(value)}
    assert len(labels) == len(dev.keys) - 1
    errors = [(scores[key]["stoi"] - value) ** 2 for key, value in labels.items()]
    assert found["utterance_mse_stoi"] == pytest.approx(sum(errors) / len(errors), rel=1e-4)


def test_the_loss_is_weighted_and_in_units(figures):
    found, _ = figures
    # squared errors: 2 for mos, and a unit of 0.1 for stoi
    assert found["loss"] == pytest.approx(2 * found["utterance_mse_mos"] + found["utterance_mse_stoi"] / 0.1**2, rel=1e-4)
