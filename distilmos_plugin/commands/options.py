"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from distilmos_plugin.config import Config

Conf = Annotated[Path, typer.Option("--conf", help="Configuration of the experiment, a file of conf/.")]
Settings = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A setting instead of the configuration's: key=value, section.key=value; may be repeated.",
    ),
]


def read_config(path: Path, settings: list[str]) -> Config:
    """Read a configuration with ``--set`` applied."""
    from distilmos_plugin.config import load_config, override

    return override(load_config(path), settings)
