"""Pictures of an SFI convolution: what it has learned, and what the designed filters make of it at each rate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from distilmos_plugin.errors import UpstreamError, require
from distilmos_plugin.files import atomic_write
from distilmos_plugin.upstreams.sfi.convolution import HIGHEST_RATE, SFIConvolution
from distilmos_plugin.upstreams.sfi.design import response_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RATES = (8000, 16000, 22050, 24000, 44100, 48000)  # Hz
POINTS = 481  # frequencies from 0 to half the highest rate: every 50 Hz
FLOOR = -40.0  # dB below a channel's peak, the darkest of the picture
EXAMPLES = 4  # channels whose designed filters are drawn
ANALOG, DESIGNED, MUTED = "#5d6877", "#2f6fde", "#e3e8ee"


def draw(folder: str | Path, output: str | Path, rates: Sequence[int] = RATES) -> list[Path]:
    """Draw the SFI upstream of a folder into ``<output>/responses.png`` and ``<output>/designed.png``; return both paths.

    Raises:
        UpstreamError: if the folder holds no SFI upstream.
        MissingExtra: without matplotlib.
    """
    require("matplotlib.figure", "train")
    from distilmos_plugin.upstreams.upstream import load_upstream

    convolution = load_upstream(str(folder)).sfi
    if convolution is None:
        raise UpstreamError(f"{folder}: not an SFI upstream; 'distilmos upstream sfi' makes one")
    pictures = {"responses.png": responses(convolution), "designed.png": designed(convolution, rates)}
    for name, figure in pictures.items():
        with atomic_write(Path(output) / name, "wb") as file:
            figure.savefig(file, format="png", dpi=150)
    return [Path(output) / name for name in pictures]


def _sampled(convolution: SFIConvolution) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return frequencies ``[M]`` in Hz, responses ``[channels, M]``, and the channels in the order of their peaks."""
    frequencies = torch.linspace(0, HIGHEST_RATE / 2, POINTS)
    with torch.no_grad():
        response = convolution.filter(frequencies)
    return frequencies, response, response.abs().argmax(-1).argsort()


def responses(convolution: SFIConvolution) -> Figure:
    """Draw the magnitude of every channel's analog response over frequency, channels in the order of their peaks."""
    figure = require("matplotlib.figure", "train").Figure(figsize=(7, 4.2), layout="constrained")
    _, response, order = _sampled(convolution)
    magnitude = response.abs()[order]
    decibels = 20 * torch.log10((magnitude / magnitude.amax(-1, keepdim=True).clamp(min=1e-12)).clamp(min=10 ** (FLOOR / 20)))
    axes = figure.subplots()
    extent = (0, HIGHEST_RATE / 2000, len(order), 0)
    picture = axes.imshow(decibels, aspect="auto", extent=extent, cmap="magma", vmin=FLOOR, vmax=0, interpolation="nearest")
    base = convolution.base_rate / 2000
    axes.axvline(base, color="white", linewidth=0.8, linestyle=":")
    axes.annotate(
        f"half of {convolution.base_rate / 1000:g} kHz",
        (base, 0.5),
        (13, 1.5),
        color="white",
        fontsize=8,
        arrowprops={"arrowstyle": "-", "color": "white"},
    )
    axes.set(xlabel="frequency, kHz", ylabel="channel, by frequency of its peak", title="Analog responses of the first layer")
    figure.colorbar(picture, label="dB below the channel's peak")
    return figure


def designed(convolution: SFIConvolution, rates: Sequence[int] = RATES) -> Figure:
    """Draw, for some channels (columns), the analog response and that of the taps designed for each rate (rows)."""
    frequencies, response, order = _sampled(convolution)
    channels = [int(order[place]) for place in torch.linspace(0, len(order) - 1, EXAMPLES + 2).round().long()[1:-1]]
    figure = require("matplotlib.figure", "train").Figure(
        figsize=(2.2 * len(channels) + 0.8, 1.35 * len(rates)), layout="constrained"
    )
    grid = figure.subplots(len(rates), len(channels), sharex=True, sharey="col", squeeze=False)
    for rate, row in zip(rates, grid, strict=True):
        with torch.no_grad():
            taps = convolution.design(rate)
        heard = frequencies <= rate / 2
        found = response_of(taps, frequencies[heard], rate).abs()
        for channel, axes in zip(channels, row, strict=True):
            axes.axvspan(rate / 2000, HIGHEST_RATE / 2000, color=MUTED, linewidth=0)
            axes.plot(frequencies / 1000, response[channel].abs(), color=ANALOG, linewidth=2.4, alpha=0.5, label="analog")
            axes.plot(frequencies[heard] / 1000, found[channel], color=DESIGNED, linewidth=1.1, label="designed")
            axes.set_xlim(0, HIGHEST_RATE / 2000)
            axes.tick_params(labelsize=7)
        row[0].set_ylabel(f"{rate / 1000:g} kHz\n{taps.shape[-1]} taps", fontsize=8)
    for channel, axes in zip(channels, grid[0], strict=True):
        axes.set_title(f"channel {channel}", fontsize=9)
    _finish(figure, grid)
    return figure


def _finish(figure: Figure, grid: Any) -> None:
    grid[0][-1].legend(fontsize=7, frameon=False)
    figure.supxlabel("frequency, kHz (grey: not in the signal at this rate)", fontsize=9)
    figure.supylabel("magnitude", fontsize=9)
