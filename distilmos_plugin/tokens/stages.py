"""Stages 2 and 3 of the recipe: code books and tokens, made only if they are missing or out of date."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distilmos_plugin.config import Config
from distilmos_plugin.data.directory import DataDirectory
from distilmos_plugin.errors import TokenError
from distilmos_plugin.files import fingerprint, stamp_is_current, write_stamp
from distilmos_plugin.progress import say
from distilmos_plugin.upstreams.resolver import checkpoint_digests

if TYPE_CHECKING:
    from distilmos_plugin.upstreams.upstream import Upstream

CODEBOOK = "codebook"  # folder of the code book, beside the tokens


def learn_stage(config: Config, data: str | Path, output: str | Path, *, allow_pipes: bool = False) -> None:
    """Learn the code books of an experiment into ``<output>/codebook/``; stage 2.

    Args:
        config: of the experiment. Without a token loss there is nothing to do.
        data: data directory.
        output: folder of the tokens.
        allow_pipes: run ``command |`` entries of ``wav.scp``.
    """
    if _unused(config):
        return
    directory, folder = DataDirectory.read(data, allow_pipes), Path(output) / CODEBOOK
    inputs = {"upstream": _upstream(config), "tokens": dataclasses.asdict(config.token_conf), "data": _clips(directory)}
    if stamp_is_current(folder, inputs):
        say(f"{folder}: complete and current")
        return
    from distilmos_plugin.tokens.learn import learn

    learn(_load(config), directory, config.token_conf, folder, allow_pipes=allow_pipes)
    write_stamp(folder, inputs)
    say(f"{folder}: done")


def extract_stage(config: Config, data: str | Path, output: str | Path, *, allow_pipes: bool = False) -> None:
    """Extract the tokens of a data directory into ``output``, with the code book that :func:`learn_stage` put there; stage 3.

    Raises:
        TokenError: if the code book is missing, or was made with another upstream or other settings.
    """
    if _unused(config):
        return
    from distilmos_plugin.tokens.codebook import FILE, CodeBook

    directory, folder, path = DataDirectory.read(data, allow_pipes), Path(output), Path(output) / CODEBOOK / FILE
    codebook = CodeBook.load(path)
    inputs = {"codebook": codebook.digest, "upstream": _upstream(config), "data": _clips(directory)}
    wanted, conf = config.token_conf, codebook
    if (wanted.clusters, wanted.layers or conf.layers) != (conf.clusters, conf.layers):
        raise TokenError(
            f"{path}: {conf.clusters} clusters of layers {', '.join(map(str, conf.layers))}, but token_conf asks for "
            f"{wanted.clusters} clusters of {wanted.layers or 'all layers'}; learn it again (run.sh stage 2)"
        )
    if stamp_is_current(folder, inputs):
        say(f"{folder}: complete and current")
        return
    from distilmos_plugin.tokens.extract import extract

    index = extract(_load(config), codebook, directory, folder, allow_pipes=allow_pipes)
    write_stamp(folder, inputs)
    say(f"{index}: done")


def _unused(config: Config) -> bool:
    if config.loss_conf.token_weight == 0:
        say("no tokens are needed: loss_conf: token_weight is 0")
    return config.loss_conf.token_weight == 0


def _load(config: Config) -> Upstream:
    """Load the upstream as it was pre-trained, up to the last layer that gets a code book."""
    from distilmos_plugin.upstreams.upstream import load_upstream

    layers = config.token_conf.layers
    last = max(layers, default=None) if layers else config.upstream_conf.num_layers
    conf = dataclasses.replace(config.upstream_conf, trainable=False, gradient_checkpointing=False, num_layers=last)
    return load_upstream(config.upstream, conf)


def _upstream(config: Config) -> dict[str, Any]:
    """Return what tells one upstream from another without loading it."""
    return {
        "name": config.upstream,
        "ckpt": config.upstream_conf.ckpt,
        "files": checkpoint_digests(config.upstream, config.upstream_conf.ckpt),
        "num_layers": config.upstream_conf.num_layers,
    }


def _clips(directory: DataDirectory) -> str:
    return fingerprint([directory.wav, directory.num_samples, directory.rates])
