"""The objective: what a prediction costs, given labels.

Everything is a mean over what is there: labelled clips, valid frames, valid tokens. A missing label (NaN) or token (-1)
costs nothing and gives no gradient. Errors are in what the functions are given: the target's own unit (MOS points), or what
``loss_conf: units`` makes of it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from distilmos_plugin.config import LossConfig
from distilmos_plugin.models.layers import frame_mask, masked_mean
from distilmos_plugin.models.prediction import Labels, Prediction


def score_cost(prediction: Tensor, label: Tensor, conf: LossConfig, scale: Tensor | None = None) -> Tensor:
    """Cost of each score, elementwise; ``label`` without NaN, ``scale`` the predicted standard deviation.

    ``clipped_mse`` is UTMOS's (arXiv 2204.02152, section 2.2): the square of an error above ``tau``, else 0. ``gaussian_nll``
    is :func:`gaussian_cost`.

    >>> conf = LossConfig(type="clipped_mse", tau=0.5)
    >>> score_cost(torch.tensor([3.4, 4.0]), torch.tensor([3.0, 3.0]), conf)
    tensor([0., 1.])
    """
    error = prediction - label
    if conf.type == "gaussian_nll":
        return gaussian_cost(prediction, label, scale, conf.nll_beta)
    if conf.type == "l1":
        return error.abs()
    if conf.type == "huber":
        return functional.huber_loss(prediction, label, reduction="none", delta=conf.huber_delta)
    square = error.square()
    return torch.where(error.abs() > conf.tau, square, 0.0) if conf.type == "clipped_mse" else square


def gaussian_cost(prediction: Tensor, label: Tensor, scale: Tensor, beta: float = 0.0) -> Tensor:
    """Negative log-likelihood of each label under a normal distribution, in nats, without the constant ``log(2 pi) / 2``.

    Elementwise; ``scale`` is the predicted standard deviation, in the label's unit. The gradient of the score is the error
    over the variance, so that clips with a large predicted variance hardly count. With ``beta`` the cost of each clip is
    multiplied by ``variance^beta``, taken as a constant: at 1 the score learns as from squared errors (Seitzer et al., "On the
    Pitfalls of Heteroscedastic Uncertainty Estimation with Probabilistic Neural Networks", ICLR 2022).

    >>> gaussian_cost(torch.tensor([3.0, 3.0]), torch.tensor([3.0, 4.0]), torch.tensor([1.0, 0.5]))
    tensor([0.0000, 1.3069])
    """
    cost = scale.log() + 0.5 * ((prediction - label) / scale).square()
    return cost * scale.detach() ** (2 * beta) if beta else cost


def mean_where(cost: Tensor, there: Tensor) -> Tensor:
    """Mean of ``cost`` where ``there`` is True; 0 if it is nowhere."""
    return torch.where(there, cost, 0.0).sum() / there.sum().clamp(min=1)


def score_loss(prediction: Tensor, label: Tensor, conf: LossConfig, scale: Tensor | None = None) -> Tensor:
    """Mean cost of scores against labels of the same shape, over those that are labelled (not NaN)."""
    there = ~label.isnan()
    return mean_where(score_cost(prediction, torch.where(there, label, prediction.detach()), conf, scale), there)


def frame_loss(frames: Tensor, lengths: Tensor, label: Tensor, conf: LossConfig) -> Tensor:
    """Cost of frame scores ``[B, T]`` against the clip's label ``[B]``: mean over a clip's frames, then over clips."""
    there = ~label.isnan()
    truth = torch.where(there, label, 0.0)[:, None].expand_as(frames)
    cost = masked_mean(score_cost(frames, truth, conf), frame_mask(lengths, frames.shape[1]))
    return mean_where(cost, there)


def contrastive_loss(prediction: Tensor, label: Tensor, margin: float) -> Tensor:
    """Pairwise loss on score differences (UTMOS): ``mean_ij max(0, |(y_i - y_j) - (p_i - p_j)| - margin) / 2``.

    Over all ordered pairs of labelled clips in the batch, ``[B]`` each.
    """
    there = ~label.isnan()
    error = torch.where(there, label, 0.0) - prediction
    cost = (error[:, None] - error[None, :]).abs() - margin
    return 0.5 * mean_where(cost.clamp(min=0.0), there[:, None] & there[None, :])


def token_loss(logits: Tensor, tokens: Tensor) -> Tensor:
    """Cross-entropy of ``[B, T, layers, clusters]`` against ids ``[B, T, layers]``, mean over valid frames and layers.

    The id -1 is padding.
    """
    there = tokens >= 0
    cost = functional.cross_entropy(logits.float().flatten(0, 2), tokens.clamp(min=0).flatten(), reduction="none")
    return mean_where(cost, there.flatten())


def token_accuracy(logits: Tensor, tokens: Tensor) -> Tensor:
    """Share of valid tokens that are guessed right."""
    return mean_where((logits.argmax(dim=-1) == tokens).float(), tokens >= 0)


class Objective:
    """Sum of the weighted losses of ``loss_conf``.

    A call maps a prediction and its labels to the triple ``(loss, stats, weight)`` of ESPnet's models: the loss to
    differentiate, the loss and its unweighted parts as detached tensors by name, and the number of clips. With pseudo labels
    the sums over the targets with true labels and over those with pseudo labels are among the parts.
    """

    def __init__(self, conf: LossConfig, targets: tuple[str, ...]) -> None:
        self.conf, self.targets = conf, targets

    def __call__(self, prediction: Prediction, labels: Labels) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        conf = self.conf
        parts: dict[str, tuple[float, Tensor]] = {}
        stats: dict[str, Tensor] = {}
        for target in self.targets:
            unit, weight = conf.unit(target), conf.weight(target)
            score, label = prediction.utterance[target] / unit, labels.targets[target] / unit
            deviation = prediction.scale[target] / unit if target in prediction.scale else None
            parts[f"loss_{target}"] = (weight, score_loss(score, label, conf, deviation))
            if conf.frame_weight > 0:
                cost = frame_loss(prediction.frames[target] / unit, prediction.frame_lengths, label, conf)
                parts[f"loss_{target}_frame"] = (weight * conf.frame_weight, cost)
            if conf.contrastive_weight > 0:
                cost = contrastive_loss(score, label, conf.contrastive_margin)
                parts[f"loss_{target}_contrastive"] = (weight * conf.contrastive_weight, cost)
        if conf.pseudo_targets:
            stats |= self._sums(parts)
        if "listener_scores" in prediction.auxiliary:
            unit = conf.unit(self.targets[0])
            ratings = labels.ratings.masked_fill(labels.listeners < 0, torch.nan) / unit
            cost = score_loss(prediction.auxiliary["listener_scores"] / unit, ratings, conf)
            parts["loss_listener"] = (conf.listener_weight, cost)
        if "domain_scores" in prediction.auxiliary:
            parts["loss_domain"] = (conf.domain_weight, self._domain_loss(prediction.auxiliary["domain_scores"], labels))
        if "token_logits" in prediction.auxiliary:
            logits = prediction.auxiliary["token_logits"]
            parts["loss_token"] = (conf.token_weight, token_loss(logits, labels.tokens))
            stats["token_accuracy"] = token_accuracy(logits.detach(), labels.tokens)
        loss = sum(weight * cost for weight, cost in parts.values())
        stats = {"loss": loss.detach()} | {name: cost.detach() for name, (_, cost) in parts.items()} | stats
        return loss, stats, loss.new_tensor(len(prediction.frame_lengths))

    def _domain_loss(self, scores: Tensor, labels: Labels) -> Tensor:
        """Return the weighted cost of the scores ``[B, targets]`` that each clip has as one of its own corpus."""
        costs = []
        for i, target in enumerate(self.targets):
            unit = self.conf.unit(target)
            costs.append(self.conf.weight(target) * score_loss(scores[:, i] / unit, labels.targets[target] / unit, self.conf))
        return torch.stack(costs).sum()

    def _sums(self, parts: dict[str, tuple[float, Tensor]]) -> dict[str, Tensor]:
        """Return the weighted sums over targets with true and with pseudo labels (MTQ-Net's two parts)."""
        sums = {}
        for name, pseudo in (("loss_supervised", False), ("loss_pseudo", True)):
            heads = tuple(f"loss_{target}" for target in self.targets if (target in self.conf.pseudo_targets) == pseudo)
            if heads:
                costs = [weight * cost.detach() for part, (weight, cost) in parts.items() if _of(part, heads)]
                sums[name] = torch.stack(costs).sum()
        return sums


def _of(part: str, heads: tuple[str, ...]) -> bool:
    """Tell whether a part of the objective is of one of the targets' ``loss_<target>``."""
    return part in heads or part.rpartition("_")[0] in heads
