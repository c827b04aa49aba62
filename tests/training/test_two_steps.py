"""Training in two steps: the second starts from the first one's weights, and knows when these have changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from distilmos_plugin.config import Config, override
from distilmos_plugin.errors import TrainingError
from distilmos_plugin.training.fit import train


@pytest.fixture(scope="module")
def step(config: Config) -> Config:
    """SA-SSL-MOS, one epoch."""
    conf = override(
        replace(config, system="sa_ssl_mos", max_epoch=1, keep_nbest_models=1),
        ["upstream_conf.trainable=false", "loss_conf.type=gaussian_nll", "model_conf.label_range=[1, 5]"],
    )
    return override(conf, ["model_conf.layers=[2]", "model_conf.spectrogram_channels=[4, 4]", "model_conf.channels=[8, 8]"])


def test_the_second_step_begins_where_the_first_ended(step: Config, corpus: Path, tmp_path: Path):
    first = train(step, corpus / "train", corpus / "dev", tmp_path / "first", ngpu=0)
    second = replace(step, init_param=(str(first),), optim_conf=replace(step.optim_conf, lr=1e-12))
    model = train(second, corpus / "train", corpus / "dev", tmp_path / "second", ngpu=0)
    before, after = (load_file(folder / "model.safetensors") for folder in (first, model))
    trained = [name for name in before if "norms" not in name and not name.startswith("upstream")]
    # A dozen steps at a rate of 1e-12 each; the running statistics of the norms move with the data.
    for name in trained:
        torch.testing.assert_close(before[name], after[name], rtol=0, atol=1e-10)

    changed = {name: value + 1 for name, value in before.items()}
    save_file(changed, first / "model.safetensors")
    with pytest.raises(TrainingError, match=r"inputs\.init_param"):
        train(second, corpus / "train", corpus / "dev", tmp_path / "second", ngpu=0)
