"""MTQ-Net: MOSA-Net trained by multi-task pseudo-label learning.

Zezario, Bai, Fuh, Wang, Tsao, "Multi-Task Pseudo-Label Learning for Non-Intrusive Speech Quality Assessment Model", ICASSP
2024, arXiv 2308.09262. Stage one: a trained MOSA-Net scores PESQ, STOI and SDI of the training clips
(``distilmos pseudo-label``). Stage two: one network learns the true labels of speech, noise and overall quality together with
those scores, both parts with Huber loss. The paper's true labels are 3QUEST's S-, N- and G-MOS; the targets here have the
names of ITU-T P.835: ``sig``, ``bak`` and ``ovrl``.

There is no public code. From the abstract: the two stages, the targets, the sum of a supervised and a semi-supervised part,
the Huber loss, the comparisons. Reconstructed, so not verified: the network is MOSA-Net's with a head for each target, frames
cost as utterances do, all targets weigh alike.
"""

from __future__ import annotations

from dataclasses import dataclass

from distilmos_plugin.config import Config
from distilmos_plugin.errors import ConfigError
from distilmos_plugin.models.mosa_net import MOSANet, MOSANetConfig


@dataclass(frozen=True)
class MTQNetConfig(MOSANetConfig):
    """``model_conf`` of ``mtq_net``: that of ``mosa_net``."""

    def check(self, config: Config) -> None:
        super().check(config)
        if set(config.targets) <= set(config.loss_conf.pseudo_targets):
            raise ConfigError(
                "loss_conf: pseudo_targets: every target has pseudo labels, none has true ones; that is system: mosa_net"
            )


class MTQNet(MOSANet):
    """MTQ-Net; see the module's text. ``loss_conf: pseudo_targets`` names the targets that the teacher has labelled."""

    conf_class = MTQNetConfig
