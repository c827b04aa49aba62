"""``distilmos corpus``: corpora and data directories."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Corpora and data directories.", no_args_is_help=True)


@app.command("prepare")
def prepare(
    name: Annotated[str, typer.Argument(help="Corpus: `distilmos corpus list` names them.")],
    output: Annotated[Path, typer.Argument(help="Folder for the data directories.")],
    nj: Annotated[int | None, typer.Option(help="Parallel processes.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of simulated corpora, and of splits that are ours.")] = None,
    clean_dir: Annotated[
        Path | None, typer.Option(help="mini: a folder of clean recordings instead of synthetic speech.")
    ] = None,
    scale: Annotated[float | None, typer.Option(help="mini: part of the full size, 0 to 1.")] = None,
    data_root: Annotated[Path | None, typer.Option(help="Where a corpus was downloaded to.")] = None,
    download: Annotated[
        bool, typer.Option("--download", help="Get the corpus into --data-root first, where its licence allows it.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Audio that a licence withholds, and any unexpected count, is an error.")
    ] = False,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Leave out clips whose audio is missing, and list them.")
    ] = False,
    subset: Annotated[
        bool, typer.Option("--subset", help="--data-root holds a part of the corpus: do not compare the number of clips.")
    ] = False,
    settings: Annotated[
        list[str],
        typer.Option(
            "--option", metavar="NAME=VALUE", help="An option of this corpus alone; see `corpus show`; may be repeated."
        ),
    ] = [],  # noqa: B006  typer copies it
) -> None:
    """Make the data directories of a corpus. A corpus that is complete and current is left alone."""
    from distilmos_plugin.corpora import prepare

    checks = {"strict": strict, "allow_missing": allow_missing, "subset": subset}
    choice = {"nj": nj, "seed": seed, "clean_dir": clean_dir, "scale": scale}
    prepare(name, output, settings, data_root=data_root, download=download, **checks, **choice)


@app.command("export")
def export(
    directory: Annotated[Path, typer.Argument(help="Data directory, such as data/bvcc/train.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The table: .csv as SHEET has it, .jsonl as URGENT 2026.")],
    target: Annotated[str, typer.Option(help="What is the score, in a CSV.")] = "mos",
) -> None:
    """Write a data directory as one table of another toolkit.

    The corpus `table` reads it again.
    """
    from distilmos_plugin.corpora.export import export_table
    from distilmos_plugin.data.directory import DataDirectory

    export_table(DataDirectory.read(directory), output, target)


@app.command("list")
def list_all() -> None:
    """List the corpora."""
    from distilmos_plugin.corpora import describe

    print(describe())


@app.command("show")
def show(name: Annotated[str, typer.Argument(help="Corpus: `distilmos corpus list` names them.")]) -> None:
    """Say what a corpus is: source, licence, size, options, citation."""
    from distilmos_plugin.corpora import importer

    print(inspect.cleandoc(importer(name).__doc__ or "").replace("``", ""))


@app.command("check")
def check(
    directory: Annotated[Path, typer.Argument(help="Data directory, such as data/mini/test.")],
    audio: Annotated[bool, typer.Option(help="Read all of the audio too.")] = True,
    allow_pipes: Annotated[bool, typer.Option("--allow-pipes", help="Run the command pipes of a wav.scp.")] = False,
) -> None:
    """Check a data directory; everything that is wrong is listed."""
    from distilmos_plugin.data.directory import check

    print(check(directory, audio, allow_pipes))


@app.command("gather")
def gather(
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="exp/ folders of ESPnet recipes, or name=path of a wav.scp, data directory or folder of sound files."
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The data directory.")],
    part: Annotated[
        list[str], typer.Option("--set", metavar="SET", help="Test set to take, or several; default: all that are found.")
    ] = [],  # noqa: B006
    allow_pipes: Annotated[bool, typer.Option("--allow-pipes", help="Take the command pipes of a wav.scp.")] = False,
) -> None:
    """Gather what synthesis systems made into one data directory.

    It is what `distilmos score` and `distilmos rank` take.
    """
    from distilmos_plugin.scoring.gather import gather

    gather(inputs, output, parts=part, allow_pipes=allow_pipes)


@app.command("archive")
def archive(
    directory: Annotated[Path, typer.Argument(help="Data directory.")],
    output: Annotated[Path, typer.Argument(help="Folder for the archive and its data directory.")],
    encoding: Annotated[str, typer.Option(help="flac: without loss; wav: 16 bits, for Kaldi itself.")] = "flac",
    allow_pipes: Annotated[bool, typer.Option("--allow-pipes", help="Run the command pipes of a wav.scp.")] = False,
) -> None:
    """Pack the audio of a data directory into one Kaldi archive."""
    from distilmos_plugin.data.archive import write_archive
    from distilmos_plugin.data.directory import DataDirectory

    write_archive(DataDirectory.read(directory, allow_pipes), output, encoding, allow_pipes=allow_pipes)


@app.command("text")
def text(
    scores: Annotated[Path, typer.Argument(help="Score file.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the files.")],
) -> None:
    """Write scores as Kaldi text: utt2mos and so on.

    Each line is a key and a number; clips without a score are left out.
    """
    from distilmos_plugin.scoring.text import write_text

    write_text(scores, output)


@app.command("pool")
def pool(
    corpora: Annotated[list[str], typer.Argument(help="Folders of data directories to train on, or name=folder.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the pooled data directories.")],
    test: Annotated[
        list[str],
        typer.Option(
            "--test",
            metavar="FOLDER",
            help="A corpus to test on only, out of domain: folder, or name=folder; may be repeated.",
        ),
    ] = [],  # noqa: B006
    scale: Annotated[
        list[str],
        typer.Option(
            "--scale",
            metavar="NAME=LOW,HIGH",
            help="The scale of a corpus: its labels are mapped to the first corpus's, or to common=low,high; may be repeated.",
        ),
    ] = [],  # noqa: B006
) -> None:
    """Pool corpora: train and dev together, each one's tests apart."""
    from distilmos_plugin.corpora.pooling import pool

    pool(output, corpora, test, scale)
