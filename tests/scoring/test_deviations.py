"""Predicted standard deviations on their way to the results: files, tables, long audio, ensembles."""

import math
from dataclasses import replace

import numpy as np
import pytest

from distilmos_plugin.config import Config
from distilmos_plugin.models import build_model
from distilmos_plugin.scoring.ensemble import Ensemble
from distilmos_plugin.scoring.predictor import Predictor
from distilmos_plugin.scoring.release import write_release
from distilmos_plugin.scoring.results import read_scores
from distilmos_plugin.scoring.run import score_paths
from distilmos_plugin.typed_yaml import parse, to_dict
from distilmos_plugin.upstreams.upstream import load_upstream

from .material import speech, with_windows, write


def gaussian(config: Config, seed: int) -> Predictor:
    """Return a small SSL-Layer-MOS with random weights."""
    values = to_dict(config) | {"system": "ssl_layer_mos", "seed": seed}
    values["model_conf"] = {"layers": [2], "channels": [8, 8], "hidden_dims": [8], "label_range": [1, 5]}
    values["upstream_conf"]["trainable"] = False
    values["loss_conf"] = {"type": "gaussian_nll"}
    conf = parse(Config, values, "test")
    return Predictor(build_model(conf, load_upstream(conf.upstream, conf.upstream_conf)), conf, f"gaussian{seed}")


@pytest.fixture(scope="module")
def predictor(config) -> Predictor:
    return gaussian(config, 0)


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_a_score_file_has_a_column_for_them(predictor, tmp_path, ending: str, capsys):
    write(tmp_path / "in" / "a.wav", speech(1.0))
    write_release(tmp_path / "model", predictor.model, predictor.config)
    output = tmp_path / f"scores.{ending}"
    score_paths([tmp_path / "in"], model=tmp_path / "model", output=output, device="cpu")
    (score,) = read_scores(output)
    assert tuple(score.targets) == ("mos", "mos_std")
    assert score.targets["mos_std"] == pytest.approx(predictor.score(speech(1.0), 16000).targets["mos_std"], abs=1e-5)
    score_paths([tmp_path / "in"], model=tmp_path / "model", device="cpu")
    assert capsys.readouterr().out.split()[:2] == ["mos", "mos_std"]


def test_of_long_audio_it_is_the_root_mean_square_of_the_windows(predictor):
    samples = speech(9.5)
    windowed = Predictor(predictor.model, with_windows(predictor.config, 4.0, 3.0))
    long = windowed.score(samples, 16000)
    parts = [predictor.score(samples[start : start + 64000], 16000).targets["mos_std"] for start in (0, 48000, 96000)]
    assert long.targets["mos_std"] == pytest.approx(math.sqrt(np.average(np.square(parts), weights=[4, 4, 3.5])), abs=1e-5)


def test_of_a_mixture_it_holds_the_models_own_and_their_disagreement(predictor, config):
    both = Ensemble([predictor, gaussian(config, 1)])
    score = both.score(speech(1.5), 16000)
    assert tuple(score.targets) == both.columns == ("mos", "mos_sd", "mos_std", "mos@gaussian0", "mos@gaussian1")
    means = [score.targets[f"mos@gaussian{number}"] for number in (0, 1)]
    own = [item.score(speech(1.5), 16000).targets["mos_std"] for item in both.predictors]
    # The variance of a mixture in equal parts: mean of the variances, and variance of the means.
    assert score.targets["mos_std"] ** 2 == pytest.approx(np.mean(np.square(own)) + np.var(means), rel=1e-4)
    assert both.score(speech(1.5), 16000).targets["mos_std"] > max(np.std(means), min(own))


def test_beside_a_model_without_them_there_is_no_mixture(predictor, model, config):
    both = Ensemble([predictor, Predictor(model, replace(config), "plain")])
    assert both.columns == ("mos", "mos_sd", "mos@gaussian0", "mos@plain")
