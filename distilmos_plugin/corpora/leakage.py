"""Audio that two sets of a corpus have in common, whatever it is called: what is trained on is no test."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping

from distilmos_plugin.files import file_digest

BLOCK = 4096  # bytes from the middle of a file: files that differ there are not read whole


def shared_audio(sets: Mapping[str, Mapping[str, str]]) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """Find files of equal content in different sets.

    Args:
        sets: set -> name of a clip -> path.

    Returns:
        (set, later set) -> (name in the one, name in the other), in the order of ``sets``.
    """
    alike: dict[tuple[int, bytes], list[tuple[str, str, str]]] = {}
    for part, clips in sets.items():
        for name, path in clips.items():
            alike.setdefault(_glance(path), []).append((part, name, path))
    shared: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for group in alike.values():
        if len({part for part, _, _ in group}) > 1:
            for first, second, pair in _equal(group):
                shared.setdefault((first, second), []).append(pair)
    return shared


def _glance(path: str) -> tuple[int, bytes]:
    """Return the size of a file, and the digest of its middle."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        file.seek(max(0, (size - BLOCK) // 2))
        return size, hashlib.sha256(file.read(BLOCK)).digest()


def _equal(group: Iterable[tuple[str, str, str]]) -> Iterable[tuple[str, str, tuple[str, str]]]:
    """Yield (set, later set, (name, name)) for a file's first equal in each other set."""
    by_digest: dict[str, dict[str, str]] = {}
    for part, name, path in group:
        earlier = by_digest.setdefault(file_digest(path), {})
        for other, known in earlier.items():
            if other != part:
                yield other, part, (known, name)
        earlier.setdefault(part, name)
