"""Weights into a model: every name and every shape must fit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from distilmos_plugin.errors import ModelError, some


def copy_weights(target: Mapping[str, Tensor], names: Iterable[str], read: Callable[[str], Tensor]) -> None:
    """Copy tensors by name, strictly.

    Args:
        target: name -> tensor that is written to; all of them.
        names: of the tensors there are.
        read: name -> tensor.

    Raises:
        ModelError: naming what is missing, unexpected, or of another shape or kind.
    """
    names = set(names)
    missing, unexpected = sorted(target.keys() - names), sorted(names - target.keys())
    if missing or unexpected:
        sides = ((missing, "missing"), (unexpected, "unexpected"))
        raise ModelError(
            "not the weights of this model; " + "; ".join(f"{len(keys)} {kind}: {some(keys)}" for keys, kind in sides if keys)
        )
    for name, tensor in target.items():
        value = read(name)
        if value.shape != tensor.shape or value.is_floating_point() != tensor.is_floating_point():
            found, wanted = (f"{item.dtype} {list(item.shape)}" for item in (value, tensor))
            raise ModelError(f"{name} is {found}, expected {wanted}")
        with torch.no_grad():
            tensor.copy_(value)
