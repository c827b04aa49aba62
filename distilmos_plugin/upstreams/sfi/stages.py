"""The SFI upstream of an experiment, stage 2 of the recipe: made only where it is missing or out of date."""

from __future__ import annotations

from pathlib import Path

from distilmos_plugin.config import Config
from distilmos_plugin.data.directory import DataDirectory
from distilmos_plugin.errors import UpstreamError
from distilmos_plugin.files import file_digest, fingerprint, stamp_is_current, write_stamp
from distilmos_plugin.progress import say
from distilmos_plugin.typed_yaml import to_dict
from distilmos_plugin.upstreams.resolver import checkpoint_digests
from distilmos_plugin.upstreams.sfi import folder

CONVERTED, DISTILLED = "converted", "distilled"  # folders of the two upstreams


def convert_stage(config: Config, output: str | Path) -> None:
    """Convert an experiment's upstream into ``<output>/converted/``. Without ``sfi_conf`` there is nothing to do."""
    if _unused(config):
        return
    path = Path(output) / CONVERTED
    inputs = {
        "upstream": config.upstream,
        "checkpoint": checkpoint_digests(config.upstream, config.upstream_conf.ckpt),
        "conf": to_dict(config.sfi_conf),
    }
    if stamp_is_current(path, inputs):
        say(f"{path}: complete and current")
        return
    from distilmos_plugin.upstreams.sfi.conversion import convert

    description, weights = convert(config.upstream, config.upstream_conf.ckpt, config.sfi_conf)
    folder.write(path, description, weights)
    write_stamp(path, inputs)
    errors = ", ".join(f"{error:.2%} at {rate} Hz" for rate, error in description.report["taps_error"].items())
    say(f"{path}: the new filters are off the first convolution of {config.upstream} by {errors}")


def distil_stage(config: Config, data: str | Path, output: str | Path, *, allow_pipes: bool = False) -> None:
    """Distil ``<output>/converted/`` into ``<output>/distilled/``, on the audio of a data directory.

    Raises:
        UpstreamError: if there is no converted upstream.
    """
    if _unused(config):
        return
    source, path = Path(output) / CONVERTED, Path(output) / DISTILLED
    if not folder.is_sfi(source):
        raise UpstreamError(f"{source}: no SFI upstream; convert one first (distilmos upstream sfi, run.sh stage 2)")
    directory = DataDirectory.read(data, allow_pipes)
    clips = fingerprint([directory.wav, directory.num_samples, directory.rates])
    inputs = {"source": file_digest(source / folder.WEIGHTS), "conf": to_dict(config.distil_conf), "data": clips}
    if stamp_is_current(path, inputs):
        say(f"{path}: complete and current")
        return
    from distilmos_plugin.upstreams.sfi.distillation import distil

    distil(source, directory, config.distil_conf, path, allow_pipes=allow_pipes)
    write_stamp(path, inputs)
    say(f"{path}: done")


def _unused(config: Config) -> bool:
    if config.sfi_conf is None:
        say("no SFI upstream is needed: there is no sfi_conf")
    return config.sfi_conf is None
