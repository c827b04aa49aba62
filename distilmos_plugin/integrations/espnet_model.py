"""A system as ESPnet trains it. Imports ESPnet."""

from __future__ import annotations

from typing import Any

import torch
from espnet2.torch_utils.device_funcs import force_gatherable
from espnet2.train.abs_espnet_model import AbsESPnetModel
from torch import Tensor, nn

from distilmos_plugin.config import Config
from distilmos_plugin.data.dataset import Batch
from distilmos_plugin.errors import TrainingError, some
from distilmos_plugin.models import MOSModel
from distilmos_plugin.training.module import TrainingModule, seed_batch, to_device


class SealedBatch:
    """A batch on its way through ESPnet, which takes apart the dictionaries, lists and dataclasses that it is given.

    Attributes:
        batch: of training.
        epoch, number: which one it is, from 0.
    """

    def __init__(self, batch: Batch, epoch: int, number: int) -> None:
        self.batch, self.epoch, self.number = batch, epoch, number


class ESPnetMOS(TrainingModule, AbsESPnetModel):
    """The training module with ESPnet's interface: the same forward pass and loss as with Fabric, from the same random seeds.

    Its ``state_dict`` holds what training can change; frozen weights are where they came from.

    Args:
        model: the system.
        frozen: parts of it that stay in evaluation mode while the rest trains.
        config: of the experiment.
    """

    def __init__(self, model: MOSModel, frozen: list[nn.Module], config: Config) -> None:
        super().__init__(model, frozen, config.use_amp)
        self.config = config
        self.register_state_dict_post_hook(_leave_out_frozen)
        self.register_load_state_dict_post_hook(_expect_no_frozen)

    def forward(self, sealed: SealedBatch, **_: Any) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """Return ``(loss, stats, weight)``, every tensor ``[1]``.

        Raises:
            TrainingError: if the loss is not finite, with the keys of the batch.
        """
        device = next(self.parameters()).device
        distributed = torch.distributed.is_initialized()
        seed_batch(self.config.seed, sealed.epoch, sealed.number, torch.distributed.get_rank() if distributed else 0)
        loss, stats, weight = super().forward(to_device(sealed.batch, device))
        loss = loss.clone()  # ESPnet divides it by accum_grad in place, and it is among the figures too
        if not loss.isfinite():
            parts = ", ".join(f"{name} {float(value):g}" for name, value in stats.items())
            where = f"epoch {sealed.epoch + 1}, batch {sealed.number + 1}"
            raise TrainingError(f"{where}: the loss is not finite ({parts}) on the clips {some(sealed.batch.keys, 64)}")
        if distributed:
            # ESPnet weights the processes by their clips. This undoes it for the step, which follows the mean over
            # processes as with Fabric, and leaves the figures alone, which are means over clips with either.
            total = weight.clone()
            torch.distributed.all_reduce(total)
            loss = loss * (total / torch.distributed.get_world_size() / weight)
        return force_gatherable((loss, stats, weight), device)

    def collect_feats(self, **batch: Any) -> dict[str, Tensor]:
        """Refuse: nothing is normalised by statistics of the corpus, and lengths are in the data directory."""
        raise TrainingError("collect_stats: there is nothing to collect")


def _leave_out_frozen(module: nn.Module, state: dict[str, Tensor], prefix: str, _: Any) -> None:
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            state.pop(prefix + name, None)


def _expect_no_frozen(module: nn.Module, incompatible: Any) -> None:
    frozen = {name for name, parameter in module.named_parameters() if not parameter.requires_grad}
    incompatible.missing_keys[:] = [key for key in incompatible.missing_keys if key not in frozen]


def load_strictly(model: ESPnetMOS, state: dict[str, Tensor], source: str) -> None:
    """Load what training can change.

    Raises:
        TrainingError: for any other name or shape.
    """
    try:
        model.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise TrainingError(f"{source}: of another model: {' '.join(str(error).split())}") from None
