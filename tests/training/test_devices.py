"""Several processes: two on the CPU, exchanging by gloo, as torchrun starts them."""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
from pathlib import Path

import lightning.fabric  # noqa: F401  once, before the processes fork
import pytest
import torch

from distilmos_plugin.config import Config, override
from distilmos_plugin.data.directory import DataDirectory
from distilmos_plugin.errors import TrainingError
from distilmos_plugin.scoring.models import load
from distilmos_plugin.training.fit import train


def in_processes(count: int, *args, **options) -> None:
    """Call ``train`` in ``count`` forked processes with torchrun's environment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def work(rank: int) -> None:
        names = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "test"}
        names |= {"WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": 0}
        os.environ.update({name: str(value) for name, value in names.items()})
        torch.set_num_threads(1)  # a forked OpenMP cannot start threads again
        train(*args, **options)

    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=work, args=(rank,)) for rank in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * count


def test_two_processes_train_one_model_and_gather_the_dev_figures(corpus: Path, config: Config, tmp_path: Path):
    """The figures of the history, gathered from both, are those of the released model on the whole dev set."""
    sizes = "model_conf={hidden_dim: 8}"  # with batch norm, whose running statistics differ between processes
    conf = override(config, ["system=distilmos", sizes, "max_epoch=1", "keep_nbest_models=1", "accum_grad=2", "batch_size=2"])
    in_processes(2, conf, corpus / "train", corpus / "dev", tmp_path / "exp", ngpu=0, checkpoint_seconds=0.0)
    (entry,) = [json.loads(line) for line in (tmp_path / "exp" / "history.jsonl").read_text().splitlines()]
    assert entry["step"] == 2  # 16 clips, two a batch, two batches a step, two processes
    dev = DataDirectory.read(corpus / "dev")
    scores = torch.tensor([score.mos for score in load(tmp_path / "exp" / "model", device="cpu").score_many(dev.wav)])
    loss = (scores - torch.tensor([*dev.targets["mos"].values()])).square().mean().item()
    assert entry["valid"]["loss"] == pytest.approx(loss, rel=1e-5)  # float32 scores of two MOS points


def test_more_gpus_than_there_are_is_refused(corpus: Path, config: Config, tmp_path: Path):
    with pytest.raises(TrainingError, match="GPUs are wanted"):
        train(config, corpus / "train", corpus / "dev", tmp_path / "exp", ngpu=torch.cuda.device_count() + 1)
