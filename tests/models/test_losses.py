"""The objective, against values worked out by hand."""

from __future__ import annotations

import pytest
import torch

from distilmos_plugin.config import LossConfig
from distilmos_plugin.models.losses import Objective, contrastive_loss, frame_loss, score_loss, token_loss
from distilmos_plugin.models.prediction import Labels, Prediction

NAN = torch.nan


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("mse", (0.4**2 + 1.5**2) / 2),
        ("l1", (0.4 + 1.5) / 2),
        ("huber", (0.5 * 0.4**2 + 1.0 * (1.5 - 0.5)) / 2),
        ("clipped_mse", 1.5**2 / 2),  # an error of 0.4 is within tau
    ],
)
def test_score_losses_by_hand(kind: str, expected: float):
    conf = LossConfig(type=kind, tau=0.5, huber_delta=1.0)
    assert score_loss(torch.tensor([3.4, 2.5]), torch.tensor([3.0, 4.0]), conf).item() == pytest.approx(expected)


def test_a_missing_label_costs_nothing_and_gives_no_gradient():
    scores = torch.tensor([3.0, 2.0], requires_grad=True)
    loss = score_loss(scores, torch.tensor([4.0, NAN]), LossConfig())
    loss.backward()
    assert loss.item() == 1.0
    assert scores.grad.tolist() == [-2.0, 0.0]


def test_a_batch_without_any_label_costs_nothing():
    scores = torch.tensor([3.0], requires_grad=True)
    score_loss(scores, torch.tensor([NAN]), LossConfig()).backward()
    assert scores.grad.tolist() == [0.0]


def test_frame_loss_is_the_same_with_and_without_padding():
    conf = LossConfig()
    padded = frame_loss(torch.tensor([[1.0, 2.0, 0.0], [3.0, 3.0, 3.0]]), torch.tensor([2, 3]), torch.tensor([1.0, 4.0]), conf)
    alone = [
        frame_loss(torch.tensor([[1.0, 2.0]]), torch.tensor([2]), torch.tensor([1.0]), conf),
        frame_loss(torch.tensor([[3.0, 3.0, 3.0]]), torch.tensor([3]), torch.tensor([4.0]), conf),
    ]
    assert padded.item() == pytest.approx(sum(alone).item() / 2) == pytest.approx((0.5 + 1.0) / 2)


def test_contrastive_loss_by_hand():
    # Differences: true 2, predicted 1.5, off by 0.5; margin 0.2; two ordered pairs of four cost 0.3 each; half of the mean.
    loss = contrastive_loss(torch.tensor([3.5, 2.0]), torch.tensor([4.0, 2.0]), margin=0.2)
    assert loss.item() == pytest.approx(0.5 * 2 * 0.3 / 4)


def test_contrastive_loss_leaves_out_unlabelled_clips():
    loss = contrastive_loss(torch.tensor([3.5, 2.0, 9.0]), torch.tensor([4.0, 2.0, NAN]), margin=0.2)
    assert loss.item() == pytest.approx(0.5 * 2 * 0.3 / 4)


def test_token_loss_is_the_mean_over_valid_frames_and_layers():
    logits = torch.randn(2, 3, 2, 5, generator=torch.Generator().manual_seed(0))
    tokens = torch.tensor([[[0, 1], [2, 3], [-1, -1]], [[4, 0], [-1, -1], [-1, -1]]])
    valid = tokens >= 0
    expected = torch.nn.functional.cross_entropy(logits[valid], tokens[valid])
    torch.testing.assert_close(token_loss(logits, tokens), expected)


def test_every_weight_of_the_objective_counts():
    prediction = Prediction(
        utterance={"mos": torch.tensor([3.0, 2.0])},
        frame_lengths=torch.tensor([2, 1]),
        frames={"mos": torch.tensor([[3.5, 2.5], [2.0, 0.0]])},
        auxiliary={"token_logits": torch.zeros(2, 2, 1, 4), "listener_scores": torch.tensor([[3.0], [2.0]])},
    )
    labels = Labels(
        {"mos": torch.tensor([4.0, 2.5])},
        tokens=torch.tensor([[[0], [1]], [[2], [-1]]]),
        listeners=torch.tensor([[1], [2]]),
        ratings=torch.tensor([[5.0], [2.0]]),
    )
    weights = ("frame_weight", "contrastive_weight", "token_weight", "listener_weight")
    base = {"contrastive_margin": 0.1} | dict.fromkeys(weights, 0.5)
    losses = [Objective(LossConfig(**base), ("mos",))(prediction, labels)[0].item()]
    for name in weights:
        losses.append(Objective(LossConfig(**base | {name: 1.0}), ("mos",))(prediction, labels)[0].item())
    assert all(loss > losses[0] for loss in losses[1:])


def test_the_triple_has_unweighted_parts_and_the_number_of_clips():
    prediction = Prediction({"mos": torch.tensor([3.0]), "sig": torch.tensor([2.0])}, torch.tensor([1]))
    labels = Labels({"mos": torch.tensor([4.0]), "sig": torch.tensor([4.0])})
    loss, stats, weight = Objective(LossConfig(), ("mos", "sig"))(prediction, labels)
    assert loss.item() == 5.0
    assert {name: value.item() for name, value in stats.items()} == {"loss": 5.0, "loss_mos": 1.0, "loss_sig": 4.0}
    assert weight.item() == 1


def two_targets(pesq: float, stoi: float) -> tuple[Prediction, Labels]:
    """Return a clip's scores, frame scores and labels of two targets; both labels are 1."""
    frames = {"pesq": torch.tensor([[pesq]]), "stoi": torch.tensor([[stoi]])}
    prediction = Prediction({"pesq": torch.tensor([pesq]), "stoi": torch.tensor([stoi])}, torch.tensor([1]), frames)
    return prediction, Labels({"pesq": torch.tensor([1.0]), "stoi": torch.tensor([1.0])})


def test_units_bring_targets_of_different_range_together():
    conf = LossConfig(units={"stoi": 0.1}, frame_weight=1.0)
    _, stats, _ = Objective(conf, ("pesq", "stoi"))(*two_targets(2.0, 0.9))
    for name in ("loss_pesq", "loss_stoi", "loss_pesq_frame", "loss_stoi_frame"):
        assert stats[name].item() == pytest.approx(1.0)  # an error of 1 PESQ point costs as much as one of 0.1 STOI


def test_huber_delta_counts_in_units():
    conf = LossConfig(type="huber", huber_delta=1.0, units={"stoi": 0.1})
    _, stats, _ = Objective(conf, ("pesq", "stoi"))(*two_targets(1.5, 0.7))
    assert stats["loss_pesq"].item() == pytest.approx(0.5 * 0.5**2)
    assert stats["loss_stoi"].item() == pytest.approx(3.0 - 0.5)  # three units off, two of them on the straight part


def test_the_objective_is_the_sum_of_a_supervised_and_a_pseudo_part():
    conf = LossConfig(weights={"pesq": 2.0}, pseudo_targets=("stoi",), pseudo_weight=0.5, frame_weight=1.0)
    loss, stats, _ = Objective(conf, ("pesq", "stoi"))(*two_targets(2.0, 3.0))
    assert stats["loss_supervised"].item() == pytest.approx(2 * (1.0 + 1.0))
    assert stats["loss_pseudo"].item() == pytest.approx(0.5 * (4.0 + 4.0))
    assert loss.item() == pytest.approx(stats["loss_supervised"].item() + stats["loss_pseudo"].item())


def test_a_clip_without_a_true_label_learns_from_its_pseudo_label():
    prediction, labels = two_targets(2.0, 3.0)
    prediction.utterance = {name: score.requires_grad_() for name, score in prediction.utterance.items()}
    labels.targets["pesq"][0] = NAN
    loss, _, _ = Objective(LossConfig(pseudo_targets=("stoi",)), ("pesq", "stoi"))(prediction, labels)
    loss.backward()
    assert loss.item() == 4.0
    assert prediction.utterance["pesq"].grad.item() == 0.0
    assert prediction.utterance["stoi"].grad.item() == 4.0


def test_with_beta_1_the_score_learns_as_from_squared_errors():
    label, scale = torch.tensor([3.0, 4.0]), torch.tensor([0.1, 1.0], requires_grad=True)
    gradients = {}
    for name, conf in {
        "square": LossConfig(),
        "likelihood": LossConfig(type="gaussian_nll"),
        "beta": LossConfig(type="gaussian_nll", nll_beta=1.0),
    }.items():
        scores = torch.tensor([3.5, 3.5], requires_grad=True)
        score_loss(scores, label, conf, scale).backward()
        gradients[name] = scores.grad.tolist()
    assert gradients["likelihood"] == pytest.approx([0.5 * 0.5 / 0.01, -0.5 * 0.5])  # error over variance
    assert gradients["beta"] == pytest.approx([value / 2 for value in gradients["square"]])  # of half the square
    assert scale.grad is not None
