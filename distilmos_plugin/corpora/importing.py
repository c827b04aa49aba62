"""From a downloaded corpus to data directories: what all importers have in common.

An importer is a module with a ``CARD`` and a function ``read(root, **options)`` that returns the clips of each set. What is
left, it leaves to :func:`import_corpus`: finding the folder, downloading where that is allowed, counts, audio that is missing,
keys ``<corpus>/<id>``, data directories, and that a corpus which is complete and current is left alone.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
import re
import shutil
import urllib.parse
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distilmos_plugin import audio
from distilmos_plugin.corpora.card import Card
from distilmos_plugin.corpora.leakage import shared_audio
from distilmos_plugin.corpora.root import Root
from distilmos_plugin.data.directory import WAV, DataDirectory, Rating, write_data_directory
from distilmos_plugin.errors import DataError, some
from distilmos_plugin.files import STAMP, atomic_write, fingerprint, stamp_is_current, write_json, write_stamp
from distilmos_plugin.progress import say, track

VERSION = 1  # goes up when a change here makes other data directories from the same corpus
REFERENCE = "ref_path"  # the column of manifest.tsv with the other recording of a pair
ABOUT, MANIFEST, MISSING = "corpus.json", "manifest.tsv", "missing.tsv"
SHOWN = 3  # names in a message


@dataclass(frozen=True)
class Clip:
    """One clip as the tables of a corpus have it.

    Attributes:
        id: unique in the corpus; with parts that have equal ids, ``<part>/<id>``.
        wav: path under the root, or absolute.
        labels: target -> label; may be left out where there are ratings: it is their mean. Empty for a set without labels.
        system: what made the clip; None for corpora that do not say. Never the id.
        ratings: (listener, target, value) each; listeners that are unique only in one test have its name in front.
        about: anything else worth keeping, column -> value, for ``manifest.tsv``: ``is_reference``, ``part``,
            ``ref_path`` (of the other recording of a pair, under the root) ...
    """

    id: str
    wav: str
    labels: Mapping[str, float] = field(default_factory=dict)
    system: str | None = None
    ratings: tuple[tuple[str, str, float], ...] = ()
    about: Mapping[str, str] = field(default_factory=dict)


Sets = Mapping[str, Sequence[Clip]]


def seeded_part(ids: Iterable[str], share: float, salt: str) -> frozenset[str]:
    """Choose ``share`` of the ids by a hash of each: the same on every machine, whatever their order.

    >>> sorted(seeded_part(["a", "b", "c", "d"], 0.5, "dev")) == sorted(seeded_part(["d", "c", "b", "a"], 0.5, "dev"))
    True
    """
    ordered = sorted(set(ids), key=lambda text: (hashlib.sha256(f"{salt}\0{text}".encode()).digest(), text))
    return frozenset(ordered[: round(share * len(ordered))])


def key_of(corpus: str, clip_id: str) -> str:
    """Return the key of a clip in data directories; white space, which keys cannot hold, is percent-encoded.

    >>> key_of("somos", "novel_2007_0098_015"), key_of("x", "a b%")
    ('somos/novel_2007_0098_015', 'x/a%20b%25')
    """
    return f"{corpus}/" + re.sub(r"[\s%]", lambda found: urllib.parse.quote(found[0]), clip_id)


def id_of(key: str) -> str:
    """Return the corpus's own id of a clip from its key: the inverse of :func:`key_of`."""
    return urllib.parse.unquote(key.partition("/")[2])


def import_corpus(
    card: Card,
    read: Callable[..., Sets],
    output: str | os.PathLike,
    *,
    data_root: str | os.PathLike | None = None,
    strict: bool = False,
    subset: bool = False,
    allow_missing: bool = False,
    download: bool = False,
    nj: int = 4,
    others: Iterable[Card] = (),
    **options: Any,
) -> None:
    """Make the data directories of a corpus; what is complete and current already is left alone.

    Args:
        card: of the corpus.
        read: ``read(root, **options)`` gives set -> clips.
        output: folder for ``<set>/``, and ``corpus.json`` with what was decided.
        data_root: folder that the corpus was extracted in.
        strict: audio that the licence withholds is an error too, and so is any other number of clips than the card's.
        subset: the folder holds a part of the corpus: do not compare the number of clips.
        allow_missing: leave out clips whose audio is not there, whatever the reason, and list them.
        download: get the corpus into ``data_root`` first, where its licence allows it.
        nj: threads that read the headers of the audio.
        others: cards of the other corpora, to recognise their folders.
        options: of the importer.

    Raises:
        DataError: one sentence that says what is wrong with the folder, the tables or the audio.
    """
    if data_root is None:
        way = "add --download to have it fetched there, or download it" if card.archives else "download it"
        raise DataError(f"{card.name}: no folder given; {way} from {card.source} and give --data-root FOLDER")
    if download:
        from distilmos_plugin.corpora.download import fetch

        fetch(card, Path(data_root))
    others = [other for other in others if other.name != card.name]
    root = find_root(card, Path(data_root), others)
    sets = {name: list(clips) for name, clips in read(root, **options).items()}
    _check_clips(card, root, sets, others)
    _check_counts(card, root, sets, strict, subset)
    kept, missing = _part_missing(card, root, sets, strict, allow_missing)
    _write(Path(output), card, root, kept, missing, options, nj)
    counts = ", ".join(f"{name} {len(clips)}" for name, clips in kept.items())
    say(f"{card.name}: {counts} clips in {output}" + "".join(f"\n{card.name}: {note}" for note in root.notes))


def find_root(card: Card, given: Path, others: Sequence[Card] = ()) -> Root:
    """Find the folder with the corpus's marks: the one that was given, or one of its usual names below it.

    Raises:
        DataError: if there is none; the message says whose folder it is, where it is another corpus's.
    """
    if not given.is_dir():
        raise DataError(f"{card.name}: {given}: no such folder; give the one that the corpus was extracted in (--data-root)")
    found = _marked(card, given)
    if found is not None:
        return Root(card, found)
    whose = [other.name for other in others if other.marks and _marked(other, given)]
    like = f"; it looks like {some(whose, SHOWN)}" if whose else ""
    raise DataError(
        f"{card.name}: {given} is not the folder of this corpus{like}; "
        f"expected {some(card.marks)} in it" + (f" or in its {some(card.folders)}" if card.folders else "")
    )


def _marked(card: Card, given: Path) -> Path | None:
    for path in (given, *(given / name for name in card.folders)):
        if path.is_dir() and all(any(next(path.glob(one), None) for one in mark.split("|")) for mark in card.marks):
            return path
    return None


def _check_clips(card: Card, root: Root, sets: Sets, others: Sequence[Card]) -> None:
    """Check ids, labels and systems."""
    seen: dict[str, str] = {}
    for name, clips in sets.items():
        if not clips:
            raise DataError(f"{card.name}: {root.path}: no clips for {name}; is this the whole download?")
        systems = {clip.system is None for clip in clips}
        if len(systems) > 1:
            raise DataError(f"{card.name}: some clips of {name} have a system and some have none")
        for clip in clips:
            if card.ids and not re.fullmatch(card.ids, clip.id):
                whose = [other.name for other in others if other.ids and re.fullmatch(other.ids, clip.id)]
                like = f"; it looks like an id of {some(whose, SHOWN)}" if whose else ""
                raise DataError(f"{card.name}: {root.path}: '{clip.id}' in {name} is not an id of this corpus{like}")
            if clip.id in seen:
                where = f"twice in {name}" if seen[clip.id] == name else f"in {seen[clip.id]} and in {name}"
                raise DataError(f"{card.name}: {root.path}: the clip '{clip.id}' is {where}")
            seen[clip.id] = name
            _check_labels(card, root, clip)


def _check_labels(card: Card, root: Root, clip: Clip) -> None:
    values = [*clip.labels.items(), *((target, value) for _, target, value in clip.ratings)]
    for target, value in values:
        low, high = card.scales.get(target, (-math.inf, math.inf))
        if not low <= value <= high:
            raise DataError(f"{card.name}: {root.path}: clip '{clip.id}': {target} is {value:g}; expected {low:g} to {high:g}")


def _check_counts(card: Card, root: Root, sets: Sets, strict: bool, subset: bool) -> None:
    """Compare the number of clips in the tables with the card's."""
    for name, expected in {} if subset else card.clips.items():
        found = len(sets.get(name, ()))
        if found == expected:
            continue
        text = f"{found} clips in the tables of {name}, {expected} expected"
        if name not in card.unverified or strict:
            raise DataError(
                f"{card.name}: {root.path}: {text}; the download is incomplete or another version (--subset for a part of it)"
            )
        root.notes.append(f"{text} (from the paper)")


def _part_missing(
    card: Card, root: Root, sets: Sets, strict: bool, allowed: bool
) -> tuple[dict[str, list[Clip]], dict[str, list[Clip]]]:
    """Part the clips whose audio is there from those whose is not, which only a corpus with withheld audio may have."""
    kept: dict[str, list[Clip]] = {}
    missing: dict[str, list[Clip]] = {}
    for name, clips in sets.items():
        absent = [_absent(root, clip) for clip in clips]
        kept[name] = [clip for clip, path in zip(clips, absent, strict=True) if path is None]
        missing[name] = [clip for clip, path in zip(clips, absent, strict=True) if path is not None]
    gone = [_absent(root, clip) for clips in missing.values() for clip in clips]
    total = len(gone) + sum(map(len, kept.values()))
    may_be = card.withheld or ("allow_missing" if allowed else "")
    if gone and (strict or not may_be or any(not clips for clips in kept.values())):
        why = f" ({card.withheld})" if card.withheld else ""
        raise DataError(
            f"{card.name}: {root.path}: {len(gone)} of {total} audio files are missing, {some(gone, SHOWN)}{why}; "
            "the folder is incomplete"
        )
    if gone:
        root.notes.append(f"{len(gone)} of {total} clips are left out, their audio is not there ({may_be}): {MISSING}")
    return kept, missing


def _absent(root: Root, clip: Clip) -> str | None:
    """Return the path of the clip's audio, or of the reference it is compared with, if it is not there."""
    paths = [clip.wav, *([clip.about[REFERENCE]] if clip.about.get(REFERENCE) else [])]
    return next((path for path in paths if not (root.path / path).is_file()), None)


def _write(output: Path, card: Card, root: Root, kept: Sets, missing: Sets, options: Mapping[str, Any], nj: int) -> None:
    """Write what is not there already, or not from exactly these tables and this audio."""
    before = _earlier_sets(output, card)
    inputs = {"corpus": card.name, "version": VERSION, "root": str(root.path.resolve()), "options": dict(options)}
    inputs["sets"] = {name: _set_fingerprint(root, clips) for name, clips in kept.items()}
    wavs = [output / name / WAV for name in kept]
    if stamp_is_current(output, inputs) and all(path.is_file() for path in wavs):
        say(f"{card.name}: {output} is complete and current, nothing to do")
        return
    (output / STAMP).unlink(missing_ok=True)
    for name in before - kept.keys():  # of other options: as a test set of these it would be scored and evaluated
        shutil.rmtree(output / name, ignore_errors=True)
    for name, clips in kept.items():
        stamp = {"corpus": card.name, "set": inputs["sets"][name], "version": VERSION}
        if not (stamp_is_current(output / name, stamp) and (output / name / WAV).is_file()):
            _write_set(output / name, card, root, clips, nj)
            write_stamp(output / name, stamp)
    _write_missing(output / MISSING, missing)
    _note_shared(root, kept)
    write_json(output / ABOUT, _about(card, root, kept, missing, options))
    write_stamp(output, inputs)


def _earlier_sets(output: Path, card: Card) -> set[str]:
    """Return the sets that an earlier run made in ``output``.

    Raises:
        DataError: if it was of another corpus.
    """
    try:
        inputs = json.loads((output / STAMP).read_text(encoding="utf-8"))["inputs"]
        found, sets = inputs["corpus"], {name for name in inputs.get("sets", ()) if Path(name).name == name}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return set()
    if found != card.name:
        raise DataError(f"{output} holds the corpus '{found}'; give '{card.name}' a folder of its own")
    return sets


def _set_fingerprint(root: Root, clips: Sequence[Clip]) -> str:
    """Return digits that change with any label, rating, path or size of audio of a set."""
    rows = [
        [clip.id, clip.wav, os.path.getsize(root.path / clip.wav), clip.labels, clip.system, clip.ratings, clip.about]
        for clip in clips
    ]
    return fingerprint(rows)


def labels_of(clip: Clip) -> dict[str, float]:
    """Return the labels of a clip; a target that has only ratings gets their mean."""
    rated: dict[str, list[float]] = {}
    for _, target, value in clip.ratings:
        rated.setdefault(target, []).append(value)
    return {target: math.fsum(values) / len(values) for target, values in rated.items()} | dict(clip.labels)


def _write_set(directory: Path, card: Card, root: Root, clips: Sequence[Clip], nj: int) -> DataDirectory:
    keys = [key_of(card.name, clip.id) for clip in clips]
    wavs = {key: os.path.join(root.path, clip.wav) for key, clip in zip(keys, clips, strict=True)}
    try:
        with ThreadPoolExecutor(nj) as pool:
            found = pool.map(audio.probe, wavs.values())
            lengths = dict(zip(keys, track(found, f"{card.name}: {directory.name}, audio headers", len(wavs)), strict=True))
    except audio.AudioProblem as problem:
        raise DataError(f"{card.name}: {problem}; the folder is damaged, extract the download again") from None
    targets: dict[str, dict[str, float]] = {}
    for key, clip in zip(keys, clips, strict=True):
        for target, value in labels_of(clip).items():
            targets.setdefault(target, {})[key] = value
    rated = any(clip.ratings for clip in clips)
    result = write_data_directory(
        directory,
        wavs,
        targets,
        systems={key: clip.system for key, clip in zip(keys, clips, strict=True)} if clips[0].system is not None else None,
        ratings=[Rating(key, *rating) for key, clip in zip(keys, clips, strict=True) for rating in clip.ratings]
        if rated
        else None,
        num_samples={key: length.num_samples for key, length in lengths.items()},
        rates={key: length.sample_rate for key, length in lengths.items()},
    )
    _write_manifest(directory / MANIFEST, root, dict(zip(keys, clips, strict=True)))
    return result


def _write_manifest(path: Path, root: Root, clips: Mapping[str, Clip]) -> None:
    """Write what data directories have no file for, one line a clip; no file where there is nothing."""
    columns = sorted({column for clip in clips.values() for column in clip.about})
    if not columns:
        path.unlink(missing_ok=True)
        return
    with atomic_write(path) as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(["key", *columns])
        for key in sorted(clips):
            about = dict(clips[key].about)
            if about.get(REFERENCE):
                about[REFERENCE] = os.path.join(root.path, about[REFERENCE])
            writer.writerow([key, *(about.get(column, "") for column in columns)])


def _write_missing(path: Path, missing: Mapping[str, Sequence[Clip]]) -> None:
    rows = [(name, clip.id, clip.wav) for name, clips in missing.items() for clip in clips]
    if not rows:
        path.unlink(missing_ok=True)
        return
    with atomic_write(path) as file:
        file.write("set\tid\tpath\n")
        file.writelines("\t".join(row) + "\n" for row in rows)


def _note_shared(root: Root, kept: Sets) -> None:
    """Say which sets have audio in common."""
    paths = {name: {clip.id: os.path.join(root.path, clip.wav) for clip in clips} for name, clips in kept.items()}
    for (first, second), pairs in shared_audio(paths).items():
        names = some([f"{a} = {b}" for a, b in pairs], SHOWN)
        root.notes.append(f"{first} and {second} have audio in common: {len(pairs)} ({names})")


def _about(card: Card, root: Root, kept: Sets, missing: Sets, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is to be known of the data directories, for people and for pooling."""
    return {
        "corpus": card.name,
        "title": card.title,
        "source": card.source,
        "licence": card.licence,
        "scales": {target: list(bounds) for target, bounds in card.scales.items()},
        "sets": {
            name: {
                "clips": len(clips),
                "systems": len({clip.system for clip in clips if clip.system is not None}),
                "ratings": sum(len(clip.ratings) for clip in clips),
                "missing": len(missing[name]),
            }
            for name, clips in kept.items()
        },
        "options": dict(options),
        "notes": root.notes,
    }
