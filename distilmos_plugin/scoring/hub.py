"""Models on the Hugging Face hub: ``hf:owner/repository[/folder][@revision]``, and ``official:wavlm``, ``official:w2v2``."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from distilmos_plugin.errors import ModelError, suggest
from distilmos_plugin.files import file_digest
from distilmos_plugin.scoring import official, release
from distilmos_plugin.upstreams.surroundings import first_line

HUB, OFFICIAL = "hf:", "official:"
AUTHORS = "BaleYang/DistilMOS"
BACKBONES = ("wavlm", "w2v2")  # folders of the authors' repository

LAYOUTS = ((release.CONFIG, release.WEIGHTS), (official.SETTINGS, official.WEIGHTS))
"""Settings and weights, either of which makes a model."""

FETCHED = (*(file for layout in LAYOUTS for file in layout), release.CARD)

_REFERENCE = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)(?P<folder>(/[\w.-]+)*)(@(?P<revision>[\w./-]+))?", re.ASCII)


@dataclass(frozen=True)
class Reference:
    """A model on the hub.

    Attributes:
        name: as the user wrote it.
        repository: ``owner/name``.
        folder: in the repository; empty for its root.
        revision: branch, tag or commit; None is the repository's default branch.
    """

    name: str
    repository: str
    folder: str
    revision: str | None

    @property
    def command(self) -> str:
        """The command that brings the model into the cache."""
        files = f" --include '{self.folder}/*'" if self.folder else ""
        revision = f" --revision {self.revision}" if self.revision else ""
        return f"hf download {self.repository}{files}{revision}"


@dataclass(frozen=True)
class Snapshot:
    """A model in the hub's cache.

    Attributes:
        directory: with its files.
        source: repository, commit and SHA-256 of the weights, in words.
    """

    directory: Path
    source: str


def reference(name: str) -> Reference | None:
    """Return what a model name means on the hub; None if it is no name of this kind.

    Raises:
        ModelError: if it begins as one, but is none.

    >>> reference("hf:owner/models/small@v1")
    Reference(name='hf:owner/models/small@v1', repository='owner/models', folder='small', revision='v1')
    """
    if name.startswith(OFFICIAL):
        backbone, _, revision = name.removeprefix(OFFICIAL).partition("@")
        if backbone not in BACKBONES:
            known = [OFFICIAL + item for item in BACKBONES]
            raise ModelError(f"no model '{name}'{suggest(name, known)} (known: {', '.join(known)})")
        address = f"{AUTHORS}/{backbone}" + (f"@{revision}" if revision else "")
    elif name.startswith(HUB):
        address = name.removeprefix(HUB)
    else:
        return None
    found = _REFERENCE.fullmatch(address)
    if not found or {".", ".."} & set(re.split("[/@]", address)):
        raise ModelError(
            f"no model '{name}': expected hf:owner/repository, hf:owner/repository/folder, or these with @revision"
        )
    return Reference(name, found["repository"], found["folder"].strip("/"), found["revision"])


def fetch(wanted: Reference) -> Snapshot:
    """Bring a model's files, and no others, into the hub's cache, and check that they are whole.

    A model in the cache is found without a network too; with ``HF_HUB_OFFLINE=1`` the hub is not asked for a newer one.

    Raises:
        ModelError: if the model is neither in the cache nor to be had, is incomplete or damaged; the message says what to do.
    """
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

    cache = constants.HF_HUB_CACHE
    prefix = f"{wanted.folder}/" if wanted.folder else ""
    try:
        root = snapshot_download(
            wanted.repository, revision=wanted.revision, allow_patterns=[prefix + file for file in FETCHED]
        )
    except RepositoryNotFoundError:
        raise ModelError(
            f"model '{wanted.name}': the hub has no {wanted.repository}, or it is private; for a private one: hf auth login"
        ) from None
    except RevisionNotFoundError:
        raise ModelError(f"model '{wanted.name}': {wanted.repository} has no revision '{wanted.revision}'") from None
    except LocalEntryNotFoundError:
        raise ModelError(
            f"model '{wanted.name}' is not in the cache ({cache}), and "
            + ("HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else "the hub cannot be reached")
            + f". Where there is a network: {wanted.command}; then copy the cache here, or set HF_HOME to where it is"
        ) from None
    except Exception as error:  # which ones depends on the hub's HTTP library, which changes with its version
        raise ModelError(
            f"model '{wanted.name}' cannot be fetched into {cache} ({first_line(error)}); try again, or fetch it by hand: "
            f"{wanted.command}"
        ) from error
    directory = Path(root) / wanted.folder
    present = {file for file in FETCHED if (directory / file).is_file()}
    layout = next((layout for layout in LAYOUTS if present.issuperset(layout)), None)
    if layout is None:
        wholes = ", nor ".join(" and ".join(layout) for layout in LAYOUTS)
        raise ModelError(
            f"model '{wanted.name}': neither {wholes} in {directory}; if the model is there on the hub, its download was cut "
            f"off: {wanted.command}"
        )
    for file in sorted(present):
        _refuse_damaged(directory / file, wanted)
    weights = layout[1]
    where = "/".join(filter(None, (wanted.repository, wanted.folder)))
    return Snapshot(directory, f"{where}@{Path(root).name}, sha256 of {weights} {file_digest(directory / weights)}")


def _refuse_damaged(path: Path, wanted: Reference) -> None:
    """Check a file of the cache, which links to a blob that is called by its SHA-256 or, for small files, by git's digest."""
    blob = path.resolve()
    digests = {64: file_digest, 40: _git_digest}
    if blob.parent.name == "blobs" and len(blob.name) in digests and digests[len(blob.name)](blob) != blob.name:
        raise ModelError(
            f"model '{wanted.name}': {path} is damaged or incomplete ({blob.stat().st_size} bytes, digest differs); remove "
            f"{blob} and fetch it again: {wanted.command}"
        )


def _git_digest(path: Path) -> str:
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
