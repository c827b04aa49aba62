"""What is trained, from which values, how fast: ``init_param``, ``freeze_param``, optimiser groups, learning-rate schedule."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from distilmos_plugin.config import Config
from distilmos_plugin.errors import TrainingError, some, suggest
from distilmos_plugin.files import file_digest, fingerprint

OPTIMISERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "radam": torch.optim.RAdam, "sgd": torch.optim.SGD}


def initialise(model: nn.Module, init_param: Iterable[str]) -> list[str]:
    """Copy parameters from files into the model.

    Args:
        model: changed in place.
        init_param: ``path:src:dst:exclude`` entries, as in ESPnet: take the names under ``src`` in the file, put them under
            ``dst`` of the model, without those that start in the file with one of the comma-separated prefixes ``exclude``.
            Trailing parts may be missing. The path is a released model's directory, a ``.safetensors`` file or a
            ``torch.save`` file of plain tensors.

    Returns:
        What was done, a line an entry.

    Raises:
        TrainingError: for a missing file, names that the model does not have, or other shapes.
    """
    done = []
    for entry in init_param:
        path, source, target, exclude = [*entry.split(":", 3), "", "", ""][:4]
        left_out = tuple(prefix for prefix in exclude.split(",") if prefix)
        state = {name: value for name, value in _read_state(Path(path), entry).items() if not name.startswith(left_out)}
        state = {f"{target}.{name}" if target else name: value for name, value in _under(state, source).items()}
        if not state:
            raise TrainingError(f"init_param: '{entry}': {path} holds no parameter under '{source}'")
        own = model.state_dict()
        unknown = [name for name in state if name not in own]
        if unknown:
            raise TrainingError(
                f"init_param: '{entry}': the model has no {some(unknown)}; name them as excluded, or set another dst"
            )
        other = [f"{n} {list(v.shape)} for {list(own[n].shape)}" for n, v in state.items() if v.shape != own[n].shape]
        if other:
            raise TrainingError(f"init_param: '{entry}': shapes differ: {some(other)}; exclude them or use the same sizes")
        model.load_state_dict(own | state)
        done.append(f"init_param: {len(state)} of the model's {len(own)} tensors from {path}")
    return done


def init_digest(init_param: Iterable[str]) -> str:
    """Return digits that change with the content of the files that ``init_param`` names; a missing one is left out."""
    paths = [_weights(Path(entry.split(":", 1)[0])) for entry in init_param]
    return fingerprint([file_digest(path) for path in paths if path.is_file()])


def _weights(path: Path) -> Path:
    return path / "model.safetensors" if path.is_dir() else path


def _read_state(path: Path, entry: str) -> dict[str, Tensor]:
    path = _weights(path)
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise TrainingError(f"init_param: '{entry}': {path}: no such file") from None
    except Exception as error:  # torch and safetensors raise a dozen kinds for a file that is not theirs
        raise TrainingError(f"init_param: '{entry}': {path} cannot be read: {' '.join(str(error).split())[:200]}") from error
    for wrapper in ("model", "state_dict"):
        if isinstance(state.get(wrapper), Mapping):
            state = state[wrapper]
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}


def _under(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    if not prefix:
        return dict(state)
    return {name.removeprefix(f"{prefix}."): value for name, value in state.items() if name.startswith(f"{prefix}.")}


def freeze(model: nn.Module, prefixes: Iterable[str]) -> list[nn.Module]:
    """Stop training the parameters under the given prefixes of names, as ESPnet's ``freeze_param``.

    Returns:
        The frozen modules: keep them in eval mode, so that neither dropout nor running statistics move.

    Raises:
        TrainingError: for a prefix that no parameter has.
    """
    frozen = []
    for prefix in prefixes:
        found = [value for name, value in model.named_parameters() if name == prefix or name.startswith(f"{prefix}.")]
        if not found:
            known = [name for name, _ in model.named_modules() if name] + [name for name, _ in model.named_parameters()]
            raise TrainingError(f"freeze_param: the model has no parameter under '{prefix}'{suggest(prefix, known)}")
        for parameter in found:
            parameter.requires_grad_(False)
        frozen += [module for name, module in model.named_modules() if name == prefix]
    return frozen


def make_optimiser(model: nn.Module, config: Config) -> torch.optim.Optimizer:
    """Build the optimiser over all trained parameters: one group for the head at ``lr``, one for the upstream at
    ``upstream_lr``.

    Raises:
        TrainingError: if nothing is trained.
    """
    conf = config.optim_conf
    groups: dict[str, list[nn.Parameter]] = {"head": [], "upstream": []}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups["upstream" if name.startswith("upstream.") else "head"].append(parameter)
    rates = {"head": conf.lr, "upstream": conf.lr if conf.upstream_lr is None else conf.upstream_lr}
    options = {"momentum": conf.momentum} if config.optim == "sgd" else {"betas": conf.betas}
    parameters = [
        {"params": group, "lr": rates[name], "initial_lr": rates[name], "name": name}
        for name, group in groups.items()
        if group
    ]
    if not parameters:
        raise TrainingError("nothing to train: freeze_param and upstream_conf freeze every parameter")
    return OPTIMISERS[config.optim](parameters, lr=conf.lr, weight_decay=conf.weight_decay, **options)


def rate_factor(config: Config, step: int, total_steps: int) -> float:
    """Return what the learning rates are multiplied with at optimiser step ``step``, counted from 0.

    Linear warm-up over ``warmup_steps``, then constant, linear to 0, half a cosine to 0 at ``total_steps``, or times ``gamma``
    with every step.

    >>> conf = Config(system="ssl_mos", scheduler="linear")
    >>> [rate_factor(conf, step, 4) for step in range(4)]
    [1.0, 0.75, 0.5, 0.25]
    """
    warmup = config.scheduler_conf.warmup_steps
    if step < warmup:
        return (step + 1) / warmup
    if config.scheduler == "constant":
        return 1.0
    if config.scheduler == "exponential":
        return config.scheduler_conf.gamma ** (step - warmup)
    done = min(1.0, (step - warmup) / max(1, total_steps - warmup))
    return 1.0 - done if config.scheduler == "linear" else 0.5 * (1.0 + math.cos(math.pi * done))


def set_rates(optimiser: torch.optim.Optimizer, factor: float) -> dict[str, float]:
    """Set the learning rate of every group and return it by the group's name."""
    for group in optimiser.param_groups:
        group["lr"] = factor * group["initial_lr"]
    return {group["name"]: group["lr"] for group in optimiser.param_groups}
