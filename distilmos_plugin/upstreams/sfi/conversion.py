"""An SFI upstream of an upstream: its first convolution becomes the analog filter that comes nearest to it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from distilmos_plugin.config import SFIConfig, UpstreamConfig
from distilmos_plugin.errors import ConfigError, UpstreamError
from distilmos_plugin.progress import track
from distilmos_plugin.typed_yaml import to_dict
from distilmos_plugin.upstreams.sfi.convolution import HIGHEST_RATE, SFIConvolution
from distilmos_plugin.upstreams.sfi.design import design_frequencies, response_of
from distilmos_plugin.upstreams.sfi.filters import TWO_PI, ModulatedGaussian, NeuralAnalogFilter
from distilmos_plugin.upstreams.sfi.folder import Description
from distilmos_plugin.upstreams.sfi.front_end import KEY, first_convolution, install
from distilmos_plugin.upstreams.upstream import load_upstream

FIT_POINTS = 961  # frequencies from 0 to half the highest rate: every 25 Hz
LEARNING_RATES = {"neural": 1e-3, "gaussian": 2e-2}
LAST_LAYER_RIDGE = 1e-8  # of the closed-form solution for the neural filter's last layer, relative to its inputs' power


def convert(name: str, ckpt: str | None, conf: SFIConfig) -> tuple[Description, dict[str, Tensor]]:
    """Convert an upstream.

    Up to half the upstream's own rate the analog filter follows the response of its first convolution; above, where this
    convolution hears nothing, it goes on as the convolution's own periodic response and fades to 0 at ``conf.edge``. All
    other weights stay as they are.

    Args:
        name, ckpt: of the upstream.
        conf: filter and design.

    Returns:
        the description, with the error of the filters at each rate in ``report``, and the weights by name.

    Raises:
        ConfigError: if the numbers are no good.
        UpstreamError: if the upstream has no front end of convolutions, or is an SFI upstream already.
    """
    teacher = load_upstream(name, UpstreamConfig(ckpt=ckpt, trainable=False))
    _check(conf, teacher.sample_rate)
    if teacher.sfi is not None:
        raise UpstreamError(f"upstream '{name}' is an SFI upstream already")
    if not teacher.exact:
        raise UpstreamError(
            f"upstream '{name}' has no first convolution that can be replaced; the WavLM, HuBERT and wav2vec 2.0 families have"
        )
    model = teacher.expert.model
    taps = first_convolution(model)[2].weight.detach()[:, 0].flip(-1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(conf.seed)
        convolution = install(model, to_dict(conf), teacher.sample_rate)
        fit(convolution, taps, teacher.sample_rate)
    architecture = {key: value for key, value in teacher.architecture.items() if key != "digest"} | {KEY: to_dict(conf)}
    report = {"taps_error": fit_errors(convolution, taps, teacher.sample_rate)}
    description = Description(name, ckpt, teacher.digest, architecture, report)
    return description, teacher.expert.state_dict()


def _check(conf: SFIConfig, rate: int) -> None:
    wanted = {
        "taps": (conf.taps >= 1, "at least 1"),
        "features": (conf.features >= 1, "at least 1"),
        "hidden": (all(size >= 1 for size in conf.hidden), "widths of at least 1"),
        "max_frequency": (conf.max_frequency > rate / 2, f"more than {rate / 2:g} Hz"),
        "points": (conf.points >= 2, "at least 2"),
        "ridge": (conf.ridge >= 0, "0 or more"),
        "guard": (0 <= conf.guard <= 1, "0 to 1"),
        "edge": (conf.edge > rate / 2, f"more than {rate / 2:g} Hz"),
        "fit_steps": (conf.fit_steps >= 0, "0 or more"),
    }
    for name, (good, expected) in wanted.items():
        if not good:
            raise ConfigError(f"sfi_conf: {name}: expected {expected}, found {getattr(conf, name)}")


def target(taps: Tensor, rate: int, edge: float, frequencies: Tensor) -> Tensor:
    """Return the analog response for taps ``[channels, K]`` at ``rate`` Hz: complex ``[channels, M]``, see :func:`convert`."""
    nyquist = rate / 2
    fade = ((frequencies - nyquist) / (edge - nyquist)).clamp(0, 1)
    return response_of(taps, frequencies, rate) * (0.5 + 0.5 * torch.cos(math.pi * fade))


def fit(convolution: SFIConvolution, taps: Tensor, rate: int) -> None:
    """Fit a convolution's filter to taps ``[channels, K]`` at ``rate`` Hz, in the order of time."""
    conf, analog = convolution.conf, convolution.filter
    frequencies = design_frequencies(HIGHEST_RATE, FIT_POINTS).float()
    wanted = target(taps, rate, conf.edge, frequencies)
    size = taps.norm(dim=-1, keepdim=True).clamp(min=1e-12)  # each channel counts alike, however loud
    if isinstance(analog, NeuralAnalogFilter):
        _solve_last_layer(analog, frequencies, wanted)
    else:
        _place(analog, frequencies, wanted)
    peak = LEARNING_RATES[conf.filter]
    optimiser = torch.optim.Adam(analog.parameters(), lr=peak)
    for step in track(range(conf.fit_steps), "analog filter"):
        optimiser.param_groups[0]["lr"] = peak * 0.5 * (1 + math.cos(math.pi * step / conf.fit_steps))
        loss = ((analog(frequencies) - wanted) / size).abs().square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    if isinstance(analog, NeuralAnalogFilter):
        _solve_last_layer(analog, frequencies, wanted)


@torch.no_grad()
def _solve_last_layer(analog: NeuralAnalogFilter, frequencies: Tensor, wanted: Tensor) -> None:
    """Set the last layer, in which the response is linear, to the least-squares solution."""
    read = analog.last_hidden(frequencies).double()
    read = torch.cat([read, torch.ones_like(read[:1])])
    power = read @ read.T
    ridge = LAST_LAYER_RIDGE * power.diagonal().mean() * torch.eye(len(power), dtype=power.dtype)
    solution = torch.linalg.solve(power + ridge, read @ torch.cat([wanted.real, wanted.imag]).double().T)
    last = analog.network[-1]
    last.weight.copy_(solution[:-1].T[..., None])
    last.bias.copy_(solution[-1])


@torch.no_grad()
def _place(analog: ModulatedGaussian, frequencies: Tensor, wanted: Tensor) -> None:
    """Put each Gaussian where most of the response's power is, as wide, as high and in the same phase."""
    power = wanted.abs().square()
    share = power / power.sum(-1, keepdim=True)
    centre = (share * frequencies).sum(-1)
    spread = (share * (frequencies - centre[:, None]).square()).sum(-1).sqrt()
    peak = power.argmax(-1)
    at_peak = wanted[torch.arange(len(wanted)), peak]
    analog.mu.copy_(TWO_PI * frequencies[peak])
    analog.log_variance.copy_(2 * torch.log(TWO_PI * spread))
    analog.phase.copy_(at_peak.angle())
    analog.gain.copy_(at_peak.abs())


@torch.no_grad()
def fit_errors(convolution: SFIConvolution, taps: Tensor, rate: int) -> Mapping[str, Any]:
    """Return how far the designed filters are from a convolution with ``taps`` ``[channels, K]`` at ``rate`` Hz.

    Relative root-mean-square errors over all channels: of the taps at ``rate`` itself, and of the response from 0 to half of
    ``rate`` at each further rate that can hold it.
    """
    designed = convolution.design(rate)
    missing = designed.shape[-1] - taps.shape[-1]
    before = (designed.shape[-1] - 1) // 2 - (taps.shape[-1] - 1) // 2
    same = torch.nn.functional.pad(taps, (before, missing - before))
    errors = {rate: float((designed - same).norm() / same.norm())}
    frequencies = design_frequencies(rate, convolution.conf.points)
    wanted = response_of(taps.double(), frequencies, rate)
    for other in (22050, 24000, 44100, 48000):
        found = response_of(convolution.design(other).double(), frequencies, other)
        errors[other] = float((found - wanted).norm() / wanted.norm())
    return {name: round(value, 6) for name, value in errors.items()}
