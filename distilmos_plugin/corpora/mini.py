"""mini: a simulated listening test that is made on the spot, so that the whole recipe runs anywhere without a download.

The truth is an objective measure, not an opinion: ``utt2mos`` is the MOS-LQO of wideband PESQ (ITU-T P.862.2) of each clip
against its clean original, and the ratings are drawn around it. A predictor trained on it learns to predict PESQ without the
reference. It says nothing about how people would rate these clips, nor about natural or modern synthetic speech.

Source:   espeak-ng voices (formant synthesis, through the package ``espeakng-loader``) reading sentences of our own, or any
          folder of clean recordings (``clean_dir``); degraded by real codecs and by the signal processing in ``simulation``.
Licence:  what this makes from espeak-ng is free of rights of others; clips from ``clean_dir`` stay under the licence of the
          recordings.
Size:     900 / 240 / 240 / 240 clips of 2 to 4 s (train, dev, test, test_ood), 37 systems of 8, 16 and 22.05 kHz in the first
          three, 16 others in test_ood; 8 ratings a clip by 40 simulated listeners; about 150 MB.
Sets:     train, dev and test share the systems, the voices and the ten languages; sentences are of each set alone.
          test_ood has other languages, voices and systems.
Layout:   <output>/<set>/{wav.scp,utt2mos,utt2pesq,utt2stoi,utt2sdi,utt2system,ratings.tsv,utt2num_samples,utt2rate}
          <output>/audio/<set>/<system>_<speaker>_<number>.{wav,json}    each clip and what was measured on it
          <output>/systems.tsv    each system: its processing, its number of clips, mean and spread of its labels
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from distilmos_plugin.corpora.card import Card
from distilmos_plugin.corpora.simulation import generator
from distilmos_plugin.corpora.simulation.clips import Clip, MadeClip, Studio, make_all
from distilmos_plugin.corpora.simulation.conditions import CONDITIONS, OTHER_CONDITIONS, Condition
from distilmos_plugin.corpora.simulation.listeners import Panel
from distilmos_plugin.corpora.simulation.resynthesis import load_pyworld
from distilmos_plugin.corpora.simulation.sources import Recordings, Source, SyntheticVoices
from distilmos_plugin.data.directory import Rating, write_data_directory
from distilmos_plugin.errors import DataError, require
from distilmos_plugin.files import STAMP, atomic_write, fingerprint, stamp_is_current, write_stamp
from distilmos_plugin.progress import Progress, say

SETS = {"train": 900, "dev": 240, "test": 240, "test_ood": 240}
CARD = Card(
    name="mini",
    title="simulated listening test, truth is wideband PESQ; made on the spot",
    source="espeak-ng and our own sentences, or --clean-dir",
    licence="free (with --clean-dir: that of the recordings)",
    clips=SETS,
    targets=("mos", "pesq", "stoi", "sdi"),
)
VERSION = 1  # goes up when a change makes other clips or labels from the same options
TARGETS = ("pesq", "stoi", "sdi")
FEWEST_CLIPS = 4  # of a set
FEWEST_SYSTEMS = 4
CLIPS_PER_SYSTEM = 4  # of dev and test at least, where there are enough clips; a small corpus has fewer systems
MODULES = ("espeakng_loader", "pesq", "pystoi")


def prepare(
    output: str | os.PathLike,
    *,
    seed: int = 0,
    nj: int = 2,
    clean_dir: str | os.PathLike | None = None,
    scale: float = 1.0,
) -> None:
    """Make the corpus.

    A clip depends on the options and its own key only: the files are the same, bit for bit, whatever ``nj`` is. A run that was
    cut off goes on where it was; a corpus that is complete is left alone.

    Args:
        output: folder for everything; ``wav.scp`` holds paths that begin with it, as it is given here.
        seed: of the choice of clips, all noise, all ratings.
        nj: number of processes.
        clean_dir: folder of clean recordings instead of synthetic speech; a subfolder, or the file name up to the first
            ``_``, is the speaker.
        scale: fraction of the clips, for a quick look; very small corpora have fewer systems.

    Raises:
        DataError: if an option is out of range, the recordings are no use, or ``output`` holds another corpus.
        MissingExtra: if a package of the extra ``simulate`` is not installed.
    """
    if not 0 < scale <= 1:
        raise DataError(f"mini: scale is a fraction of the clips above 0 and up to 1, found {scale}")
    if nj < 1:
        raise DataError(f"mini: nj is a number of processes, 1 or more, found {nj}")
    for module in MODULES:
        require(module, "simulate")
    load_pyworld()
    output = Path(output)
    source: Source = SyntheticVoices() if clean_dir is None else Recordings.find(clean_dir, seed)
    clips = plan(source, seed, scale)
    inputs = {"corpus": CARD.name, "version": VERSION, "seed": seed, "scale": scale, "source": source.identity()}
    inputs["conditions"] = [asdict(condition) for condition in CONDITIONS + OTHER_CONDITIONS]
    _refuse_foreign(output)
    studio = Studio(output / "audio", source, seed, recipe=fingerprint([VERSION, source.identity()]))
    results = [*(output / part / "wav.scp" for part in SETS), *map(studio.wav, clips)]
    if stamp_is_current(output, inputs) and all(path.is_file() for path in results):
        say(f"mini: {output} is complete and current, nothing to do")
        return
    (output / STAMP).unlink(missing_ok=True)
    with Progress("mini: making clips", len(clips), "clips") as progress:
        made = make_all(studio, clips, nj, progress.advance)
    for part in SETS:
        here = [(clip, known) for clip, known in zip(clips, made, strict=True) if clip.part == part]
        _write_set(output / part, studio, here, Panel(seed))
    _write_systems(output / "systems.tsv", clips, made)
    write_stamp(output, inputs)
    counts = ", ".join(f"{part} {sum(clip.part == part for clip in clips)}" for part in SETS)
    say(f"mini: {len(clips)} clips in {output} ({counts}); the truth is wideband PESQ, an objective measure")


def plan(source: Source, seed: int, scale: float = 1.0) -> list[Clip]:
    """Choose the clips: every system equally often, and within a system every speaker, each time with another sentence."""
    sizes = {part: max(FEWEST_CLIPS, round(scale * count)) for part, count in SETS.items()}
    clips: list[Clip] = []
    for part, size in sizes.items():
        known = OTHER_CONDITIONS if part == "test_ood" else CONDITIONS
        conditions = _spread(known, max(FEWEST_SYSTEMS, min(sizes["dev"], sizes["test"]) // CLIPS_PER_SYSTEM))
        speakers = source.speakers(part)
        for index in range(size):
            turn, place = divmod(index, len(conditions))
            condition = conditions[place]
            speaker = _turn(speakers, turn, generator(seed, "speakers", part, condition.name))
            items = source.items(part, speaker)
            item = _turn(items, turn // len(speakers), generator(seed, "items", part, condition.name, speaker))
            clips.append(Clip(f"{condition.name}_{speaker}_{len(clips):04d}", part, condition, speaker, item))
    return clips


def _turn(choices: Sequence[str], turn: int, rng: np.random.Generator) -> str:
    """Return whose turn it is when all ``choices`` take turns in an order drawn from ``rng``."""
    return choices[rng.permutation(len(choices))[turn % len(choices)]]


def _spread(conditions: Sequence[Condition], count: int) -> list[Condition]:
    """Return ``count`` of the conditions, evenly spread over the list and so over their kinds."""
    if count >= len(conditions):
        return list(conditions)
    return [conditions[place] for place in np.linspace(0, len(conditions) - 1, count).round().astype(int)]


def _refuse_foreign(output: Path) -> None:
    try:
        found = json.loads((output / STAMP).read_text(encoding="utf-8"))["inputs"]["corpus"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return
    if found != CARD.name:
        raise DataError(f"{output} holds the corpus '{found}'; give '{CARD.name}' a folder of its own")


def _write_set(directory: Path, studio: Studio, clips: Sequence[tuple[Clip, MadeClip]], panel: Panel) -> None:
    targets = {target: {clip.key: getattr(made, target) for clip, made in clips} for target in TARGETS}
    truth = targets["pesq"]
    write_data_directory(
        directory,
        {clip.key: studio.wav(clip) for clip, _ in clips},
        {"mos": truth, **targets},
        systems={clip.key: clip.condition.name for clip, _ in clips},
        ratings=[Rating(key, listener, "mos", value) for key in truth for listener, value in panel.rate(key, truth[key])],
        num_samples={clip.key: made.num_samples for clip, made in clips},
        rates={clip.key: made.rate for clip, made in clips},
    )


def _write_systems(path: Path, clips: Sequence[Clip], made: Sequence[MadeClip]) -> None:
    """Write one line a system: processing, clips, mean and standard deviation of the labels."""
    conditions = {clip.condition.name: clip.condition for clip in clips}
    header = ["system", "rate", "processing", "clips", *(f"{name}_{what}" for name in TARGETS for what in ("mean", "sd"))]
    with atomic_write(path) as file:
        file.write("\t".join(header) + "\n")
        for name in sorted(conditions):
            known = [made_clip for clip, made_clip in zip(clips, made, strict=True) if clip.condition.name == name]
            numbers = [np.array([getattr(made_clip, target) for made_clip in known]) for target in TARGETS]
            figures = [f"{value:.3f}" for label in numbers for value in (label.mean(), label.std())]
            file.write("\t".join([name, str(conditions[name].rate), str(conditions[name]), str(len(known)), *figures]) + "\n")
