"""``distilmos tokens``: code books and tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from distilmos_plugin.commands.options import Conf, Settings, read_config

app = typer.Typer(help="Code books of an upstream's layers, and tokens.", no_args_is_help=True)


@app.command("learn")
def learn(
    data: Annotated[Path, typer.Argument(help="Data directory, such as data/mini/train.")],
    conf: Conf,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the code book.")],
    settings: Settings = [],  # noqa: B006  typer copies it
) -> None:
    """Fit a k-means code book to every layer of the frozen upstream.

    One pass over the audio; the configuration's token_conf chooses layers and clusters.
    """
    from distilmos_plugin.tokens.stages import learn_stage

    learn_stage(read_config(conf, settings), data, output)


@app.command("extract")
def extract(
    data: Annotated[Path, typer.Argument(help="Data directory, such as data/mini/train.")],
    conf: Conf,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder with the code book, for the tokens.")],
    settings: Settings = [],  # noqa: B006
) -> None:
    """Write the token of every frame and layer as a Kaldi archive."""
    from distilmos_plugin.tokens.stages import extract_stage

    extract_stage(read_config(conf, settings), data, output)
