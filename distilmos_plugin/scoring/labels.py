"""Predicted scores as the labels of a data directory: Kaldi text, or pseudo-labels to train on."""

from __future__ import annotations

import os
from pathlib import Path

from distilmos_plugin.data.directory import DataDirectory, write_data_directory
from distilmos_plugin.errors import DataError, some
from distilmos_plugin.files import atomic_write
from distilmos_plugin.progress import say
from distilmos_plugin.scoring.results import read_scores

SIGNATURE = "signature"  # the file that says what made the labels


def write_labels(scores_path: str | os.PathLike, directory: DataDirectory, output: str | os.PathLike) -> DataDirectory:
    """Write a data directory of the clips that have a score, with each score as its ``utt2<target>`` (``utt2mos``).

    System ids, lengths and rates come along; the directory's own labels and ratings do not. The file ``signature`` says which
    model made the labels.

    Raises:
        DataError: if no clip of the directory has a score, or several models scored them.
    """
    scores = {score.key: score for score in read_scores(scores_path) if score.ok}
    keys = [key for key in directory.keys if key in scores]
    if not keys:
        raise DataError(f"{scores_path}: no score for any of the {len(directory.keys)} clips of {directory.path}")
    signatures = sorted({scores[key].signature for key in keys})
    if len(signatures) > 1:
        raise DataError(f"{scores_path}: scores of different models or settings ({some(signatures)}); score into a new file")
    if Path(output).exists() and Path(output).samefile(directory.path):
        raise DataError(f"{output}: holds the clips' own labels; give the scores another folder")

    def chosen(table: dict | None) -> dict | None:
        return None if table is None else {key: table[key] for key in keys}

    labelled = write_data_directory(
        output,
        chosen(directory.wav),
        {target: {key: scores[key].targets[target] for key in keys} for target in scores[keys[0]].targets},
        chosen(directory.systems),
        num_samples=chosen(directory.num_samples),
        rates=chosen(directory.rates),
    )
    with atomic_write(labelled.path / SIGNATURE) as file:
        file.write(f"{signatures[0]}\n")
    left = len(directory.keys) - len(keys)
    say(f"{labelled.path}: {len(keys)} clips" + (f"; {left} without a score are left out" if left else ""))
    return labelled
