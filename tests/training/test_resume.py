"""Kill -9 at the worst moments, then call again: the same bits as without."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from distilmos_plugin.config import Config
from distilmos_plugin.training import checkpoints
from distilmos_plugin.training.fit import train

EVERY_STEP = 0.0  # seconds between checkpoints
NEVER = 1e9


@pytest.fixture(scope="module")
def weights(corpus: Path, config: Config, tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    """What training gives that nobody disturbs."""
    expdir = tmp_path_factory.mktemp("exp") / "undisturbed"
    model = train(config, corpus / "train", corpus / "dev", expdir, ngpu=0, checkpoint_seconds=NEVER)
    return load_file(model / "model.safetensors")


def run_until_killed(interfere: Callable[[], None], *args, **options) -> None:
    """Train in a process of its own, in which ``interfere`` sets up the kill."""

    def work() -> None:
        interfere()
        train(*args, **options)

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def after(calls: int, function: Callable, last: Callable) -> Callable:
    """Return ``function`` that from its call number ``calls`` on is ``last``."""
    count = 0

    def wrapped(*args, **options):
        nonlocal count
        count += 1
        return (last if count >= calls else function)(*args, **options)

    return wrapped


def die_half_way(content, file) -> None:
    file.write(b"half a checkpoint")
    file.flush()
    die()


@pytest.mark.parametrize("interval", [EVERY_STEP, NEVER])
def test_killed_between_two_steps(interval: float, weights: dict, corpus: Path, config: Config, tmp_path: Path):
    """Step 7 of 12 is the third of epoch 2: begun again from the last checkpoint, in the epoch or at its start."""
    args = (config, corpus / "train", corpus / "dev", tmp_path / "exp")

    def interfere() -> None:
        checkpoints_step = torch.optim.AdamW.step
        torch.optim.AdamW.step = after(7, checkpoints_step, lambda *_: die())

    run_until_killed(interfere, *args, ngpu=0, checkpoint_seconds=interval)
    states = sorted(path.name for path in (tmp_path / "exp" / "checkpoints").glob("state-*"))
    assert states[-1] == ("state-0001-0000002.pt" if interval == EVERY_STEP else "state-0001-0000000.pt")
    model = train(*args, ngpu=0, checkpoint_seconds=interval)
    resumed = load_file(model / "model.safetensors")
    assert all(torch.equal(value, resumed[name]) for name, value in weights.items())


@pytest.mark.parametrize("write", [1, 4, 7], ids=["the first", "an epoch's", "one in an epoch"])
def test_killed_while_a_checkpoint_is_written(write: int, weights: dict, corpus: Path, config: Config, tmp_path: Path):
    args = (config, corpus / "train", corpus / "dev", tmp_path / "exp")

    def interfere() -> None:
        checkpoints.torch.save = after(write, torch.save, die_half_way)

    run_until_killed(interfere, *args, ngpu=0, checkpoint_seconds=EVERY_STEP)
    folder = tmp_path / "exp" / "checkpoints"
    assert [path for path in folder.iterdir() if path.name.endswith(".tmp")]
    model = train(*args, ngpu=0, checkpoint_seconds=EVERY_STEP)
    resumed = load_file(model / "model.safetensors")
    assert all(torch.equal(value, resumed[name]) for name, value in weights.items())
    assert not [path for path in folder.iterdir() if path.name.endswith(".tmp")]


def test_killed_while_the_release_is_written(weights: dict, corpus: Path, config: Config, tmp_path: Path):
    args = (config, corpus / "train", corpus / "dev", tmp_path / "exp")

    def interfere() -> None:
        from distilmos_plugin.training import preparation

        preparation.write_release = lambda *_, **__: die()

    run_until_killed(interfere, *args, ngpu=0)
    model = train(*args, ngpu=0)
    resumed = load_file(model / "model.safetensors")
    assert all(torch.equal(value, resumed[name]) for name, value in weights.items())


def test_an_unreadable_checkpoint_falls_back_to_the_one_before(
    weights: dict, corpus: Path, config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    args = (config, corpus / "train", corpus / "dev", tmp_path / "exp")

    def interfere() -> None:
        torch.optim.AdamW.step = after(10, torch.optim.AdamW.step, lambda *_: die())

    run_until_killed(interfere, *args, ngpu=0, checkpoint_seconds=NEVER)
    newest = max((tmp_path / "exp" / "checkpoints").glob("state-*"))
    newest.write_bytes(newest.read_bytes()[: newest.stat().st_size // 2])
    model = train(*args, ngpu=0, checkpoint_seconds=NEVER)
    assert f"{newest}: unreadable checkpoint" in capsys.readouterr().err
    resumed = load_file(model / "model.safetensors")
    assert all(torch.equal(value, resumed[name]) for name, value in weights.items())
