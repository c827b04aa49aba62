"""Items of pooled corpora: numbers of domains, balanced sampling."""

from collections import Counter

import numpy as np
import pytest
import soundfile
import torch

from distilmos_plugin.data.dataset import TrainingClips, balanced, collate, domain_numbers
from distilmos_plugin.data.directory import DataDirectory, write_data_directory

RATE = 16000
SIZES = {"bvcc": 7, "somos": 3, "nisqa": 1}  # clips of each corpus


@pytest.fixture(scope="module")
def pooled(tmp_path_factory) -> DataDirectory:
    folder = tmp_path_factory.mktemp("pooled")
    keys = [f"{corpus}/{number}" for corpus, count in SIZES.items() for number in range(count)]
    wav = {key: folder / f"{key.replace('/', '-')}.wav" for key in keys}
    for path in wav.values():  # every sample is its own position, so that a crop shows where it was cut
        soundfile.write(path, np.arange(RATE) / 2**17, RATE, subtype="FLOAT")
    domains = {key: key.partition("/")[0] for key in keys}
    return write_data_directory(folder / "data", wav, {"mos": dict.fromkeys(keys, 3.0)}, domains=domains)


def test_domains_are_numbered_from_1_in_sorted_order(pooled):
    assert domain_numbers(pooled) == {"bvcc": 1, "nisqa": 2, "somos": 3}


def test_items_and_batches_carry_their_domain(pooled):
    clips = TrainingClips(pooled, sample_rate=RATE, domains=domain_numbers(pooled))
    batch = collate([clips[index] for index in range(len(clips))])
    assert batch.labels.domains.dtype == torch.int64
    assert batch.labels.domains.tolist() == [1] * 7 + [2] + [3] * 3
    assert collate([TrainingClips(pooled, sample_rate=RATE)[0]]).labels.domains is None


def test_balanced_sampling_gives_every_corpus_as_many_clips_and_leaves_none_out(pooled):
    keys = balanced(pooled, seed=0)
    assert Counter(key.partition("/")[0] for key in keys) == dict.fromkeys(SIZES, max(SIZES.values()))
    assert set(keys) == set(pooled.keys)
    turns = Counter(keys)
    assert sorted(turns[f"somos/{number}"] for number in range(3)) == [2, 2, 3]  # as equally often as 7 allows
    assert keys == balanced(pooled, seed=0)
    assert any(keys != balanced(pooled, seed=seed) for seed in range(1, 6))  # who comes once more is drawn


def test_a_clip_that_comes_twice_is_cropped_twice(pooled):
    clips = TrainingClips(pooled, sample_rate=RATE, max_seconds=0.1, keys=balanced(pooled, seed=0))
    starts = {float(clips[index].waveform[0]) for index, key in enumerate(clips.keys) if key == "nisqa/0"}
    assert len(starts) > 3  # of 7 draws
    assert len(clips.seconds) == len(clips) == 21


def test_repeats_change_nothing_about_the_first_time(pooled):
    once = TrainingClips(pooled, sample_rate=RATE, max_seconds=0.1)
    repeated = TrainingClips(pooled, sample_rate=RATE, max_seconds=0.1, keys=[*pooled.keys, *pooled.keys])
    for index in range(len(once)):
        assert torch.equal(once[index].waveform, repeated[index].waveform)
