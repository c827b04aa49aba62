"""Downloads that can be cut off, are checked, and cannot write outside their folder.

Only corpora whose licence allows it have :attr:`~.card.Card.archives`, and nothing is fetched unless it is asked for.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import lzma
import os
import shutil
import stat
import tarfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from distilmos_plugin.corpora.card import Archive, Card
from distilmos_plugin.errors import DataError
from distilmos_plugin.files import atomic_directory, atomic_write
from distilmos_plugin.progress import Progress, say

ZENODO = "https://zenodo.org/api/records/{record}"
BLOCK = 1 << 20  # bytes read at a time
SECONDS = 60  # without a byte before a connection is given up
DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, RuntimeError)
DONE = ".extracted"  # suffix of the file that says that an archive has been extracted, with the digest of what it was


def fetch(card: Card, folder: Path) -> None:
    """Download and extract the archives of a corpus into ``folder``; what is there already is left alone.

    A download that was cut off goes on where it was. Each archive is checked against its published digest, where there is
    one, before anything of it is extracted.

    Raises:
        DataError: if the licence does not allow it, the server cannot be reached, or an archive is damaged.
    """
    if not card.archives:
        raise DataError(
            f"{card.name}: not downloaded by this program, the licence ({card.licence}) or the host does not allow it; "
            f"get it from {card.source}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for archive in card.archives:
        done = folder / f".{archive.name}{DONE}"
        if done.is_file():
            continue
        path = folder / archive.name
        if not path.is_file():
            say(f"{card.name}: licence: {card.licence}")
            download(archive, path)
        extract(path, folder)
        for inner in archive.inside:
            extract(folder / inner, (folder / inner).parent)
        with atomic_write(done) as file:
            file.write(f"{_digest(path, 'sha256')}\n")


def download(archive: Archive, path: Path) -> None:
    """Download one file to ``path``, by way of ``<path>.part``.

    Raises:
        DataError: if it cannot be had or does not have the published digest; a damaged file is not kept.
    """
    url, digest = _address(archive)
    part = path.with_name(path.name + ".part")
    _resume(url, part)
    if digest:
        kind, _, expected = digest.partition(":")
        found = _digest(part, kind)
        if found != expected:
            part.unlink()
            raise DataError(f"{url}: {kind} is {found}, {expected} was published; the download is damaged, start it again")
    os.replace(part, path)


def _address(archive: Archive) -> tuple[str, str | None]:
    """Return address and digest; those of a file on Zenodo are in its record."""
    if archive.zenodo is None:
        assert archive.url is not None
        return archive.url, archive.digest
    record = ZENODO.format(record=archive.zenodo)
    with _open(urllib.request.Request(record, headers={"Accept": "application/json"})) as reply:
        try:
            files = {entry["key"]: entry for entry in json.load(reply)["files"]}
            entry = files[archive.name]
            return entry["links"]["self"], archive.digest or entry["checksum"]
        except (ValueError, KeyError, TypeError):
            raise DataError(f"{record}: does not list {archive.name} with its address and checksum") from None


@contextlib.contextmanager
def _open(request: urllib.request.Request) -> Iterator[http.client.HTTPResponse]:
    """Open an address; what can go wrong on the way is one sentence."""
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as reply:
            yield reply
    except urllib.error.HTTPError as error:
        raise DataError(f"{request.full_url}: the server answers {error.code} {error.reason}") from None
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise DataError(f"{request.full_url}: cannot be downloaded ({reason}); the same command goes on from here") from None


def _resume(url: str, part: Path) -> None:
    """Append to ``part`` what it lacks; a server that knows no ranges sends everything again."""
    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with _open(request) as reply:
            goes_on = reply.status == http.HTTPStatus.PARTIAL_CONTENT
            left = reply.headers.get("Content-Length")
            start = have if goes_on else 0
            total = start + int(left) if left else None
            with open(part, "ab" if goes_on else "wb") as file, Progress(f"download {part.stem}", total, "bytes") as progress:
                progress.done = start
                _copy(reply, file, progress)
                file.flush()
                os.fsync(file.fileno())
    except DataError as error:
        if isinstance(error.__context__, urllib.error.HTTPError) and error.__context__.code == 416 and have:
            return  # nothing is left to send: the digest tells whether this is the file
        raise
    if total is not None and part.stat().st_size != total:
        raise DataError(f"{url}: cut off after {part.stat().st_size} of {total} bytes; the same command goes on from here")


def _copy(reply: http.client.HTTPResponse, file: IO[bytes], progress: Progress) -> None:
    while block := reply.read(BLOCK):
        file.write(block)
        progress.advance(len(block))


def _digest(path: Path, kind: str) -> str:
    digest = hashlib.new(kind)
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def extract(archive: Path, folder: Path) -> None:
    """Extract a zip or tar archive into ``folder``, all of it or nothing.

    Only files and folders are taken, and only where their path stays inside; an archive with anything else (``..``, absolute
    paths, links, devices) is refused before a byte of it is written. Files get plain permissions.

    Raises:
        DataError: if it is no archive, damaged, or wants to write elsewhere.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = folder / f".{archive.name}.content"
    try:
        with atomic_directory(content) as temporary:
            if zipfile.is_zipfile(archive):
                _extract_zip(archive, temporary)
            elif tarfile.is_tarfile(archive):
                _extract_tar(archive, temporary)
            else:
                raise DataError(f"{archive}: not a zip or tar archive; download it again")
        _merge(content, folder)
    except DAMAGED as error:
        raise DataError(f"{archive}: cannot be extracted ({error}); download it again") from None
    shutil.rmtree(content)


def _inside(archive: Path, name: str, folder: Path) -> Path:
    """Return where a member goes.

    Raises:
        DataError: if that is outside of ``folder``.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or any(":" in part for part in path.parts[:1]) or "\0" in name:
        raise DataError(f"{archive}: refused, '{name}' would be written outside of its folder")
    return folder.joinpath(*path.parts)


def _extract_zip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as source:
        members = source.infolist()
        for member in members:
            _inside(archive, member.filename, folder)
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise DataError(f"{archive}: refused, '{member.filename}' is a link or a device, not a file")
        _refuse_too_large(archive, folder, sum(member.file_size for member in members))
        for member in members:
            target = _inside(archive, member.filename, folder)
            if member.is_dir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            with source.open(member) as content:
                _write(content, target)


def _extract_tar(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as source:
        members = source.getmembers()
        for member in members:
            _inside(archive, member.name, folder)
            if not (member.isfile() or member.isdir()):
                raise DataError(f"{archive}: refused, '{member.name}' is a link or a device, not a file")
        _refuse_too_large(archive, folder, sum(member.size for member in members))
        for member in members:
            target = _inside(archive, member.name, folder)
            if member.isdir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            content = source.extractfile(member)
            assert content is not None
            with content:
                _write(content, target)


def _refuse_too_large(archive: Path, folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if size > free:
        raise DataError(f"{archive}: needs {size / 1e9:.1f} GB, {free / 1e9:.1f} GB are free in {folder.parent}")


def _write(content: IO[bytes], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target, "wb") as file:
        shutil.copyfileobj(content, file, BLOCK)


def _merge(source: Path, folder: Path) -> None:
    """Move everything below ``source`` to the same place below ``folder``."""
    for path in sorted(source.rglob("*")):
        target = folder / path.relative_to(source)
        if path.is_dir():
            target.mkdir(exist_ok=True)
        else:
            os.replace(path, target)
