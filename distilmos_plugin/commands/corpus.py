"""``distilmos corpus``: corpora and data directories."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Corpora and data directories.", no_args_is_help=True)


@app.command("prepare")
def prepare(
    name: Annotated[str, typer.Argument(help="Corpus: `distilmos corpus list` names them.")],
    output: Annotated[Path, typer.Argument(help="Folder for the data directories.")],
    nj: Annotated[int | None, typer.Option(help="Parallel processes.")] = None,
    seed: Annotated[int | None, typer.Option(help="For corpora that are simulated.")] = None,
    clean_dir: Annotated[
        Path | None, typer.Option(help="mini: a folder of clean recordings instead of synthetic speech.")
    ] = None,
    scale: Annotated[float | None, typer.Option(help="mini: part of the full size, 0 to 1.")] = None,
    data_root: Annotated[Path | None, typer.Option(help="Where a corpus was downloaded to.")] = None,
) -> None:
    """Make the data directories of a corpus. A corpus that is complete and current is left alone."""
    from distilmos_plugin.corpora import prepare

    prepare(name, output, nj=nj, seed=seed, clean_dir=clean_dir, scale=scale, data_root=data_root)


@app.command("list")
def list_all() -> None:
    """List the corpora."""
    from distilmos_plugin.corpora import describe

    print(describe())


@app.command("check")
def check(
    directory: Annotated[Path, typer.Argument(help="Data directory, such as data/mini/test.")],
    audio: Annotated[bool, typer.Option(help="Read all of the audio too.")] = True,
    allow_pipes: Annotated[bool, typer.Option("--allow-pipes", help="Run the command pipes of a wav.scp.")] = False,
) -> None:
    """Check a data directory; everything that is wrong is listed."""
    from distilmos_plugin.data.directory import check

    print(check(directory, audio, allow_pipes))
