"""Training from a configuration to a released model."""

from __future__ import annotations

import importlib.metadata
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml
from safetensors.torch import load_file

from distilmos_plugin.config import Config, override
from distilmos_plugin.data.directory import DataDirectory
from distilmos_plugin.errors import ConfigError, DataError, TokenError, TrainingError, UpstreamError
from distilmos_plugin.scoring.models import load
from distilmos_plugin.tokens.stages import extract_stage, learn_stage
from distilmos_plugin.training.fit import train

from .material import write_upstream


def history_of(expdir: Path) -> list[dict]:
    return [json.loads(line) for line in (expdir / "history.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory, corpus: Path, checkpoint: str) -> Path:
    """A finished experiment."""
    conf = Config(system="ssl_mos", upstream="wavlm_local", batch_size=4, max_epoch=3, keep_nbest_models=2, num_workers=0)
    conf = override(conf, [f"upstream_conf.ckpt={checkpoint}", "model_conf.label_range=[1, 5]"])
    expdir = tmp_path_factory.mktemp("exp") / "small"
    train(conf, corpus / "train", corpus / "dev", expdir, ngpu=0)
    return expdir


def test_an_experiment_has_all_its_files_and_nothing_half_written(experiment: Path):
    names = {path.relative_to(experiment).as_posix() for path in experiment.rglob("*") if path.is_file()}
    assert {"config.yaml", "history.jsonl", "model/config.yaml", "model/model.safetensors", "model/README.md"} < names
    assert {"checkpoints/state-0003-0000000.pt", "checkpoints/state-0002-0000000.pt"} < names
    assert any(name.startswith("tensorboard/events") for name in names)
    assert not [name for name in names if name.endswith(".tmp")]
    resolved = yaml.safe_load((experiment / "config.yaml").read_text())
    assert resolved["optim"] == "adamw"
    assert resolved["experiment"]["versions"]["torch"] == importlib.metadata.version("torch")


def test_the_history_has_a_line_an_epoch(experiment: Path):
    history = history_of(experiment)
    assert [entry["epoch"] for entry in history] == [1, 2, 3]
    assert [entry["step"] for entry in history] == [4, 8, 12]
    assert {"loss", "utterance_lcc", "system_srcc"} < set(history[0]["valid"])


def test_the_released_model_scores_the_dev_set_as_training_did_on_average(experiment: Path, corpus: Path):
    """Weights of the two best epochs are averaged; on a small step their loss lies near those of either."""
    predictor = load(experiment / "model")
    dev = DataDirectory.read(corpus / "dev")
    scores = torch.tensor([score.mos for score in predictor.score_many(dev.wav)])
    loss = (scores - torch.tensor([*dev.targets["mos"].values()])).square().mean().item()
    ranked = sorted(history_of(experiment), key=lambda entry: -entry["valid"]["system_srcc"])[:2]
    assert loss == pytest.approx(sum(entry["valid"]["loss"] for entry in ranked) / 2, rel=0.1)


def test_the_released_weights_are_the_mean_of_the_best_epochs(experiment: Path):
    ranked = sorted(history_of(experiment), key=lambda entry: (-entry["valid"]["system_srcc"], entry["epoch"]))[:2]
    states = [torch.load(experiment / "checkpoints" / f"epoch-{entry['epoch']:04d}.pt") for entry in ranked]
    released = load_file(experiment / "model" / "model.safetensors")
    torch.testing.assert_close(released["linear.weight"], (states[0]["linear.weight"] + states[1]["linear.weight"]) / 2)


def test_a_second_call_does_nothing_and_says_so(
    experiment: Path, corpus: Path, config: Config, capsys: pytest.CaptureFixture[str]
):
    before = {path: path.stat().st_mtime_ns for path in experiment.rglob("*")}
    train(config, corpus / "train", corpus / "dev", experiment, ngpu=0)
    assert "trained already" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in experiment.rglob("*")} == before


def test_another_configuration_in_the_same_directory_is_refused_by_key(experiment: Path, corpus: Path, config: Config):
    with pytest.raises(TrainingError, match=r"optim_conf\.lr: 0\.001 there, 0\.01 now"):
        train(override(config, ["optim_conf.lr=0.01"]), corpus / "train", corpus / "dev", experiment, ngpu=0)


def test_other_data_in_the_same_directory_are_refused(experiment: Path, corpus: Path, config: Config):
    with pytest.raises(TrainingError, match=r"inputs\.train"):
        train(config, corpus / "dev", corpus / "dev", experiment, ngpu=0)


def test_a_loss_that_is_not_finite_stops_with_the_keys_of_its_batch(corpus: Path, config: Config, tmp_path: Path):
    shutil.copytree(corpus / "train", tmp_path / "train")
    labels = (tmp_path / "train" / "utt2mos").read_text().splitlines()
    key = labels[5].split()[0]
    labels[5] = f"{key} 1e30"  # its square is beyond float32
    (tmp_path / "train" / "utt2mos").write_text("\n".join(labels) + "\n")
    with pytest.raises(TrainingError, match=rf"epoch 1, step \d+: the loss is not finite .*{key}") as caught:
        train(config, tmp_path / "train", corpus / "dev", tmp_path / "exp", ngpu=0)
    assert len(re.findall(r"sys\d-clip\d\d", str(caught.value))) == config.batch_size
    assert not (tmp_path / "exp" / "model").exists()
    # Nothing has been learnt that another configuration could not go on from.
    train(override(config, ["loss_conf.type=l1", "max_epoch=1"]), tmp_path / "train", corpus / "dev", tmp_path / "exp", ngpu=0)


def test_training_stops_when_patience_is_out(corpus: Path, config: Config, tmp_path: Path):
    still = override(config, ["optim_conf.lr=0.0", "max_epoch=9", "patience=2"])  # nothing moves: epoch 1 stays the best
    train(still, corpus / "train", corpus / "dev", tmp_path / "exp", ngpu=0)
    assert len(history_of(tmp_path / "exp")) == 3


def test_a_dev_set_without_systems_ranks_by_utterances_and_says_so(
    corpus: Path, config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    shutil.copytree(corpus / "dev", tmp_path / "dev")
    (tmp_path / "dev" / "utt2system").unlink()
    train(override(config, ["max_epoch=1"]), corpus / "train", tmp_path / "dev", tmp_path / "exp", ngpu=0)
    assert "ranked by utterance_srcc instead of system_srcc" in capsys.readouterr().err
    assert not [name for name in history_of(tmp_path / "exp")[0]["valid"] if name.startswith("system")]


def test_mixed_precision_accumulation_and_loading_processes(corpus: Path, config: Config, tmp_path: Path):
    several = override(config, ["use_amp=true", "accum_grad=3", "num_workers=2", "max_epoch=1", "max_seconds=0.6"])
    train(several, corpus / "train", corpus / "dev", tmp_path / "exp", ngpu=0)
    (entry,) = history_of(tmp_path / "exp")
    assert entry["step"] == 2  # four batches: a step on three, and one on what is left
    assert entry["train"]["loss"] > 0


def test_mixed_precision_leaves_the_labels_as_they_are(corpus: Path, config: Config, tmp_path: Path):
    """2.5 and 2.503 are one number in bfloat16."""
    losses = []
    for label in ("2.5", "2.503"):
        shutil.copytree(corpus / "train", tmp_path / label)
        keys = [line.split()[0] for line in (tmp_path / label / "utt2mos").read_text().splitlines()]
        (tmp_path / label / "utt2mos").write_text("".join(f"{key} {label}\n" for key in keys))
        still = override(config, ["use_amp=true", "max_epoch=1", "optim_conf.lr=0.0"])
        train(still, tmp_path / label, corpus / "dev", tmp_path / f"exp{label}", ngpu=0)
        losses.append(history_of(tmp_path / f"exp{label}")[0]["train"]["loss"])
    assert losses[0] != losses[1]


def test_listeners_are_trained_on_single_ratings(corpus: Path, config: Config, tmp_path: Path):
    conf = override(config, ["single_ratings=2", "model_conf.listeners=true", "max_epoch=1"])
    train(conf, corpus / "train", corpus / "dev", tmp_path / "exp", ngpu=0)
    assert history_of(tmp_path / "exp")[0]["train"]["loss_listener"] > 0
    assert load(tmp_path / "exp" / "model").model.listener_embedding.weight.shape[0] == 4


def test_an_unreadable_clip_is_named_in_one_line(corpus: Path, config: Config, tmp_path: Path):
    shutil.copytree(corpus / "train", tmp_path / "train")
    lines = (tmp_path / "train" / "wav.scp").read_text().splitlines()
    key, path = lines[3].split()
    broken = tmp_path / "broken.wav"
    broken.write_bytes(Path(path).read_bytes()[:60])
    lines[3] = f"{key} {broken}"
    (tmp_path / "train" / "wav.scp").write_text("\n".join(lines) + "\n")
    for name in ("utt2num_samples", "utt2rate"):  # so that the header is not read before training
        value = "16000"
        keys = [line.split()[0] for line in lines]
        (tmp_path / "train" / name).write_text("".join(f"{k} {value}\n" for k in keys))
    with pytest.raises(DataError, match=rf"wav\.scp: key '{key}'") as caught:
        train(override(config, ["num_workers=1"]), tmp_path / "train", corpus / "dev", tmp_path / "exp", ngpu=0)
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("system=ssl_mo", "did you mean 'ssl_mos'"),
        ("max_epoch=0", "max_epoch: expected at least 1"),
        ("best_model_criterion=[[valid, systm_srcc, max]]", "did you mean 'system_srcc'"),
        ("upstream=wavlm_locl", "did you mean"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_written(
    corpus: Path, config: Config, tmp_path: Path, assignment: str, message: str
):
    with pytest.raises((ConfigError, UpstreamError), match=message):
        train(override(config, [assignment]), corpus / "train", corpus / "dev", tmp_path / "exp", ngpu=0)
    assert not (tmp_path / "exp").exists()


def test_a_dev_clip_that_cannot_be_scored_is_named_and_does_not_count(
    corpus: Path, config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    shutil.copytree(corpus / "dev", tmp_path / "dev")
    lines = (tmp_path / "dev" / "wav.scp").read_text().splitlines()
    key = lines[2].split()[0]
    short = tmp_path / "short.wav"
    soundfile.write(short, np.zeros(200), 16000)  # 12.5 ms, half of what the upstream needs
    lines[2] = f"{key} {short}"
    (tmp_path / "dev" / "wav.scp").write_text("\n".join(lines) + "\n")
    train(override(config, ["max_epoch=2"]), corpus / "train", tmp_path / "dev", tmp_path / "exp", ngpu=0)
    assert capsys.readouterr().err.count(f"1 dev clips have no score and do not count: {key} (too_short)") == 1
    assert history_of(tmp_path / "exp")[0]["valid"]["utterance_mse"] > 0


# --- the token loss of DistilMOS ---


@pytest.fixture(scope="module")
def distilmos(config: Config) -> Config:
    sizes = ["system=distilmos", "model_conf={hidden_dim: 8, strides: [1, 2, 1]}", "max_epoch=2"]
    return override(config, [*sizes, "loss_conf.token_weight=0.5", "token_conf={clusters: 8, max_frames: 500}"])


@pytest.fixture(scope="module")
def tokens(distilmos: Config, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokens")
    learn_stage(distilmos, corpus / "train", folder)
    extract_stage(distilmos, corpus / "train", folder)
    return folder


def test_the_token_loss_falls_and_the_release_comes_without_its_heads(
    distilmos: Config, tokens: Path, corpus: Path, tmp_path: Path
):
    cropped = override(distilmos, ["max_seconds=0.7"])
    train(cropped, corpus / "train", corpus / "dev", tmp_path / "exp", tokens, ngpu=0)
    first, second = (entry["train"] for entry in history_of(tmp_path / "exp"))
    assert second["loss_token"] < first["loss_token"]
    assert 0 <= first["token_accuracy"] <= 1
    assert not load(tmp_path / "exp" / "model").model.predictors


def test_a_token_loss_without_tokens_is_refused(distilmos: Config, corpus: Path, tmp_path: Path):
    with pytest.raises(TrainingError, match="no tokens are given"):
        train(distilmos, corpus / "train", corpus / "dev", tmp_path / "exp", ngpu=0)


def test_tokens_of_another_upstream_are_refused(distilmos: Config, tokens: Path, corpus: Path, tmp_path: Path):
    other = write_upstream(tmp_path / "other.pt", seed=1)
    conf = override(distilmos, [f"upstream_conf.ckpt={other}"])
    with pytest.raises(TokenError, match="make them again"):
        train(conf, corpus / "train", corpus / "dev", tmp_path / "exp", tokens, ngpu=0)
    assert not (tmp_path / "exp").exists()


def test_without_weight_the_tokens_make_no_difference_at_all(distilmos: Config, tokens: Path, corpus: Path, tmp_path: Path):
    """lambda = 0 is the baseline, to the last bit."""
    conf = override(distilmos, ["loss_conf.token_weight=0", "max_epoch=1"])
    models = [
        train(conf, corpus / "train", corpus / "dev", tmp_path / name, folder, ngpu=0)
        for name, folder in (("with", tokens), ("without", None))
    ]
    first, second = (load_file(model / "model.safetensors") for model in models)
    assert first.keys() == second.keys()
    assert all(torch.equal(value, second[name]) for name, value in first.items())
