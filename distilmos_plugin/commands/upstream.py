"""``distilmos upstream``: the SSL upstreams."""

from __future__ import annotations

from typing import Annotated

import typer

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
