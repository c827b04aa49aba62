"""``distilmos upstream``: the SSL upstreams."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from distilmos_plugin.commands.options import Conf, Settings, read_config

app = typer.Typer(help="The SSL upstreams that can be used.", no_args_is_help=True)


@app.command("list")
def list_all() -> None:
    """List the upstreams, what each needs, and how it is batched."""
    from distilmos_plugin.upstreams.resolver import list_upstreams

    needs = {"nothing": "runs offline", "checkpoint": "needs --ckpt", "network": "downloads"}
    entries = list_upstreams()
    width = max(len(entry.name) for entry in entries)
    for entry in entries:
        state = f"does not work here: {entry.broken}" if entry.broken else f"{needs[entry.needs]:<13}  {entry.batching}"
        print(f"{entry.name:<{width}}  {state}")


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="Upstream name.")],
    ckpt: Annotated[str | None, typer.Option(help="Its checkpoint, if it needs one.")] = None,
) -> None:
    """Describe one upstream; one that needs no network is loaded for it."""
    from distilmos_plugin.config import UpstreamConfig
    from distilmos_plugin.upstreams.upstream import show_upstream

    for fact, value in show_upstream(name, UpstreamConfig(ckpt=ckpt)).items():
        print(f"{fact:<14} {value}")


@app.command("sfi")
def sfi(
    conf: Conf,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder; the upstream goes to <folder>/converted.")],
    settings: Settings = [],  # noqa: B006  typer copies it
) -> None:
    """Make an upstream that takes clips at 8 to 48 kHz as they are.

    It is converted from the upstream of a configuration with sfi_conf; without sfi_conf there is nothing to do.
    """
    from distilmos_plugin.upstreams.sfi.stages import convert_stage

    convert_stage(read_config(conf, settings), output)


@app.command("distil")
def distil(
    data: Annotated[Path, typer.Argument(help="Data directory whose audio is heard, such as data/mini/train.")],
    conf: Conf,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the converted upstream; gets <folder>/distilled.")],
    settings: Settings = [],  # noqa: B006
) -> None:
    """Teach a converted upstream to hear the same at every rate.

    Its teacher is the upstream that it was made of, at 16 kHz.
    """
    from distilmos_plugin.upstreams.sfi.stages import distil_stage

    distil_stage(read_config(conf, settings), data, output)


@app.command("plot")
def plot(
    folder: Annotated[Path, typer.Argument(help="Folder of an SFI upstream.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the pictures.")],
) -> None:
    """Draw the responses that an SFI upstream has learned.

    A second picture has the filters designed from them at each rate.
    """
    from distilmos_plugin.upstreams.sfi.figures import draw

    for path in draw(folder, output):
        print(path)
