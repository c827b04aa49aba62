"""What is trained, from which values, how fast."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from distilmos_plugin.config import Config
from distilmos_plugin.errors import TrainingError
from distilmos_plugin.training.module import TrainingModule
from distilmos_plugin.training.optimisation import freeze, initialise, make_optimiser, rate_factor, set_rates
from distilmos_plugin.typed_yaml import parse


class Small(nn.Module):
    """A model with an upstream and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.upstream = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5))
        self.linear = nn.Linear(4, 1)


def config(**keys) -> Config:
    return parse(Config, {"system": "ssl_mos"} | keys, "test")


def test_upstream_and_head_have_their_own_rates():
    optimiser = make_optimiser(Small(), config(optim_conf={"lr": 1e-3, "upstream_lr": 1e-5}))
    assert set_rates(optimiser, 0.5) == {"head": 0.5e-3, "upstream": 0.5e-5}
    assert [len(group["params"]) for group in optimiser.param_groups] == [2, 2]


def test_without_upstream_lr_there_is_one_rate():
    assert set(set_rates(make_optimiser(Small(), config(optim_conf={"lr": 1e-3})), 1.0).values()) == {1e-3}


@pytest.mark.parametrize("name", ["adam", "adamw", "radam", "sgd"])
def test_every_optimiser_steps(name: str):
    model = Small()
    optimiser = make_optimiser(model, config(optim=name))
    before = model.linear.weight.detach().clone()
    for _ in range(2):
        model.linear(model.upstream(torch.ones(2, 3))).sum().backward()
        optimiser.step()
    assert not torch.equal(model.linear.weight, before)


@pytest.mark.parametrize(
    ("scheduler", "expected"),
    [
        ("constant", [0.5, 1.0, 1.0, 1.0, 1.0]),
        ("linear", [0.5, 1.0, 1.0, 0.75, 0.5]),
        ("cosine", [0.5, 1.0, 1.0, 0.8536, 0.5]),
    ],
)
def test_schedules_after_two_steps_of_warm_up(scheduler: str, expected: list[float]):
    conf = config(scheduler=scheduler, scheduler_conf={"warmup_steps": 2})
    assert [rate_factor(conf, step, 6) for step in range(5)] == pytest.approx(expected, abs=1e-4)


def test_an_exponential_schedule_falls_with_every_step():
    """ExponentialLR of SA-SSL-MOS: 0.9999 a step."""
    conf = config(scheduler="exponential")
    assert [rate_factor(conf, step, 10) for step in (0, 1, 5000)] == pytest.approx([1.0, 0.9999, 0.6065], abs=1e-4)


def test_frozen_parts_neither_train_nor_drop_out():
    model = Small()
    module = TrainingModule(model, freeze(model, ["upstream"])).train()
    assert not model.upstream.training
    assert model.linear.training
    assert module.training
    assert [group["name"] for group in make_optimiser(model, config()).param_groups] == ["head"]


def test_a_single_parameter_can_be_frozen():
    model = Small()
    freeze(model, ["linear.bias"])
    assert [name for name, p in model.named_parameters() if not p.requires_grad] == ["linear.bias"]


def test_a_misspelt_part_is_refused():
    with pytest.raises(TrainingError, match="did you mean 'upstream'"):
        freeze(Small(), ["upstrem"])


def test_nothing_to_train_is_refused():
    model = Small()
    freeze(model, ["upstream", "linear"])
    with pytest.raises(TrainingError, match="nothing to train"):
        make_optimiser(model, config())


class TestInitParam:
    """``path:src:dst:exclude``."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        torch.manual_seed(1)
        path = tmp_path / "other.pt"
        torch.save(Small().state_dict(), path)
        return path

    def test_all_of_a_file(self, path: Path):
        model = Small()
        assert initialise(model, [str(path)]) == [f"init_param: 4 of the model's 4 tensors from {path}"]
        assert all(torch.equal(value, torch.load(path)[name]) for name, value in model.state_dict().items())

    def test_a_part_to_another_place_without_some(self, path: Path):
        model = Small()
        bias = model.upstream[0].bias.detach().clone()
        initialise(model, [f"{path}:upstream:upstream:upstream.0.bias"])
        assert torch.equal(model.upstream[0].weight, torch.load(path)["upstream.0.weight"])
        assert torch.equal(model.upstream[0].bias, bias)

    @pytest.mark.parametrize(
        ("suffix", "message"),
        [
            (":upstream:linear", "the model has no linear.0.weight"),
            (":encoder", "holds no parameter under 'encoder'"),
            (":linear:upstream.0", "shapes differ"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, path: Path, suffix: str, message: str):
        with pytest.raises(TrainingError, match=message):
            initialise(Small(), [f"{path}{suffix}"])

    def test_a_missing_or_foreign_file_is_refused(self, tmp_path: Path):
        (tmp_path / "text.pt").write_text("hello")
        with pytest.raises(TrainingError, match="no such file"):
            initialise(Small(), [str(tmp_path / "none.pt")])
        with pytest.raises(TrainingError, match="cannot be read"):
            initialise(Small(), [str(tmp_path / "text.pt")])
