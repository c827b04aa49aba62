"""Training items: crops with tokens cut to match, single ratings, the same draw whoever reads."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from torch.utils.data import DataLoader

from distilmos_plugin.audio import read_audio
from distilmos_plugin.data.batches import LengthBatches
from distilmos_plugin.data.dataset import MEAN_LISTENER, NO_LISTENER, NO_TOKEN, TrainingClips, collate, listener_numbers
from distilmos_plugin.data.directory import Rating, write_data_directory
from distilmos_plugin.errors import DataError

RATE, HOP, FIELD = 16000, 320, 400  # Hz; samples from frame to frame and of one frame in the wav2vec 2.0 front end
LENGTHS = {"a": 16000, "b": 24000, "c": 40321}  # samples
LISTENERS = ("kim", "lee", "max")


def frames(num_samples):
    return (num_samples - FIELD) // HOP + 1


@pytest.fixture
def directory(tmp_path):
    for key, length in LENGTHS.items():
        # every sample is its own position, so that a crop shows where it was cut
        soundfile.write(tmp_path / f"{key}.wav", np.arange(length) / 2**17, RATE, subtype="FLOAT")
    return write_data_directory(
        tmp_path / "data",
        {key: str(tmp_path / f"{key}.wav") for key in LENGTHS},
        {"mos": {"a": 1.5, "b": 2.5, "c": 3.5}, "sig": {"a": 2.0, "b": 3.0, "c": 4.0}},
        ratings=[Rating(key, name, "mos", float(i)) for key in LENGTHS for i, name in enumerate(LISTENERS, start=1)]
        + [Rating("a", "kim", "sig", 5.0)],
    )


@pytest.fixture
def tokens():
    """Two layers: the frame's number, and the same plus 1000."""
    return {
        key: np.stack([np.arange(frames(n)), np.arange(frames(n)) + 1000], axis=1).astype(np.uint16)
        for key, n in LENGTHS.items()
    }


def clips(directory, **options):
    return TrainingClips(directory, sample_rate=RATE, **options)


class TestWholeClips:
    def test_an_item_is_the_audio_with_its_labels(self, directory):
        item = clips(directory, targets=("mos", "sig"))[1]
        assert (item.key, item.targets) == ("b", {"mos": 2.5, "sig": 3.0})
        np.testing.assert_array_equal(item.waveform, read_audio(directory.wav["b"], RATE).samples)
        assert (item.tokens, item.listeners, item.ratings) == (None, None, None)

    def test_audio_is_resampled(self, directory):
        assert len(TrainingClips(directory, sample_rate=8000)[0].waveform) == LENGTHS["a"] // 2

    def test_seconds_are_those_of_the_items(self, directory):
        for max_seconds in (None, 2.0):
            dataset = clips(directory, max_seconds=max_seconds, hop_seconds=HOP / RATE)
            for index, seconds in enumerate(dataset.seconds):
                # a crop ends on a frame, and so may be up to a frame shorter than it may be
                assert 0 <= seconds * RATE - len(dataset[index].waveform) < HOP


class TestCrops:
    def test_tokens_are_cut_with_the_audio(self, directory, tokens):
        dataset = clips(directory, max_seconds=1.0, tokens=tokens, hop_seconds=HOP / RATE)
        starts = set()
        for epoch in range(20):
            dataset.set_epoch(epoch)
            for index, key in enumerate(LENGTHS):
                item = dataset[index]
                start = round(float(item.waveform[0]) * 2**17)
                assert start % HOP == 0
                assert RATE - HOP < len(item.waveform) <= RATE
                assert len(item.tokens) == frames(len(item.waveform))
                assert item.tokens[:, 0].tolist() == list(range(start // HOP, start // HOP + len(item.tokens)))
                starts.add((key, start))
        assert {start for key, start in starts if key == "a"} == {0}  # as long as it may be
        assert len({start for key, start in starts if key == "c"}) > 10

    def test_the_draw_depends_on_seed_epoch_and_key_alone(self, directory):
        def starts(seed, epoch, order):
            dataset = clips(directory, max_seconds=0.5, seed=seed)
            dataset.set_epoch(epoch)
            return {dataset.keys[index]: float(dataset[index].waveform[0]) for index in order}

        first = starts(0, 0, [0, 1, 2])
        assert starts(0, 0, [2, 0, 1]) == first
        assert starts(0, 1, [0, 1, 2]) != first
        assert starts(1, 0, [0, 1, 2]) != first

    def test_nobody_s_random_generator_is_touched(self, directory):
        torch.manual_seed(0)
        np.random.seed(0)
        expected = torch.rand(1), np.random.random()
        torch.manual_seed(0)
        np.random.seed(0)
        clips(directory, max_seconds=0.5, single_ratings=2, listeners=listener_numbers(directory))[0]
        assert (torch.rand(1), np.random.random()) == expected


class TestRatings:
    def test_listeners_are_numbered_behind_the_mean_listener(self, directory):
        assert listener_numbers(directory) == {"kim": 1, "lee": 2, "max": 3}
        assert MEAN_LISTENER == 0

    def test_a_listener_s_rating_stays_his(self, directory):
        dataset = clips(directory, single_ratings=2, listeners=listener_numbers(directory))
        drawn = set()
        for epoch in range(20):
            dataset.set_epoch(epoch)
            item = dataset[0]
            assert item.listeners.tolist() == item.ratings.int().tolist()  # the n-th listener rated n; no rating of 'sig'
            assert len(set(item.listeners.tolist())) == 2  # without replacement
            drawn.add(tuple(item.listeners.tolist()))
        assert len(drawn) == 6

    def test_ratings_of_other_targets_alone_are_refused(self, directory):
        """Training would otherwise go on without a single listener having been learnt."""
        others = replace(directory, ratings=[rating for rating in directory.ratings if rating.target == "sig"])
        with pytest.raises(DataError, match=r"ratings\.tsv has no rating of 'mos', the first target.* it has sig"):
            clips(others, single_ratings=2, listeners=listener_numbers(others))

    def test_places_without_a_rating_are_marked(self, directory):
        item = clips(directory, single_ratings=5, listeners={"lee": 1})[0]
        assert item.listeners.tolist() == [1, *[NO_LISTENER] * 4]
        assert item.ratings[0] == 2.0
        assert item.ratings[1:].isnan().all()


class TestErrors:
    def test_a_target_without_labels(self, directory):
        with pytest.raises(DataError, match="no utt2bak"):
            clips(directory, targets=("mos", "bak"))

    def test_no_ratings(self, directory):
        bare = write_data_directory(directory.path, directory.wav, directory.targets)
        with pytest.raises(DataError, match=r"no ratings\.tsv"):
            clips(bare, single_ratings=1, listeners={})

    def test_missing_tokens(self, directory, tokens):
        del tokens["b"]
        with pytest.raises(DataError, match=r"no tokens for 1 of 3 clips \(b\)"):
            clips(directory, tokens=tokens, hop_seconds=HOP / RATE)

    def test_tokens_of_other_audio(self, directory, tokens):
        tokens["a"] = tokens["c"]
        with pytest.raises(DataError, match=r"key 'a'.*extract the tokens again"):
            clips(directory, tokens=tokens, hop_seconds=HOP / RATE)[0]

    def test_clips_that_the_upstream_cannot_take(self, directory):
        with pytest.raises(DataError, match=r"2 clips are shorter than 2\.000 s: a, b"):
            clips(directory, min_seconds=2.0)

    def test_audio_that_vanished_names_its_key(self, directory, tmp_path):
        dataset = clips(directory)
        (tmp_path / "b.wav").unlink()
        with pytest.raises(DataError, match=r"wav\.scp: key 'b'.*no such file"):
            dataset[1]


class TestBatch:
    def test_waveforms_stay_unpadded_and_tokens_are_padded(self, directory, tokens):
        dataset = clips(
            directory, tokens=tokens, hop_seconds=HOP / RATE, single_ratings=4, listeners=listener_numbers(directory)
        )
        batch = collate([dataset[index] for index in range(3)])
        assert batch.keys == ["a", "b", "c"]
        assert [len(waveform) for waveform in batch.waveforms] == list(LENGTHS.values())
        assert batch.labels.targets["mos"].tolist() == [1.5, 2.5, 3.5]
        assert batch.labels.tokens.shape == (3, frames(LENGTHS["c"]), 2)
        assert batch.labels.tokens.dtype == torch.int64
        short = frames(LENGTHS["a"])
        assert (batch.labels.tokens[0, short:] == NO_TOKEN).all()
        assert (batch.labels.tokens[0, :short] >= 0).all()
        assert batch.labels.listeners.shape == batch.labels.ratings.shape == (3, 4)

    def test_without_tokens_and_ratings_the_labels_hold_none(self, directory):
        labels = collate([clips(directory)[0]]).labels
        assert (labels.tokens, labels.listeners, labels.ratings) == (None, None, None)

    def test_a_pickled_dataset_gives_the_same(self, directory):
        dataset = clips(directory, max_seconds=0.5, seed=4)
        dataset.set_epoch(3)
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(dataset))[2].waveform, dataset[2].waveform)

    @pytest.mark.parametrize("workers", [0, 2])
    def test_loading_processes_that_live_on_see_the_epoch(self, directory, workers):
        dataset = clips(directory, max_seconds=0.5, seed=4)
        sampler = LengthBatches(dataset.seconds, 10.0, 2)
        loader = DataLoader(
            dataset, batch_sampler=sampler, collate_fn=collate, num_workers=workers, persistent_workers=workers > 0
        )
        for epoch in range(3):
            dataset.set_epoch(epoch)
            sampler.set_epoch(epoch)
            for batch in loader:
                for key, waveform in zip(batch.keys, batch.waveforms, strict=True):
                    np.testing.assert_array_equal(waveform, dataset[dataset.keys.index(key)].waveform)
