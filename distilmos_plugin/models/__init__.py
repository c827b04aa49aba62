"""The systems: plain torch, no files, no trainer. ``conf/*.yaml`` names them by the keys of :data:`SYSTEMS`."""

from __future__ import annotations

import torch
from torch import nn

from distilmos_plugin.config import Config
from distilmos_plugin.errors import ConfigError, suggest
from distilmos_plugin.models.base import Extent, MOSModel, SystemConfig
from distilmos_plugin.models.distilmos import DistilMOS
from distilmos_plugin.models.mosa_net import MOSANet
from distilmos_plugin.models.mtq_net import MTQNet
from distilmos_plugin.models.prediction import Labels, Prediction, Waveforms
from distilmos_plugin.models.sa_ssl_mos import SASSLMOS, SSLLayerMOS
from distilmos_plugin.models.sfi_ssl_mos import SFISSLMOS
from distilmos_plugin.models.ssl_mos import SSLMOS
from distilmos_plugin.typed_yaml import parse

__all__ = [
    "SYSTEMS",
    "Extent",
    "Labels",
    "MOSModel",
    "Prediction",
    "SystemConfig",
    "Waveforms",
    "build_model",
    "check_system",
    "last_layer_read",
]

SYSTEMS: dict[str, type[MOSModel]] = {
    "ssl_mos": SSLMOS,
    "distilmos": DistilMOS,
    "ssl_layer_mos": SSLLayerMOS,
    "sa_ssl_mos": SASSLMOS,
    "mosa_net": MOSANet,
    "mtq_net": MTQNet,
    "sfi_ssl_mos": SFISSLMOS,
}


def check_system(config: Config) -> SystemConfig:
    """Return the parsed ``model_conf``, or raise a ConfigError: before anything heavy is loaded.

    Raises:
        ConfigError: unknown system, unknown key or wrong value in ``model_conf``, no target, or options that contradict each
            other.
    """
    if config.system not in SYSTEMS:
        raise ConfigError(
            f"system: unknown system '{config.system}'{suggest(config.system, SYSTEMS)} (known: {', '.join(SYSTEMS)})"
        )
    if not config.targets:
        raise ConfigError("targets: at least one is needed, such as [mos]")
    conf = parse(SYSTEMS[config.system].conf_class, config.model_conf, f"model_conf of {config.system}")
    conf.check(config)
    return conf


def last_layer_read(config: Config) -> int | None:
    """Return the highest transformer layer that the system reads: those above it need not be computed. None: all are read."""
    layers = check_system(config).layers
    return max(layers) if layers else None


def build_model(
    config: Config,
    upstream: nn.Module,
    *,
    token_layers: tuple[int, ...] = (),
    clusters: int = 0,
    num_listeners: int = 0,
    num_domains: int = 0,
) -> MOSModel:
    """Build the system that ``config`` describes, on an upstream.

    The initial values depend on ``config.seed`` alone, and nobody else's random numbers are used up.

    Args:
        config: the experiment.
        upstream: a loaded or rebuilt upstream; becomes ``model.upstream``.
        token_layers, clusters, num_listeners, num_domains: see :class:`Extent`.

    Raises:
        ConfigError: as :func:`check_system`, a layer that the upstream does not have, or an upstream of one rate where the
            configuration has an ``sfi_conf``.
    """
    conf = check_system(config)
    if config.sfi_conf is not None and upstream.sfi is None:
        raise ConfigError(
            f"upstream: {upstream.name} is to become an SFI upstream first (sfi_conf): run.sh stage 2, or 'distilmos upstream "
            "sfi' and 'distilmos upstream distil'; then set upstream to the folder"
        )
    for layer in conf.layers or ():
        if not 1 <= layer <= upstream.num_layers:
            raise ConfigError(
                f"model_conf: layers: {layer} is not a layer of {upstream.name}, which has 1 to {upstream.num_layers}"
            )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return SYSTEMS[config.system](
            upstream,
            config.targets,
            conf,
            config.loss_conf,
            Extent(token_layers if config.loss_conf.token_weight > 0 else (), clusters, num_listeners, num_domains),
        )
