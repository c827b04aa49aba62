"""The folder of an SFI upstream: ``upstream.yaml`` and ``upstream.safetensors``. Read without torch but for the weights."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from distilmos_plugin import __version__
from distilmos_plugin.errors import ConfigError, UpstreamError
from distilmos_plugin.files import atomic_write
from distilmos_plugin.typed_yaml import load_yaml, parse, to_dict

if TYPE_CHECKING:
    from torch import Tensor

DESCRIPTION, WEIGHTS = "upstream.yaml", "upstream.safetensors"


@dataclass(frozen=True)
class Description:
    """What ``upstream.yaml`` says.

    Attributes:
        teacher, teacher_ckpt, teacher_digest: the upstream that this one was made of.
        architecture: enough to rebuild the structure; ``sfi`` describes the convolution.
        report: what was measured when it was made.
        version: of this package that wrote it.
    """

    teacher: str
    teacher_ckpt: str | None
    teacher_digest: str
    architecture: Mapping[str, Any]
    report: Mapping[str, Any] = field(default_factory=dict)
    version: str = __version__


def is_sfi(name: str | os.PathLike) -> bool:
    """Tell whether a name of an upstream is the folder of an SFI upstream."""
    return os.path.isfile(os.path.join(name, DESCRIPTION))


def write(path: str | os.PathLike, description: Description, weights: Mapping[str, Tensor]) -> None:
    """Write or replace a folder's two files; the description comes last, and with it the folder is complete."""
    from safetensors.torch import save

    (Path(path) / DESCRIPTION).unlink(missing_ok=True)
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in weights.items()}
    with atomic_write(Path(path) / WEIGHTS, "wb") as file:
        file.write(save(tensors, metadata={"format": "pt"}))
    with atomic_write(Path(path) / DESCRIPTION) as file:
        yaml.safe_dump(to_dict(description), file, sort_keys=False, allow_unicode=True)


def read(path: str | os.PathLike) -> tuple[Description, dict[str, Tensor]]:
    """Read a folder.

    Raises:
        UpstreamError: naming the file that is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    weights = Path(path) / WEIGHTS
    try:
        description = describe(path)
        return description, load_file(weights)
    except FileNotFoundError:
        raise UpstreamError(f"{weights}: no such file; make the upstream again (distilmos upstream sfi)") from None
    except (SafetensorError, OSError) as error:
        raise UpstreamError(f"{weights}: not readable as safetensors: {error}") from None


def describe(path: str | os.PathLike) -> Description:
    """Read ``upstream.yaml`` alone.

    Raises:
        UpstreamError: if it is missing or damaged.
    """
    file = Path(path) / DESCRIPTION
    try:
        return parse(Description, load_yaml(file), str(file))
    except ConfigError as error:
        raise UpstreamError(str(error)) from None
