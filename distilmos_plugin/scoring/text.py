"""Scores as the text files of Kaldi and ESPnet: ``utt2mos``, ``utt2<target>``."""

from __future__ import annotations

import os
from pathlib import Path

from distilmos_plugin.errors import DataError, some
from distilmos_plugin.files import atomic_write
from distilmos_plugin.progress import say
from distilmos_plugin.scoring.results import DECIMALS, read_scores


def write_text(scores_path: str | os.PathLike, output: str | os.PathLike) -> list[Path]:
    """Write one ``utt2<target>`` for each target into the folder ``output``: ``<key> <score>`` lines, sorted as ``LC_ALL=C``.

    Clips without a score are left out, and counted. Returns the files.

    Raises:
        DataError: if no clip has a score, several models made them, or a key holds white space, as a path may.
    """
    scores = read_scores(scores_path)
    scored = sorted((score for score in scores if score.ok), key=lambda score: score.key)
    if not scored:
        raise DataError(f"{scores_path}: none of its {len(scores)} clips has a score")
    signatures = sorted({score.signature for score in scored})
    if len(signatures) > 1:
        raise DataError(f"{scores_path}: scores of different models or settings ({some(signatures)}); score into a new file")
    if bad := [score.key for score in scored if len(score.key.split()) != 1]:
        raise DataError(
            f"{scores_path}: keys with white space ({some(map(repr, bad), 3)}); score a wav.scp, which names clips"
        )
    files = []
    for target in scored[0].targets:
        files.append(Path(output) / f"utt2{target}")
        with atomic_write(files[-1]) as file:
            file.writelines(f"{score.key} {score.targets[target]:.{DECIMALS}f}\n" for score in scored)
    left = len(scores) - len(scored)
    say(f"{', '.join(map(str, files))}: {len(scored)} clips" + (f"; {left} without a score are left out" if left else ""))
    return files
