"""Extracting tokens: the frozen upstream once more, and the nearest centroid of every frame and layer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

import kaldiio
import numpy as np
from kaldiio.matio import read_kaldi

from distilmos_plugin.data.directory import DataDirectory
from distilmos_plugin.errors import TokenError
from distilmos_plugin.files import STAMP, atomic_write, write_json
from distilmos_plugin.tokens.codebook import CodeBook
from distilmos_plugin.tokens.frozen import frozen_pass
from distilmos_plugin.upstreams.upstream import Upstream

ARCHIVE, INDEX, ORIGIN = "tokens.ark", "tokens.scp", "tokens.json"


def extract(
    upstream: Upstream,
    codebook: CodeBook,
    directory: DataDirectory,
    output: Path,
    *,
    device: str | None = None,
    allow_pipes: bool = False,
) -> Path:
    """Write the tokens of every clip to ``<output>/tokens.ark`` and ``<output>/tokens.scp``; return the latter.

    ``tokens.json`` names the code book and the upstream.

    An entry is a numpy matrix ``[frames, layers]`` of the smallest unsigned integers, in kaldiio's own format for these.
    Memory is bounded by a batch.

    Args:
        upstream: the one that the code book was made with, frozen.
        codebook: of the layers.
        directory: clips.
        output: folder.
        device: where the upstream runs; None takes CUDA if there is any, else the CPU.
        allow_pipes: run ``command |`` entries of ``wav.scp``.

    Raises:
        TokenError: if the code book belongs to another upstream.
        DataError: naming the clip that cannot be used.
    """
    codebook.check_upstream(upstream)
    output = Path(output)
    for stale in (STAMP, INDEX, ORIGIN):  # an index must never point into another archive
        (output / stale).unlink(missing_ok=True)
    places = {}
    with atomic_write(output / ARCHIVE, "wb") as archive:
        passed = frozen_pass(upstream, directory, f"tokens {directory.path.name}", device=device, allow_pipes=allow_pipes)
        for keys, hidden in passed:
            tokens = codebook.assign(hidden).cpu().numpy()
            for row, (key, length) in enumerate(zip(keys, hidden.lengths.tolist(), strict=True)):
                places[key] = _append(archive, key, tokens[row, :length].astype(codebook.dtype))
    origin = {"codebook": codebook.digest, "layers": codebook.layers, "clusters": codebook.clusters}
    write_json(output / ORIGIN, {**origin, "upstream": codebook.upstream, "upstream_digest": codebook.upstream_digest})
    with atomic_write(output / INDEX) as index:
        index.writelines(f"{key} {output / ARCHIVE}:{places[key]}\n" for key in sorted(places))
    return output / INDEX


def _append(archive: IO[bytes], key: str, tokens: np.ndarray) -> int:
    """Append an entry to an archive; return where its matrix begins, in bytes."""
    start = archive.tell() + len(f"{key} ".encode())
    kaldiio.save_ark(archive, {key: tokens}, write_function="numpy")
    return start


def read_tokens(path: str | Path) -> Tokens:
    """Open what :func:`extract` wrote: key -> tokens ``[frames, layers]``, read when they are asked for.

    Args:
        path: the folder, or its ``tokens.scp``. The archive is looked for beside it first, so that the folder can move.

    Raises:
        TokenError: if there are no tokens, or the index is damaged.
    """
    path = Path(path)
    return Tokens(path / INDEX if path.suffix != ".scp" else path)


class Tokens(Mapping[str, np.ndarray]):
    """key -> tokens ``[frames, layers]``, unsigned integers, read from the archive when they are asked for.

    Args:
        index: ``tokens.scp``.

    Raises:
        TokenError: if there is no index, or it is damaged.
    """

    def __init__(self, index: Path) -> None:
        self._index = index
        try:
            lines = index.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            raise TokenError(f"{index}: no tokens; make them with 'distilmos tokens extract' (run.sh stage 3)") from None
        self._places = dict(self._parse(number, line) for number, line in enumerate(lines, start=1))

    @property
    def codebook(self) -> str:
        """Digest of the code book that the tokens are of."""
        origin = self._index.parent / ORIGIN
        try:
            return json.loads(origin.read_text(encoding="utf-8"))["codebook"]
        except (OSError, ValueError, KeyError) as error:
            raise TokenError(f"{origin}: not readable ({error}); extract the tokens again (run.sh stage 3)") from error

    def _parse(self, number: int, line: str) -> tuple[str, tuple[Path, int]]:
        key, _, place = line.partition(" ")
        archive, _, offset = place.rpartition(":")
        if not archive or not offset.isdigit():
            raise TokenError(f"{self._index}:{number}: expected '<key> <archive>:<offset>', found {line!r}")
        beside = self._index.parent / Path(archive).name
        return key, (beside if beside.is_file() else Path(archive), int(offset))

    def __getitem__(self, key: str) -> np.ndarray:
        archive, offset = self._places[key]
        try:
            with open(archive, "rb") as file:
                file.seek(offset)
                if file.read(3) != b"NPY":  # kaldiio would also unpickle an entry that says it is a pickle
                    raise ValueError("no matrix begins here")
                file.seek(offset)
                return read_kaldi(file)
        except (OSError, ValueError, EOFError) as error:
            raise TokenError(f"{archive}: key '{key}': damaged tokens ({error}); extract them again") from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
