"""Every shipped configuration trains, on a small upstream in place of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from distilmos_plugin.config import Config, load_config, override
from distilmos_plugin.data.directory import DataDirectory, write_data_directory
from distilmos_plugin.scoring.models import load
from distilmos_plugin.tokens.stages import extract_stage, learn_stage
from distilmos_plugin.training.fit import train
from distilmos_plugin.upstreams.sfi.stages import DISTILLED, convert_stage, distil_stage

CONF = Path(__file__).parents[2] / "conf"
SHIPPED = sorted(str(path.relative_to(CONF)) for path in CONF.rglob("*.yaml"))


@pytest.fixture(scope="module")
def tokens(corpus: Path, config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tokens of the small upstream; 8 clusters, for 700 frames."""
    folder = tmp_path_factory.mktemp("tokens")
    conf = override(config, ["system=distilmos", "loss_conf.token_weight=1", "token_conf={clusters: 8, max_frames: 500}"])
    learn_stage(conf, corpus / "train", folder)
    extract_stage(conf, corpus / "train", folder)
    return folder


def test_the_systems_of_the_recipe_are_shipped():
    assert {"ssl_mos.yaml", "distilmos.yaml", "ssl_mos_tiny.yaml", "distilmos_tiny.yaml"} <= set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_configuration_trains(name: str, corpus: Path, checkpoint: str, tokens: Path, tmp_path: Path):
    conf = shortened(load_config(CONF / name), checkpoint)
    if "spectrogram_channels" in conf.model_conf:
        conf = override(conf, ["model_conf.spectrogram_channels=[4, 4, 4, 4]"])  # of the published size it takes half a minute
    corpus = with_labels(corpus, conf.targets, tmp_path / "labels")
    if conf.init_param:  # from the model of the configuration that is trained first
        first = shortened(load_config(CONF.parent / conf.train_first), checkpoint)
        labelled = with_labels(corpus, first.targets, tmp_path / "labels of the first")
        train(first, labelled / "train", labelled / "dev", tmp_path / "first", ngpu=0)
        conf = override(conf, [f"first_model={tmp_path / 'first' / 'model'}"])
    conf = with_sfi_upstream(conf, corpus, tmp_path / "sfi")
    model = train(conf, corpus / "train", corpus / "dev", tmp_path / "exp", tokens, ngpu=0)
    history = [json.loads(line) for line in (tmp_path / "exp" / "history.jsonl").read_text().splitlines()]
    part = "valid" if conf.single_ratings else "train"  # the training loss moves with the ratings that an epoch draws
    assert history[1][part]["loss"] < history[0][part]["loss"]
    score = load(model).score(next(iter(DataDirectory.read(corpus / "dev").wav.values())))
    assert set(conf.targets) <= set(score.targets)


def shortened(conf: Config, checkpoint: str) -> Config:
    """Return a configuration of a few steps on the small upstream, with narrow convolutions over spectra."""
    few = ["upstream=wavlm_local", f"upstream_conf.ckpt={checkpoint}", "max_epoch=2", "batch_size=4"]
    narrow = ["model_conf.channels=[4, 4, 4, 4]"] if conf.system in ("mosa_net", "mtq_net") else []
    known = ["model_conf.layers=[1, 2]"] if conf.model_conf.get("layers") else []  # the small upstream has no more
    return override(conf, [*few, "scheduler_conf.warmup_steps=0", *narrow, *known])


def with_labels(corpus: Path, targets: tuple[str, ...], folder: Path) -> Path:
    """Return the corpus, or one with the same labels under the names of other targets."""
    if targets == ("mos",):
        return corpus
    for part in ("train", "dev"):
        data = DataDirectory.read(corpus / part)
        labels = next(iter(data.targets.values()))
        write_data_directory(folder / part, data.wav, dict.fromkeys(targets, labels), data.systems)
    return folder


def with_sfi_upstream(conf: Config, corpus: Path, folder: Path) -> Config:
    """Return the configuration after stage 2 of the recipe, where it asks for an SFI upstream."""
    if conf.sfi_conf is None:
        return conf
    few_steps = override(conf, ["sfi_conf.fit_steps=2", "distil_conf={steps: 2, batch_size: 2}"])
    convert_stage(few_steps, folder)
    distil_stage(few_steps, corpus / "train", folder)
    return override(conf, [f"upstream={folder / DISTILLED}", "upstream_conf.ckpt=null"])


def test_the_authors_sizes_are_the_default_ones():
    """conf/distilmos.yaml spells out what the code has as defaults."""
    from distilmos_plugin.models import check_system

    assert check_system(load_config(CONF / "distilmos.yaml")) == check_system(Config(system="distilmos"))
