"""What training tells: a table at the start, a line an epoch, curves for TensorBoard."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from torch import nn

from distilmos_plugin.data.directory import DataDirectory
from distilmos_plugin.errors import require
from distilmos_plugin.models import MOSModel
from distilmos_plugin.training.ranking import Criterion


def summary(model: MOSModel, sets: dict[str, DataDirectory]) -> str:
    """Return the table that training starts with: parameters by part, trained and frozen; the data, of known lengths."""
    rows = [("parameters", "trained", "frozen")]
    parts: dict[str, tuple[int, int]] = {}
    for name, part in model.named_children():
        parts[f"upstream {model.upstream.name}" if name == "upstream" else name] = _count(part)
    parts["all"] = _count(model)
    rows += [(name, f"{trained:,}", f"{frozen:,}") for name, (trained, frozen) in parts.items() if trained or frozen]
    rows.append(("data", "clips", "hours", "systems", "listeners"))
    for name, directory in sets.items():
        hours = sum(directory.seconds().values()) / 3600
        systems = len(set(directory.systems.values())) if directory.systems else "none"
        rows.append((name, f"{len(directory.keys):,}", f"{hours:.2f}", f"{systems}", f"{len(directory.listeners) or 'none'}"))
    first = max(len(row[0]) for row in rows)
    return "\n".join("  " + row[0].ljust(first) + "".join(cell.rjust(12) for cell in row[1:]) for row in rows)


def _count(module: nn.Module) -> tuple[int, int]:
    """Return the numbers of trained and of frozen parameters."""
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in module.parameters()]
    return sum(size for size, trained in sizes if trained), sum(size for size, trained in sizes if not trained)


def epoch_line(history: list[dict[str, Any]], best: list[int], max_epoch: int, criterion: Criterion) -> str:
    """Return the line that the last epoch of the history gets."""
    entry = history[-1]
    figures = {f"train {name}": value for name, value in entry["train"].items() if name == "loss" or "token" in name}
    shown = ["loss", "utterance_lcc", "utterance_srcc", "system_srcc"]
    shown += [metric for phase, metric, _ in criterion if phase == "valid" and metric not in shown]
    figures |= {f"dev {name.replace('_', ' ')}": entry["valid"][name] for name in shown if name in entry["valid"]}
    cells = [f"{name} {'none' if value is None else f'{value:.3f}'}" for name, value in figures.items()]
    rank = f"; number {best.index(entry['epoch']) + 1} so far" if entry["epoch"] in best else ""
    return f"epoch {entry['epoch']}/{max_epoch}: {', '.join(cells)}; {entry['seconds']:.0f} s{rank}"


class Curves:
    """Writes the figures of each epoch for TensorBoard."""

    def __init__(self, directory: Path, epochs_done: int) -> None:
        require("tensorboard", "train")
        tensorboard = require("torch.utils.tensorboard", "train")
        # purge_step: what an earlier run wrote beyond the checkpoint is not shown.
        self.writer = tensorboard.SummaryWriter(str(directory), purge_step=epochs_done + 1)

    def write(self, entry: dict[str, Any]) -> None:
        """Add one epoch of the history."""
        figures = {"lr/" + name: value for name, value in entry["lr"].items()}
        figures |= {f"{phase}/{name}": value for phase in ("train", "valid") for name, value in entry[phase].items()}
        for name, value in figures.items():
            if value is not None:
                self.writer.add_scalar(name, value, entry["epoch"], walltime=time.time())
        self.writer.flush()

    def close(self) -> None:
        """Release the event file."""
        self.writer.close()
