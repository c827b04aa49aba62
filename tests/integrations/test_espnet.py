"""Training by ESPnet's own trainer against training on Fabric: the same steps, figures, choice and release."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from distilmos_plugin.cli import train as train_command
from distilmos_plugin.config import Config, override
from distilmos_plugin.data.directory import DataDirectory
from distilmos_plugin.errors import ConfigError, MissingExtra, TrainingError
from distilmos_plugin.integrations import espnet
from distilmos_plugin.scoring.models import load
from distilmos_plugin.tokens.stages import extract_stage, learn_stage
from distilmos_plugin.training import fit
from distilmos_plugin.typed_yaml import parse, to_dict
from tests.training.material import write_corpus, write_upstream

ROOT = Path(__file__).parent.parent.parent
CLOSE = 1e-5  # relative; the trainers differ in the order of the sum that is the gradient's norm, processes in that of losses
CORRELATION = 1e-4  # of scores that hardly differ after a few steps, and so magnify that


@pytest.fixture(autouse=True, scope="module")
def _installed():
    """The real ESPnet, on one thread: the last bits follow the number of threads."""
    pytest.importorskip("espnet2", reason="ESPnet is not installed (pip install 'distilmos-plugin[espnet]')")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``train`` with 14 clips, which four a batch do not divide, and ``dev`` with 8."""
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder / "train", clips=14)
    write_corpus(folder / "dev", clips=8, seed=1)
    return folder


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """Everything at once: tokens, listeners, crops, a frozen part, a schedule, and steps on three batches and then on one."""
    values = {
        "system": "distilmos",
        "upstream": "wavlm_local",
        "upstream_conf": {"ckpt": str(write_upstream(tmp_path_factory.mktemp("upstream") / "wavlm.pt"))},
        "token_conf": {"clusters": 8, "max_frames": 500},
        "model_conf": {"label_range": [1, 5], "hidden_dim": 8, "listeners": True},
        "loss_conf": {"token_weight": 0.5, "contrastive_weight": 0.5, "frame_weight": 0.5},
        "single_ratings": 2,
        "batch_size": 4,
        "max_seconds": 0.7,
        "accum_grad": 3,
        "num_workers": 0,
        "max_epoch": 3,
        "keep_nbest_models": 2,
        "optim_conf": {"lr": 0.01, "upstream_lr": 0.001, "weight_decay": 0.01},
        "scheduler": "cosine",
        "scheduler_conf": {"warmup_steps": 2},
        "grad_clip": 0.5,
        "freeze_param": ["upstream.expert.model.encoder.pos_conv"],
    }
    return parse(Config, values, "test")


@pytest.fixture(scope="module")
def tokens(config: Config, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokens")
    learn_stage(config, corpus / "train", folder)
    extract_stage(config, corpus / "train", folder)
    return folder


@pytest.fixture(scope="module")
def plain(config: Config) -> Config:
    """The system without anything that needs tokens or listeners; one batch a step."""
    return override(
        config,
        [
            "system=ssl_mos",
            "model_conf={label_range: [1, 5]}",
            "loss_conf={}",
            "single_ratings=0",
            "accum_grad=1",
            "freeze_param=[]",
        ],
    )


@pytest.fixture(scope="module")
def pair(config: Config, corpus: Path, tokens: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The experiment by either trainer."""
    folder = tmp_path_factory.mktemp("exp")
    for name, train in (("lightning", fit.train), ("espnet", espnet.train)):
        train(config, corpus / "train", corpus / "dev", folder / name / "same", tokens, ngpu=0)
    return {name: folder / name / "same" for name in ("lightning", "espnet")}


def history_of(expdir: Path) -> list[dict]:
    return [json.loads(line) for line in (expdir / "history.jsonl").read_text().splitlines()]


def check_equal(one: Path, other: Path) -> None:
    """Compare two experiments: loss curve, learning rates, dev figures, choice of epochs, released weights."""
    first, second = history_of(one), history_of(other)
    assert [entry["step"] for entry in first] == [entry["step"] for entry in second]
    for a, b in zip(first, second, strict=True):
        assert b["lr"] == pytest.approx(a["lr"])
        assert b["train"] == pytest.approx(a["train"], rel=CLOSE)
        assert b["valid"] == pytest.approx(a["valid"], rel=CLOSE, abs=CORRELATION)
    a, b = (load_file(path / "model" / "model.safetensors") for path in (one, other))
    assert a.keys() == b.keys()
    for name, value in a.items():
        torch.testing.assert_close(b[name], value, rtol=CLOSE, atol=CLOSE)


def dev_loss(expdir: Path, corpus: Path) -> float:
    """The released model's loss on the dev set, scored as users score."""
    dev = DataDirectory.read(corpus / "dev")
    scores = torch.tensor([score.mos for score in load(expdir / "model", device="cpu").score_many(dev.wav)])
    return (scores - torch.tensor([*dev.targets["mos"].values()])).square().mean().item()


# --- one process ---


def test_the_loss_curve_is_that_of_fabric(pair: dict[str, Path]):
    check_equal(pair["lightning"], pair["espnet"])
    assert {"loss_mos", "loss_token", "loss_listener", "loss_mos_contrastive"} < set(history_of(pair["espnet"])[0]["train"])
    assert history_of(pair["espnet"])[-1]["step"] == 6  # four batches an epoch: three, and one


def test_the_released_model_scores(pair: dict[str, Path], corpus: Path):
    """Its loss is near that of the epochs that it is the mean of."""
    ranked = sorted(history_of(pair["espnet"]), key=lambda entry: (-entry["valid"]["system_srcc"], entry["epoch"]))[:2]
    mean = sum(entry["valid"]["utterance_mse"] for entry in ranked) / 2
    assert dev_loss(pair["espnet"], corpus) == pytest.approx(mean, rel=0.2)


def test_espnet_averaged_the_same_epochs(pair: dict[str, Path]):
    """Its own file of averaged weights, beside ours: chosen by figures of the whole dev set."""
    averaged = torch.load(pair["espnet"] / "checkpoints" / "valid.merit.ave.pth", weights_only=True)
    released = load_file(pair["espnet"] / "model" / "model.safetensors")
    torch.testing.assert_close(averaged["model.linear.weight"], released["linear.weight"])


def test_frozen_weights_are_not_in_the_checkpoints(pair: dict[str, Path]):
    state = torch.load(pair["espnet"] / "checkpoints" / "latest.pth", weights_only=True)
    assert not [name for name in state if "pos_conv" in name or "feature_extractor" in name]


def test_model_files_load_strictly(pair: dict[str, Path], tmp_path: Path):
    from distilmos_plugin.integrations.espnet_task import MOSTask

    folder = pair["espnet"] / "checkpoints"
    module, _ = MOSTask.build_model_from_file(folder / "config.yaml", folder / "valid.merit.ave.pth")
    released = load_file(pair["espnet"] / "model" / "model.safetensors")
    torch.testing.assert_close(module.model.linear.weight.data, released["linear.weight"])
    state = torch.load(folder / "valid.merit.ave.pth", weights_only=True)
    state["model.linear.wieght"] = state.pop("model.linear.weight")
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(TrainingError, match=r"other\.pth: of another model: .*linear\.weight.*linear\.wieght"):
        MOSTask.build_model_from_file(folder / "config.yaml", tmp_path / "other.pth")


def test_an_experiment_of_fabric_is_not_gone_on_with(config: Config, corpus: Path, tokens: Path, pair: dict[str, Path]):
    with pytest.raises(TrainingError, match=r"inputs\.trainer: None there, 'espnet' now"):
        espnet.train(config, corpus / "train", corpus / "dev", pair["lightning"], tokens, ngpu=0)
    with pytest.raises(TrainingError, match=r"inputs\.trainer: 'espnet' there, None now"):
        fit.train(config, corpus / "train", corpus / "dev", pair["espnet"], tokens, ngpu=0)


def test_patience_ends_at_the_same_epoch(plain: Config, corpus: Path, tmp_path: Path):
    still = override(plain, ["optim_conf.lr=0.0", "optim_conf.upstream_lr=0.0", "max_epoch=9", "patience=2"])
    for name, train in (("lightning", fit.train), ("espnet", espnet.train)):
        train(still, corpus / "train", corpus / "dev", tmp_path / name, ngpu=0)
    check_equal(tmp_path / "lightning", tmp_path / "espnet")
    assert len(history_of(tmp_path / "espnet")) == 3


def test_mixed_precision_and_loading_processes(plain: Config, corpus: Path, tmp_path: Path):
    several = override(plain, ["use_amp=true", "num_workers=2", "max_epoch=1"])
    for name, train in (("lightning", fit.train), ("espnet", espnet.train)):
        train(several, corpus / "train", corpus / "dev", tmp_path / name, ngpu=0)
    check_equal(tmp_path / "lightning", tmp_path / "espnet")


def test_a_loss_that_is_not_finite_stops_with_the_keys_of_its_batch(plain: Config, corpus: Path, tmp_path: Path):
    """ESPnet would go on without the step."""
    train_set = write_corpus(tmp_path / "train", clips=8)
    key = train_set.keys[3]
    labels = (tmp_path / "train" / "utt2mos").read_text().splitlines()
    labels[3] = f"{key} 1e30"  # its square is beyond float32
    (tmp_path / "train" / "utt2mos").write_text("\n".join(labels) + "\n")
    with pytest.raises(TrainingError, match=rf"epoch 1, batch \d: the loss is not finite .*{key}"):
        espnet.train(plain, tmp_path / "train", corpus / "dev", tmp_path / "exp", ngpu=0)
    assert not (tmp_path / "exp" / "model").exists()


def test_a_gradient_that_is_not_finite_stops_too(plain: Config, corpus: Path, tmp_path: Path):
    """The loss is finite, 1e30, and the square of its gradient is not."""
    train_set = write_corpus(tmp_path / "train", clips=4)
    lines = [f"{key} 1e30" for key in train_set.keys]
    (tmp_path / "train" / "utt2mos").write_text("\n".join(lines) + "\n")
    steep = override(plain, ["loss_conf.type=l1", "model_conf={label_range: [-1e30, 1e30]}"])
    with pytest.raises(
        TrainingError, match=rf"epoch 1, step 1: the gradient is not finite on the clips .*{train_set.keys[0]}"
    ):
        espnet.train(steep, tmp_path / "train", corpus / "dev", tmp_path / "exp", ngpu=0)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [("system=ssl_mo", "did you mean 'ssl_mos'"), ("targets=[sig]", "no utt2sig"), ("freeze_param=[linaer]", "linaer")],
)
def test_what_is_wrong_is_refused_before_anything_is_written(
    plain: Config, corpus: Path, tmp_path: Path, assignment: str, message: str
):
    with pytest.raises(Exception, match=message):
        espnet.train(override(plain, [assignment]), corpus / "train", corpus / "dev", tmp_path / "exp", ngpu=0)
    assert not (tmp_path / "exp").exists()


# --- resumed ---


def killed(interfere: Callable[[], None], *args, **options) -> None:
    """Train in a process of its own, in which ``interfere`` sets up the kill."""

    def work() -> None:
        interfere()
        espnet.train(*args, **options)

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL


def half_of(name: str) -> Callable[[], None]:
    """Set ``torch.save`` up to write half of the file of that name, and die."""

    def interfere() -> None:
        save = torch.save

        def die_half_way(content: object, path: object, **options: object) -> None:
            save(content, path, **options)
            if getattr(path, "name", None) == name:
                os.truncate(path, os.path.getsize(path) // 2)
                os.kill(os.getpid(), signal.SIGKILL)

        torch.save = die_half_way

    def later() -> None:
        # The first checkpoint has none before it to fall back on: die at that of the second epoch.
        from espnet2.train.trainer import Trainer

        start = Trainer.train_one_epoch.__func__

        def counted(cls: type, **options: object) -> bool:
            if options["reporter"].get_epoch() == 2:
                interfere()
            return start(cls, **options)

        Trainer.train_one_epoch = classmethod(counted)

    return later


@pytest.mark.parametrize("cut_off", ["checkpoint.pth", "2epoch.pth"])
def test_killed_while_espnet_writes_it_goes_on_to_the_same_bits(
    config: Config, corpus: Path, tokens: Path, pair: dict[str, Path], tmp_path: Path, cut_off: str
):
    args = (config, corpus / "train", corpus / "dev", tmp_path / "same", tokens)
    killed(half_of(cut_off), *args, ngpu=0)
    resumed = load_file(espnet.train(*args, ngpu=0) / "model.safetensors")
    whole = load_file(pair["espnet"] / "model" / "model.safetensors")
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())
    drop = ("seconds",)
    for a, b in zip(history_of(pair["espnet"]), history_of(tmp_path / "same"), strict=True):
        assert {k: v for k, v in a.items() if k not in drop} == {k: v for k, v in b.items() if k not in drop}


def test_killed_before_the_release_nothing_is_trained_again(plain: Config, corpus: Path, tmp_path: Path):
    """Also where patience had ended the training, not max_epoch."""
    conf = override(plain, ["optim_conf.lr=0.0", "optim_conf.upstream_lr=0.0", "max_epoch=9", "patience=1"])
    args = (conf, corpus / "train", corpus / "dev", tmp_path / "exp")

    def interfere() -> None:
        from distilmos_plugin.training import preparation

        preparation.write_release = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)

    killed(interfere, *args, ngpu=0)
    before = (tmp_path / "exp" / "checkpoints" / "checkpoint.pth").stat().st_mtime_ns
    assert espnet.train(*args, ngpu=0).is_dir()
    assert (tmp_path / "exp" / "checkpoints" / "checkpoint.pth").stat().st_mtime_ns == before
    assert len(history_of(tmp_path / "exp")) == 2


# --- two processes ---


def in_processes(train: Callable[..., Path], *args, **options) -> None:
    """Call ``train`` in two forked processes with torchrun's environment, on a machine that hides its GPUs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def work(rank: int) -> None:
        names = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "test", "CUDA_VISIBLE_DEVICES": ""}
        names |= {"WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": 0}
        os.environ.update({name: str(value) for name, value in names.items()})
        torch.set_num_threads(1)  # a forked OpenMP cannot start threads again
        train(*args, **options)

    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=work, args=(rank,)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]


def test_two_processes_train_as_on_fabric_and_end_with_a_model_that_scores(
    config: Config, corpus: Path, tokens: Path, tmp_path: Path
):
    """Batches of unlike numbers of clips too; the figures, from both processes, are those of the released model."""
    conf = override(config, ["max_epoch=2", "keep_nbest_models=1", "accum_grad=1", "batch_size=3"])
    for name, train in (("lightning", fit.train), ("espnet", espnet.train)):
        in_processes(train, conf, corpus / "train", corpus / "dev", tmp_path / name, tokens, ngpu=0)
    check_equal(tmp_path / "lightning", tmp_path / "espnet")
    best = min(history_of(tmp_path / "espnet"), key=lambda entry: (-entry["valid"]["system_srcc"], entry["epoch"]))
    # float32 scores of about three MOS points
    assert dev_loss(tmp_path / "espnet", corpus) == pytest.approx(best["valid"]["utterance_mse"], rel=1e-5)


@pytest.mark.parametrize(("nnodes", "tasks"), [(2, 1), (1, 2)])
def test_what_only_a_launcher_can_start_is_refused(
    plain: Config, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nnodes: int, tasks: int
):
    """Two Slurm tasks that know nothing of each other would train the same model into the same directory."""
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", str(tasks))
    with pytest.raises(TrainingError, match=r"torchrun .*--nproc_per_node"):
        espnet.train(plain, corpus / "train", corpus / "dev", tmp_path / "exp", ngpu=0, nnodes=nnodes)


# --- the command ---

WITHOUT_NETWORK = """
import socket, sys
def refuse(*_, **__): raise OSError("no network")
socket.socket.connect = socket.getaddrinfo = refuse
from distilmos_plugin.cli import app
app(sys.argv[1:], standalone_mode=False)
print([name for name in ("nltk", "g2p_en", "matplotlib", "wandb") if name in sys.modules])
"""


def test_the_command_needs_no_network_and_loads_neither_nltk_nor_plotting(plain: Config, corpus: Path, tmp_path: Path):
    import yaml

    (tmp_path / "conf.yaml").write_text(yaml.safe_dump(to_dict(override(plain, ["max_epoch=1"]))))
    options = ["--conf", tmp_path / "conf.yaml", "--expdir", tmp_path / "exp", "--ngpu", "0", "--trainer", "espnet"]
    command = [sys.executable, "-c", WITHOUT_NETWORK, "train", corpus / "train", corpus / "dev", *options]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[]\n"  # standard output is for results: also ESPnet's greeting is not there
    assert (tmp_path / "exp" / "model" / "model.safetensors").is_file()
    assert "Model summary" in (tmp_path / "exp" / "checkpoints" / "train.log").read_text()
    assert {path.name for path in tmp_path.iterdir()} == {"conf.yaml", "exp"}


def test_another_trainer_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="'espnt' is not one of lightning, espnet, did you mean 'espnet'"):
        train_command(tmp_path, tmp_path, tmp_path / "conf.yaml", tmp_path / "exp", trainer="espnt")


def test_without_espnet_the_extra_is_named(plain: Config, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "espnet2.tasks.abs_task", None)  # what an import finds of a package that is not there
    with pytest.raises(MissingExtra, match=r"pip install 'distilmos-plugin\[espnet\]'"):
        espnet.train(plain, corpus / "train", corpus / "dev", tmp_path / "exp", ngpu=0)
