"""Batches by length: every clip once, little padding, equal work for every rank, the same again for the same seed."""

from collections import Counter
from itertools import chain

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from distilmos_plugin.data.batches import MAX_PADDING, LengthBatches, pack
from distilmos_plugin.errors import DataError

# Durations of a listening-test corpus: log-normal around 3 s, 1 to 12 s (BVCC: mean 4 s), seconds
REALISTIC = np.clip(np.random.default_rng(17).lognormal(1.2, 0.45, 2000), 1, 12).tolist()
durations = st.lists(st.floats(0.05, 60), min_size=1, max_size=60)


def clips_of(batches):
    return sorted(chain.from_iterable(batches))


def padded(batch, seconds):
    return len(batch) * max(seconds[index] for index in batch)


def waste(batches, seconds):
    return 1 - sum(seconds) / sum(padded(batch, seconds) for batch in batches)


class TestPack:
    @settings(max_examples=200, deadline=None)
    @given(durations, st.floats(0.1, 100), st.one_of(st.none(), st.integers(1, 9)))
    def test_every_clip_once_within_the_bounds(self, seconds, batch_seconds, batch_size):
        batches = pack(seconds, batch_seconds, batch_size)
        assert clips_of(batches) == list(range(len(seconds)))
        for batch in batches:
            assert len(batch) <= (batch_size or len(seconds))
            assert len(batch) == 1 or padded(batch, seconds) <= batch_seconds
            content = sum(seconds[index] for index in batch)
            assert content >= (1 - MAX_PADDING) * padded(batch, seconds) * (1 - 1e-9)  # rounding of float64 sums

    def test_the_longest_come_first(self):
        longest = [max(REALISTIC[index] for index in batch) for batch in pack(REALISTIC, 80.0)]
        assert longest == sorted(longest, reverse=True)

    def test_realistic_lengths_waste_little(self):
        batches = pack(REALISTIC, 80.0)
        assert waste(batches, REALISTIC) < 0.02
        assert len(batches) < 1.1 * sum(REALISTIC) / 80.0  # and the batches are full

    def test_nothing_gives_nothing(self):
        assert pack([], 80.0) == []


class TestLengthBatches:
    @settings(max_examples=100, deadline=None)
    @given(durations, st.floats(0.1, 100), st.integers(1, 9), st.integers(0, 3))
    def test_every_clip_once_within_the_bounds(self, seconds, batch_seconds, batch_size, epoch):
        sampler = LengthBatches(seconds, batch_seconds, batch_size, seed=3)
        sampler.set_epoch(epoch)
        batches = list(sampler)
        assert len(batches) == len(sampler)
        assert clips_of(batches) == list(range(len(seconds)))
        for batch in batches:
            assert len(batch) <= batch_size
            assert len(batch) == 1 or padded(batch, seconds) <= batch_seconds * (1 + 1e-9)  # rounding of the draw

    @settings(max_examples=100, deadline=None)
    @given(durations, st.floats(0.1, 100), st.integers(1, 9), st.integers(2, 4))
    def test_ranks_share_every_clip_exactly_once(self, seconds, batch_seconds, batch_size, ranks):
        assume(len(seconds) >= ranks)
        shares = [
            list(LengthBatches(seconds, batch_seconds, batch_size, num_replicas=ranks, rank=rank)) for rank in range(ranks)
        ]
        assert len({len(share) for share in shares}) == 1
        assert all(batch for share in shares for batch in share)
        assert clips_of(chain.from_iterable(shares)) == list(range(len(seconds)))

    def test_single_clips_that_do_not_come_out_even(self):
        shares = [list(LengthBatches([9.0, 1.0, 8.0, 2.0, 7.0], 9.0, 1, num_replicas=2, rank=rank)) for rank in range(2)]
        assert [1, 3] in [sorted(batch) for share in shares for batch in share]  # the two shortest share a batch

    def test_fewer_clips_than_ranks(self):
        with pytest.raises(DataError, match="2 training clips cannot be shared by 3 devices"):
            LengthBatches([1.0, 2.0], 60.0, 16, num_replicas=3)

    @pytest.mark.parametrize(("batch_seconds", "batch_size"), [(60.0, 16), (30.0, 64), (200.0, 8)])
    def test_realistic_lengths_waste_less_than_15_percent(self, batch_seconds, batch_size):
        sampler = LengthBatches(REALISTIC, batch_seconds, batch_size)
        for epoch in range(5):
            sampler.set_epoch(epoch)
            assert waste(list(sampler), REALISTIC) < 0.15

    def test_batches_are_full(self):
        sampler = LengthBatches(REALISTIC, 60.0, 1000)
        assert len(sampler) < 1.2 * sum(REALISTIC) / 60.0

    def test_the_same_seed_and_epoch_give_the_same_batches(self):
        first, second = (LengthBatches(REALISTIC, 60.0, 16, seed=5) for _ in range(2))
        for epoch in (0, 1, 7):
            first.set_epoch(epoch)
            second.set_epoch(epoch)
            assert list(first) == list(second)

    def test_epochs_and_seeds_differ_in_their_batches_not_in_their_number(self):
        drawn = []
        for seed, epoch in ((0, 0), (0, 1), (1, 0)):
            sampler = LengthBatches(REALISTIC, 60.0, 16, seed=seed)
            sampler.set_epoch(epoch)
            drawn.append({frozenset(batch) for batch in sampler})
        assert len({len(batches) for batches in drawn}) == 1
        for other in drawn[1:]:
            assert len(drawn[0] & other) < 0.05 * len(other)  # the few longest have nobody to change places with

    def test_companions_change_from_epoch_to_epoch(self):
        sampler = LengthBatches(REALISTIC, 60.0, 16)
        companions = Counter()
        for epoch in range(20):
            sampler.set_epoch(epoch)
            batch = next(batch for batch in sampler if 0 in batch)
            companions.update(index for index in batch if index != 0)
        assert max(companions.values()) <= 5  # nobody sits beside clip 0 in more than a quarter of the epochs

    def test_lengths_do_not_come_in_order(self):
        longest = [max(REALISTIC[index] for index in batch) for batch in LengthBatches(REALISTIC, 60.0, 16)]
        assert abs(np.corrcoef(longest, range(len(longest)))[0, 1]) < 0.2

    def test_ranks_work_on_batches_of_like_length_at_the_same_time(self):
        shares = [list(LengthBatches(REALISTIC, 60.0, 16, num_replicas=4, rank=rank)) for rank in range(4)]
        for step in zip(*shares, strict=True):
            lengths = [max(REALISTIC[index] for index in batch) for batch in step]
            assert max(lengths) < 1.5 * min(lengths)

    def test_nobody_s_random_generator_is_touched(self):
        np.random.seed(0)
        expected = np.random.random()
        np.random.seed(0)
        list(LengthBatches(REALISTIC, 60.0, 16))
        assert np.random.random() == expected

    def test_it_is_a_batch_sampler(self):
        loader = DataLoader(REALISTIC, batch_sampler=LengthBatches(REALISTIC, 60.0, 16), collate_fn=list)
        assert clips_of(loader) == sorted(REALISTIC)
