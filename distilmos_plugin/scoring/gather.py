"""What synthesis recipes leave behind, several systems side by side, as one data directory.

ESPnet's TTS, SVS and codec recipes write ``exp/<model>/<decode>/<set>/wav/wav.scp``, its enhancement recipe
``exp/<model>/enhanced_<set>/spk1.scp`` (and ``spk2.scp`` ... where it separates speakers). Their paths are relative to the
recipe's folder, wherever we are started from.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from distilmos_plugin.data.directory import WAV, DataDirectory, read_wav_scp, write_data_directory
from distilmos_plugin.data.tables import compare_keys, read_table
from distilmos_plugin.errors import DataError, some
from distilmos_plugin.files import atomic_write
from distilmos_plugin.progress import say
from distilmos_plugin.scoring.collect import collect

SENTENCES = "utt2sentence"  # key -> what was said, or what went in: alike for all systems
ENHANCED = "enhanced_"  # of the folders of ESPnet's enhancement recipe: the set follows
SPEAKER = re.compile(r"spk(\d+)\.scp")

_ARK_OFFSET = re.compile(r":\d+$")
_NAMED = re.compile(r"(?P<name>[^=/]+)=(?P<path>.+)", re.DOTALL)


@dataclass(frozen=True)
class Output:
    """Clips of one system for one test set.

    Attributes:
        system: its name.
        part: the test set; empty where it is not known.
        clips: sentence -> path, Kaldi archive entry or command pipe.
    """

    system: str
    part: str
    clips: Mapping[str, str]


def gather(
    inputs: Iterable[str | os.PathLike],
    output: str | os.PathLike,
    *,
    parts: Sequence[str] = (),
    allow_pipes: bool = False,
) -> DataDirectory:
    """Write a data directory of all clips of several systems, with ``utt2system`` and ``utt2sentence``.

    Args:
        inputs: each one ``name=path``, a system that is given its name: a ``*.scp`` file, a folder with ``wav.scp`` or
            ``wav/wav.scp``, or a folder of sound files (natural speech, another toolkit's output); or a path that is
            searched for what ESPnet's recipes write, one system for each model and decoding found there. Their names are
            the parts of their paths in which they differ.
        output: the data directory; its keys are ``<system>/<sentence>``.
        parts: test sets to take; () takes all that are found. With more than one, a sentence is ``<set>/<utterance>``.
        allow_pipes: take command pipes of a ``wav.scp``.

    Raises:
        DataError: if an input holds nothing, a set is not found, or two inputs give one clip twice.
    """
    named, searched = [], []
    for item in map(os.fspath, inputs):
        match = None if os.path.lexists(item) else _NAMED.fullmatch(item)
        if match:
            named.append(_named(_word(match["name"]), match["path"], allow_pipes))
        else:
            searched += _search(Path(item))
    found = _searched_outputs(_choose(searched, parts), allow_pipes)
    if not named and not found:
        raise DataError("no system to gather; name folders, such as exp/ of a recipe, or name=path")
    known = {item.part for item in found}
    wav, systems, sentences = {}, {}, {}
    for item in (*named, *found):
        for utterance, source in item.clips.items():
            sentence = f"{item.part}/{utterance}" if len(known) > 1 and item.part in known else utterance
            key = f"{item.system}/{sentence}"
            if key in wav:
                raise DataError(f"'{key}' comes twice, as {wav[key]} and as {source}; name the systems: name=path")
            wav[key], systems[key], sentences[key] = source, item.system, sentence
    directory = write_data_directory(output, wav, systems=systems)
    with atomic_write(directory.path / SENTENCES) as file:
        file.writelines(f"{key} {sentences[key]}\n" for key in directory.keys)
    names = sorted(set(systems.values()))
    say(f"{directory.path}: {len(wav)} clips of {len(names)} system{'s' if len(names) != 1 else ''}: {some(names, 20)}")
    return directory


def _word(name: str) -> str:
    """Return a system's name without white space, which keys cannot hold."""
    return re.sub(r"\s+", "_", name.strip())


def _named(system: str, path: str, allow_pipes: bool) -> Output:
    place = Path(path)
    for scp in (place, place / WAV, place / "wav" / WAV):
        if scp.suffix == ".scp" and scp.is_file():
            return Output(system, _part(Path(os.path.abspath(scp))), _read(scp, allow_pipes))
    if not place.is_dir():
        raise DataError(f"{path}: no such folder, and no list of clips (*.scp)")
    clips = {clip.source: clip.source for clip in collect([path], allow_pipes)}
    named = {_word(str(Path(source).relative_to(path).with_suffix(""))): source for source in clips}
    if len(named) < len(clips):
        raise DataError(f"{path}: files that differ in their ending or in blanks only; list them in a {WAV}")
    return Output(system, "", named)


def _read(scp: Path, allow_pipes: bool) -> dict[str, str]:
    """Read a list of clips and find where its relative paths start: here, or at one of the folders above the list."""
    wav = read_wav_scp(scp, allow_pipes)
    relative = next((source for source in wav.values() if not os.path.isabs(source) and not source.endswith("|")), None)
    if relative is None:
        return wav
    found = _ARK_OFFSET.sub("", relative)
    bases = [Path(), *scp.absolute().parents]
    base = next((base for base in bases if (base / relative).exists() or (base / found).exists()), bases[0])
    return {key: source if source.endswith("|") else str(base / source) for key, source in wav.items()}


def _search(place: Path) -> list[Path]:
    """Return the lists of clips that ESPnet's recipes wrote at or below a place, sorted."""
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise DataError(f"{place}: no such file or folder")
    found = sorted(place.glob(f"**/wav/{WAV}")) + sorted(
        path for path in place.glob(f"**/{ENHANCED}*/spk*.scp") if SPEAKER.fullmatch(path.name)
    )
    if place.name == "wav" and (place / WAV).is_file():
        found.insert(0, place / WAV)
    if not found:
        raise DataError(
            f"{place}: no */wav/{WAV} and no {ENHANCED}*/spk1.scp in it or below; "
            "give other folders of sound files a name: name=folder"
        )
    return found


def _choose(lists: Sequence[Path], parts: Sequence[str]) -> list[Path]:
    """Return the lists that belong to the wanted test sets."""
    lists = list(dict.fromkeys(Path(os.path.abspath(path)) for path in lists))
    if not parts or not lists:
        return lists
    known = {_part(path) for path in lists}
    unknown = [part for part in parts if part not in known]
    if unknown:
        raise DataError(f"no system has the test set {some(unknown)}; found: {some(sorted(known), 20) or 'none'}")
    return [path for path in lists if _part(path) in parts]


def _part(scp: Path) -> str:
    """Return the test set of a list.

    >>> _part(Path("exp/fastspeech2/decode/eval1/wav/wav.scp")), _part(Path("exp/convtasnet/enhanced_eval1/spk1.scp"))
    ('eval1', 'eval1')
    """
    if scp.name == WAV:
        return scp.parent.parent.name if scp.parent.name == "wav" else scp.parent.name
    return scp.parent.name.removeprefix(ENHANCED)


def _searched_outputs(lists: Sequence[Path], allow_pipes: bool) -> list[Output]:
    """Read the lists; a second speaker's clips become further sentences of the same system."""
    homes = [(scp.parent.parent.parent if scp.parent.name == "wav" else scp.parent.parent).parts for scp in lists]
    names = _distinct_parts(homes)
    outputs = []
    for scp, home in zip(lists, homes, strict=True):
        clips = _read(scp, allow_pipes)
        speaker = SPEAKER.fullmatch(scp.name)
        if speaker and int(speaker[1]) > 1:
            clips = {f"{key}/spk{speaker[1]}": source for key, source in clips.items()}
        outputs.append(Output(_word(names[home]), _part(scp), clips))
    return outputs


def _distinct_parts(homes: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], str]:
    """Return a name for each path: its parts without those at either end that all paths share.

    >>> _distinct_parts([("exp", "fs2", "decode"), ("exp", "vits", "decode")]).values()
    dict_values(['fs2', 'vits'])
    >>> _distinct_parts([("exp", "fs2", "decode"), ("exp", "fs2", "decode_fast")]).values()
    dict_values(['decode', 'decode_fast'])
    """
    different = sorted(set(homes))
    if not different:
        return {}
    if len(different) == 1:  # exp/<model>/<decode>: the model
        home = different[0]
        return {home: home[-2] if len(home) > 2 and home[-1].startswith(("decode", "inference")) else home[-1]}
    shortest = min(map(len, different))
    head = next((i for i in range(shortest) if len({home[i] for home in different}) > 1), shortest)
    room = shortest - head
    tail = next((i for i in range(room) if len({home[len(home) - 1 - i] for home in different}) > 1), room)
    return {home: "/".join(home[head : len(home) - tail]) or home[-1] for home in different}


def read_sentences(directory: DataDirectory) -> dict[str, str]:
    """Return key -> sentence: from ``utt2sentence``, else the key without the system and ``/``, ``_`` or ``-`` before it.

    Raises:
        DataError: if ``utt2sentence`` is damaged or has other keys.
    """
    file = directory.path / SENTENCES
    if not file.is_file():
        return {key: without_system(key, (directory.systems or {}).get(key, "")) for key in directory.keys}
    problems: list[str] = []
    table = read_table(file, str, problems)
    compare_keys(directory.path / WAV, directory.wav, file, table, problems)
    if problems:
        raise DataError(problems[0])
    return table


def without_system(key: str, system: str) -> str:
    """Return what is left of a key that starts with its system's name; the whole key if it does not.

    >>> without_system("vits/LJ050-0029", "vits"), without_system("LJ050-0029", "vits")
    ('LJ050-0029', 'LJ050-0029')
    """
    rest = key.removeprefix(system)
    return rest[1:] if rest != key and len(rest) > 1 and rest[0] in "/_-" else key
