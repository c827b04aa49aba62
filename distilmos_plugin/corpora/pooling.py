"""Several corpora as one: pooled training and dev sets, and a test set for each corpus of its own.

    <output>/train, dev                  all corpora together: keys <corpus>/<id>, utt2domain, labels on one scale
    <output>/test_<corpus>[_<rest>]      test sets of the corpora that are trained on
    <output>/test_ood_<corpus>[_<rest>]  those of corpora that are only tested on: out of domain

A clip's corpus is its domain. Where corpora were rated on different scales, each label is mapped linearly from its corpus's
scale to the common one, which is the first corpus's if nothing else is said; test labels too, so that errors are on one scale.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from distilmos_plugin.corpora import corpus_of
from distilmos_plugin.corpora.importing import MISSING
from distilmos_plugin.corpora.leakage import shared_audio
from distilmos_plugin.data.directory import DataDirectory, Rating, write_data_directory
from distilmos_plugin.errors import DataError, some
from distilmos_plugin.files import STAMP, atomic_write, fingerprint, stamp_is_current, write_json, write_stamp
from distilmos_plugin.progress import say

TRAIN, DEV, TEST, OUT_OF_DOMAIN = "train", "dev", "test", "ood"
COMMON = "common"  # stands for the pool where scales are given
ABOUT = "corpus.json"  # what an importer leaves beside the sets of a corpus
MARK = "pool.json"  # says that a folder is a pool, also of one that was cut off
VERSION = 1  # goes up when a change makes other data directories from the same corpora

Scale = tuple[float, float]


@dataclass(frozen=True)
class Member:
    """A corpus of a pool.

    Attributes:
        name: its domain, and what keys begin with.
        folder: that holds its data directories.
        tested_only: take no part in training; its test sets are out of domain.
        scales: target -> lowest and highest possible label, as far as they are known.
        declared: targets whose scale the user gave, which allows mapping it.
    """

    name: str
    folder: Path
    tested_only: bool
    scales: Mapping[str, Scale]
    declared: frozenset[str]


def pool(
    output: str | os.PathLike,
    corpora: Sequence[str | os.PathLike],
    tested_only: Sequence[str | os.PathLike] = (),
    scales: Iterable[str] = (),
) -> None:
    """Pool corpora; a pool that is complete and current is left alone.

    Args:
        output: folder for the data directories.
        corpora: folders with the data directories of a corpus each, as ``distilmos corpus prepare`` makes them; the folder's
            name is the corpus's, or ``name=folder``.
        tested_only: further ones, for tests out of domain.
        scales: ``name=low,high`` or ``name.target=low,high``: the scale of a corpus's ``mos`` (or another target), which
            is then mapped to the first corpus's; ``common=low,high`` is another scale for all to be mapped to.

    Raises:
        DataError: if a set is missing, names or keys collide, or scales differ and are not declared.
    """
    declared = dict(_declared(text) for text in scales)
    common = {target: scale for (name, target), scale in declared.items() if name == COMMON}
    members = _members(corpora, tested_only, declared)
    sets = {member.name: _read_sets(member) for member in members}
    inputs = {
        "corpus": "+".join(member.name for member in members if not member.tested_only),
        "pool": VERSION,
        "common": {target: list(scale) for target, scale in common.items()},
        "members": [[m.name, m.tested_only, {t: list(s) for t, s in m.scales.items()}, sorted(m.declared)] for m in members],
        "sets": {
            name: {
                part: fingerprint([d.wav, d.targets, d.systems, d.ratings, d.num_samples, d.rates])
                for part, d in found.items()
            }
            for name, found in sets.items()
        },
    }
    output = Path(output)
    if any(output.resolve() == member.folder.resolve() for member in members):
        raise DataError(f"{output}: a pool needs a folder of its own")
    if stamp_is_current(output, inputs):
        say(f"pool: {output} is complete and current, nothing to do")
        return
    maps = _scale_maps(members, sets, common)
    _remove_old_tests(output)
    (output / STAMP).unlink(missing_ok=True)
    write_json(output / MARK, {member.name: "test" if member.tested_only else "train" for member in members})
    trained = [member for member in members if not member.tested_only]
    for part in (TRAIN, DEV):
        parts = {m.name: _mapped(m, sets[m.name][part], maps) for m in trained if part in sets[m.name]}
        _write_pooled(output / part, parts)
    for member in members:
        for part, directory in sets[member.name].items():
            if part not in (TRAIN, DEV) or member.tested_only:
                path = output / _test_name(member, part)
                _write(path, _mapped(member, directory, maps), member)
                if corpus := corpus_of(directory.path):  # what stands behind the labels is to be said of these too
                    write_stamp(path, {"corpus": corpus, "pool": VERSION})
    _list_missing(output, members, sets)
    _tell_shared(output)
    write_stamp(output, inputs)
    tests = ", ".join(sorted(path.name for path in output.glob(f"{TEST}*") if path.is_dir()))
    say(f"pool: {output}: train and dev of {', '.join(member.name for member in trained)}; tests: {tests or 'none'}")


def _tell_shared(output: Path) -> None:
    """Say which tests have audio in common with what is trained on: a corpus may be among the sources of another."""
    names = [TRAIN, DEV, *sorted(scp.parent.name for scp in output.glob(f"{TEST}*/wav.scp"))]
    found = [DataDirectory.read(output / name, allow_pipes=True) for name in names]
    paths = {d.path.name: {key: path for key, path in d.wav.items() if os.path.isfile(path)} for d in found}
    for (first, second), pairs in shared_audio(paths).items():
        if first in (TRAIN, DEV) and second.startswith(TEST):
            alike = some([f"{a} = {b}" for a, b in pairs], 3)
            say(f"pool: {first} and {second} have audio in common, figures on it are too good: {len(pairs)} ({alike})")


def _list_missing(output: Path, members: Sequence[Member], sets: Mapping[str, Mapping[str, DataDirectory]]) -> None:
    """Say of the test sets here what the corpora say of theirs: which clips have no audio."""
    rows = []
    for member in members:
        tested = {part for part in sets[member.name] if part not in (TRAIN, DEV) or member.tested_only}
        if (member.folder / MISSING).is_file():
            for row in (member.folder / MISSING).read_text(encoding="utf-8").splitlines()[1:]:
                part, _, rest = row.partition("\t")
                rows += [f"{_test_name(member, part)}\t{rest}"] if part in tested else []
    (output / MISSING).unlink(missing_ok=True)
    if rows:
        with atomic_write(output / MISSING) as file:
            file.writelines(f"{row}\n" for row in ("set\tid\tpath", *rows))


def _remove_old_tests(output: Path) -> None:
    """Remove the test sets of an earlier pool here, and refuse a folder that holds anything else."""
    if not output.is_dir() or not any(output.iterdir()):
        return
    try:
        inputs = json.loads((output / STAMP).read_text(encoding="utf-8"))["inputs"]
    except (OSError, ValueError, KeyError, TypeError):
        inputs = {}
    if "pool" not in inputs and any(output.glob("*/wav.scp")) and not (output / MARK).is_file():
        raise DataError(f"{output} holds other data directories; a pool needs a folder of its own")
    for scp in output.glob(f"{TEST}*/wav.scp"):
        shutil.rmtree(scp.parent)


def _members(
    corpora: Sequence[str | os.PathLike],
    tested_only: Sequence[str | os.PathLike],
    declared: Mapping[tuple[str, str], Scale],
) -> list[Member]:
    members: list[Member] = []
    for item, tested in [*((item, False) for item in corpora), *((item, True) for item in tested_only)]:
        text = os.fspath(item)
        name, _, place = text.partition("=") if "=" in text and not os.path.isdir(text) else ("", "", text)
        folder = Path(place)
        name = name or Path(os.path.abspath(folder)).name
        if not re.fullmatch(r"[\w.-]+", name):
            raise DataError(f"'{name}' is no name for a corpus in keys; give it one: name={folder}")
        if name == COMMON:
            raise DataError(f"a corpus cannot be called '{name}'; give it another name: name={folder}")
        if name in (member.name for member in members):
            raise DataError(f"two corpora are called '{name}'; give one another name: name={folder}")
        mine = {target: scale for (corpus, target), scale in declared.items() if corpus == name}
        members.append(Member(name, folder, tested, _known_scales(folder) | mine, frozenset(mine)))
    if not any(not member.tested_only for member in members):
        raise DataError("a pool needs a corpus to train on")
    if unknown := [corpus for corpus, _ in declared if corpus not in {COMMON, *(member.name for member in members)}]:
        raise DataError(f"--scale: no corpus '{unknown[0]}' in the pool ({some(member.name for member in members)})")
    return members


def _declared(text: str) -> tuple[tuple[str, str], Scale]:
    match = re.fullmatch(r"(?P<corpus>[^=.]+)(?:\.(?P<target>\w+))?=(?P<low>[^,]+),(?P<high>[^,]+)", text)
    try:
        low, high = float(match["low"]), float(match["high"])
    except (TypeError, ValueError):
        raise DataError(f"scale '{text}': expected corpus=low,high or corpus.target=low,high") from None
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise DataError(f"scale '{text}': expected low < high")
    return (match["corpus"], match["target"] or "mos"), (low, high)


def _known_scales(folder: Path) -> dict[str, Scale]:
    """Return the scales that the importer of a corpus recorded."""
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        return {target: (float(low), float(high)) for target, (low, high) in about["scales"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _read_sets(member: Member) -> dict[str, DataDirectory]:
    """Read the data directories of a corpus: train, dev and tests, or of one that is only tested on its tests."""
    if not member.folder.is_dir():
        raise DataError(f"{member.folder}: no such folder; make it: distilmos corpus prepare {member.name} {member.folder}")
    names = sorted(path.parent.name for path in member.folder.glob("*/wav.scp"))
    if member.tested_only:
        names = [name for name in names if name.startswith(TEST)]
        if not names:
            raise DataError(f"{member.folder}: no test set")
    elif TRAIN not in names or DEV not in names:
        raise DataError(f"{member.folder}: no {TRAIN if TRAIN not in names else DEV} set, which a corpus to train on needs")
    chosen = [name for name in names if name in (TRAIN, DEV) or name.startswith(TEST)]
    return {name: DataDirectory.read(member.folder / name, allow_pipes=True) for name in chosen}


def _scale_maps(
    members: Sequence[Member], sets: Mapping[str, Mapping[str, DataDirectory]], common: Mapping[str, Scale]
) -> dict[tuple[str, str], Callable[[float], float]]:
    """Return (corpus, target) -> the map to the common scale, for those that have another one.

    Raises:
        DataError: for another scale that the user did not declare, and for labels outside their scale.
    """
    wanted, common = frozenset(common), dict(common)
    for member in members:
        for target, scale in member.scales.items():
            common.setdefault(target, scale)
    maps = {}
    for member in members:
        for target in sorted({name for directory in sets[member.name].values() for name in directory.targets}):
            scale = member.scales.get(target, common.get(target))
            if scale is None:
                continue
            _check_labels(member, target, scale, sets[member.name])
            if scale == common[target]:
                continue
            if target not in member.declared | wanted:
                low, high = scale
                raise DataError(
                    f"{member.name}: '{target}' is rated from {low:g} to {high:g}, in the pool from {common[target][0]:g} to "
                    f"{common[target][1]:g}; --scale {member.name}.{target}={low:g},{high:g} maps it"
                )
            maps[member.name, target] = linear_map(scale, common[target])
    return maps


def linear_map(scale: Scale, common: Scale) -> Callable[[float], float]:
    """Return the map of the ends of one scale to those of another.

    >>> [linear_map((0, 100), (1, 5))(value) for value in (0, 50, 100)]
    [1.0, 3.0, 5.0]
    """
    (low, high), (to_low, to_high) = scale, common
    return lambda value: to_low + (value - low) * (to_high - to_low) / (high - low)


def _check_labels(member: Member, target: str, scale: Scale, sets: Mapping[str, DataDirectory]) -> None:
    for directory in sets.values():
        outside = {
            k: v for k, v in directory.targets.get(target, {}).items() if not (math.isnan(v) or scale[0] <= v <= scale[1])
        }
        if outside:
            key = min(outside)
            raise DataError(
                f"{directory.path}: '{target}' of {len(outside)} clips is outside {scale[0]:g} to {scale[1]:g} ({key}: "
                f"{outside[key]:g}); say the corpus's scale: --scale {member.name}.{target}=low,high"
            )


@dataclass(frozen=True)
class Mapped:
    """A set of one corpus with the pool's keys and scale."""

    wav: dict[str, str]
    targets: dict[str, dict[str, float | None]]
    systems: dict[str, str] | None
    ratings: list[Rating] | None
    lengths: dict[str, tuple[int, int]] | None


def _mapped(member: Member, directory: DataDirectory, maps: Mapping[tuple[str, str], Callable[[float], float]]) -> Mapped:
    start = f"{member.name}/"
    prefix = "" if all(key.startswith(start) for key in directory.keys) else start

    def map_of(target: str) -> Callable[[float], float]:
        return maps.get((member.name, target), lambda value: value)

    targets = {
        target: {prefix + key: None if math.isnan(value) else map_of(target)(value) for key, value in labels.items()}
        for target, labels in directory.targets.items()
    }
    ratings = directory.ratings
    lengths = None
    if directory.num_samples is not None and directory.rates is not None:
        lengths = {prefix + key: (directory.num_samples[key], directory.rates[key]) for key in directory.keys}
    return Mapped(
        {prefix + key: source for key, source in directory.wav.items()},
        targets,
        None if directory.systems is None else {prefix + key: start + name for key, name in directory.systems.items()},
        None
        if ratings is None
        else [Rating(prefix + r.key, start + r.listener, r.target, map_of(r.target)(r.value)) for r in ratings],
        lengths,
    )


def _write_pooled(path: Path, parts: Mapping[str, Mapped]) -> None:
    """Write the clips of all corpora into one data directory; what not all of them have is left out, with a word."""
    keys = [key for part in parts.values() for key in part.wav]
    if len(set(keys)) < len(keys):
        raise DataError(f"{path}: keys of two corpora collide; give one another name: name=folder")
    targets: dict[str, dict[str, float | None]] = {}
    for target in dict.fromkeys(target for part in parts.values() for target in part.targets):
        targets[target] = dict.fromkeys(keys)
        for part in parts.values():
            targets[target] |= part.targets.get(target, {})
    kept: dict[str, list] = {}
    for name in ("systems", "ratings", "lengths"):
        without = [corpus for corpus, part in parts.items() if getattr(part, name) is None]
        if without and len(without) < len(parts):
            say(f"pool: {path.name}: {some(without)} without {name}, so the pool has none")
        if not without:
            kept[name] = [getattr(part, name) for part in parts.values()]
    lengths = _merged(kept.get("lengths"))
    write_data_directory(
        path,
        _merged([part.wav for part in parts.values()]),
        targets,
        _merged(kept.get("systems")),
        None if "ratings" not in kept else [rating for ratings in kept["ratings"] for rating in ratings],
        None if lengths is None else {key: length[0] for key, length in lengths.items()},
        None if lengths is None else {key: length[1] for key, length in lengths.items()},
        {key: corpus for corpus, part in parts.items() for key in part.wav},
    )


def _merged(tables: Sequence[Mapping] | None) -> dict | None:
    return None if tables is None else {key: value for table in tables for key, value in table.items()}


def _test_name(member: Member, part: str) -> str:
    """Return the name of a corpus's test set in the pool.

    >>> _test_name(Member("nisqa", Path("data/nisqa"), True, {}, frozenset()), "test_for")
    'test_ood_nisqa_for'
    """
    domain = f"{TEST}_{OUT_OF_DOMAIN}_" if member.tested_only else f"{TEST}_"
    return domain + member.name + part.removeprefix(TEST)


def _write(path: Path, part: Mapped, member: Member) -> None:
    write_data_directory(
        path,
        part.wav,
        part.targets,
        part.systems,
        part.ratings,
        None if part.lengths is None else {key: length[0] for key, length in part.lengths.items()},
        None if part.lengths is None else {key: length[1] for key, length in part.lengths.items()},
        None if member.tested_only else dict.fromkeys(part.wav, member.name),
    )
