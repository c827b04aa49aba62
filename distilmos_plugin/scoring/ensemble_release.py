"""Ensembles on disk: a folder with ``config.yaml``, a model card and a released model for each member."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from distilmos_plugin import __version__
from distilmos_plugin.errors import ConfigError, ModelError
from distilmos_plugin.files import atomic_directory, fingerprint
from distilmos_plugin.scoring.ensemble import Ensemble, Identity, Stack
from distilmos_plugin.scoring.release import CARD, CONFIG, DIGEST_DIGITS
from distilmos_plugin.typed_yaml import load_yaml, parse, to_dict

if TYPE_CHECKING:
    from distilmos_plugin.scoring.predictor import Predictor

SECTION = "ensemble"
MEMBERS = "members"


@dataclass(frozen=True)
class Description:
    """The ``ensemble`` section of ``config.yaml``.

    Attributes:
        name: as it stands in signatures.
        about: one line: trained on what, meant for what, under which licence.
        version: of this package that wrote it.
        members: folder under ``members/`` -> digest of the model in it.
        stacks: target -> stack; of other targets the mean is taken.
    """

    name: str
    about: str
    version: str
    members: Mapping[str, str]
    stacks: Mapping[str, Any] = field(default_factory=dict)


def write_ensemble(
    directory: str | os.PathLike,
    members: Sequence[Predictor | Ensemble],
    folders: Sequence[Path],
    *,
    about: str = "",
    stacks: Mapping[str, Stack] | None = None,
    card: Mapping[str, str] | None = None,
) -> Identity:
    """Write an ensemble as one model, whole or not at all; an existing one is replaced.

    The members' files are linked where the file system allows it, else copied.

    Args:
        directory: to write; it names the ensemble, or its parent does if it is called ``model``.
        members: models, or ensembles that are released as one.
        folders: where each of them is.
        about: one line for users of the model.
        stacks: target -> stack, over all members in this order; None takes means.
        card: sections of the model card, title -> text.
    """
    directory = Path(os.path.abspath(directory))
    name = directory.parent.name if directory.name == "model" else directory.name
    numbered = {f"{number}_{item.name}": item.digest for number, item in enumerate(members, 1)}
    plain = {target: to_dict(stack) for target, stack in (stacks or {}).items()}
    description = Description(name, " ".join(about.split()), __version__, numbered, plain)
    with atomic_directory(directory) as folder:
        for label, source in zip(numbered, folders, strict=True):
            shutil.copytree(source, folder / MEMBERS / label, copy_function=_link)
        text = yaml.safe_dump({SECTION: to_dict(description)}, sort_keys=False, allow_unicode=True)
        (folder / CONFIG).write_text(text, encoding="utf-8", newline="\n")
        (folder / CARD).write_text(_card(description, card or {}), encoding="utf-8", newline="\n")
    return _identity(description, stacks or {})


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk, or a file system without links
        shutil.copy2(source, target)


def _card(description: Description, sections: Mapping[str, str]) -> str:
    how = "stack" if description.stacks else "mean"
    lines = [f"# {description.name}", "", *([description.about, ""] if description.about else [])]
    lines += [f"The {how} of {len(description.members)} models, written by distilmos-plugin {description.version}:", ""]
    lines += [f"- `{label}` ({digest})" for label, digest in description.members.items()]
    for target, stack in description.stacks.items():
        weights = " + ".join(f"{weight:.3f} x {number}" for number, weight in enumerate(stack["weights"], 1))
        lines += ["", f"{target} = {stack['intercept']:.3f} + {weights}"]
    for title, content in sections.items():
        lines += ["", f"## {title}", "", content.rstrip()]
    return "\n".join(lines) + "\n"


def _identity(description: Description, stacks: Mapping[str, Stack]) -> Identity:
    digest = fingerprint([description.members, {target: to_dict(stack) for target, stack in stacks.items()}])
    return Identity(description.name, digest[:DIGEST_DIGITS], description.about, dict(stacks))


def is_ensemble(directory: Path) -> bool:
    """Tell whether a folder holds an ensemble."""
    return (directory / MEMBERS).is_dir() and (directory / CONFIG).is_file()


def read_description(directory: Path) -> tuple[Identity, list[Path]]:
    """Return what an ensemble is, and the folders of its members.

    Raises:
        ModelError: naming file and key, if anything is missing or wrong.
    """
    path = directory / CONFIG
    try:
        values = load_yaml(path)
        if not isinstance(values, dict) or SECTION not in values:
            raise ModelError(f"{path}: no section '{SECTION}', but {directory} has a folder {MEMBERS}")
        description = parse(Description, values[SECTION], f"{path}: {SECTION}")
        where = f"{path}: {SECTION}: stacks"
        stacks = {target: parse(Stack, stack, f"{where}: {target}") for target, stack in description.stacks.items()}
    except ConfigError as error:
        raise ModelError(str(error)) from None
    if not description.members:
        raise ModelError(f"{path}: {SECTION}: members: an ensemble has at least one")
    for target, stack in stacks.items():
        if len(stack.weights) != len(description.members):
            found, wanted = len(stack.weights), len(description.members)
            raise ModelError(f"{where}: {target}: {found} weights for {wanted} members")
    return _identity(description, stacks), [directory / MEMBERS / label for label in description.members]


def assemble(identity: Identity, members: Sequence[Predictor | Ensemble], directory: Path, source: str = "") -> Ensemble:
    """Return the ensemble of loaded members.

    Raises:
        ModelError: if a member is not the model that the ensemble was written with.
    """
    ensemble = Ensemble(members, identity, source)
    found = {f"{number}_{item.name}": item.digest for number, item in enumerate(members, 1)}
    description = Description(identity.name, identity.about, __version__, found)
    if _identity(description, identity.stacks).digest != identity.digest:
        raise ModelError(f"{directory}: the members are not those that {CONFIG} was written with: {', '.join(found)}")
    return ensemble
