"""The draw of frames: equal shares, bounded memory, the same whatever the batches."""

import numpy as np
import pytest
import torch

from distilmos_plugin.tokens.sample import FrameSample, equal_shares
from distilmos_plugin.upstreams.upstream import HiddenStates


def hidden_states(lengths: dict[str, int], layers: int = 3, dim: int = 4, offset: int = 0) -> HiddenStates:
    """States whose every value tells clip, frame and layer; padding is a number that must never be drawn."""
    longest = max(lengths.values())
    states = []
    for layer in range(layers):
        state = torch.full((len(lengths), longest, dim), 1e6)
        for row, (key, length) in enumerate(lengths.items()):
            state[row, :length] = torch.arange(length).unsqueeze(1) + 1000.0 * int(key) + 1e5 * layer
        states.append(state)
    return HiddenStates(tuple(states), torch.tensor(list(lengths.values())))


LENGTHS = {"1": 50, "2": 7, "3": 200, "4": 120}


def test_every_clip_gives_the_same_number_of_frames_or_all_it_has():
    assert equal_shares(LENGTHS, 97, seed=0) == {"1": 30, "2": 7, "3": 30, "4": 30}


@pytest.mark.parametrize("max_frames", [1, 3, 4, 50, 97, 376, 377, 378, 10_000])
def test_the_shares_never_exceed_the_bound(max_frames):
    shares = equal_shares(LENGTHS, max_frames, seed=0)
    assert sum(shares.values()) <= max_frames
    assert all(1 <= shares[key] <= LENGTHS[key] for key in shares)
    if max_frames >= sum(LENGTHS.values()):
        assert shares == LENGTHS


def test_with_more_clips_than_frames_the_seed_decides_which_clips_give_one():
    frames = {str(index): 10 for index in range(100)}
    draws = [equal_shares(frames, 20, seed) for seed in (0, 0, 1)]
    assert set(draws[0].values()) == {1}
    assert len(draws[0]) == 20
    assert draws[0] == draws[1] != draws[2]


def test_the_sample_holds_only_valid_frames_of_every_layer_at_the_same_places():
    sample = FrameSample(equal_shares(LENGTHS, 97, seed=0), layers=(1, 2), dim=4, seed=0)
    sample.add(list(LENGTHS), hidden_states(LENGTHS))
    first, second = sample.layer(0), sample.layer(1)
    assert first.shape == second.shape == (97, 4)
    assert np.array_equal(second - first, np.full((97, 4), 1e5))
    clips, counts = np.unique(first[:, 0] % 1e5 // 1000, return_counts=True)
    assert dict(zip(clips.tolist(), counts.tolist(), strict=True)) == {1: 30, 2: 7, 3: 30, 4: 30}
    assert len(np.unique(first[:, 0])) == 97  # without replacement


def test_memory_is_taken_once_and_never_exceeds_the_bound():
    sample = FrameSample(equal_shares(LENGTHS, 97, seed=0), layers=(1, 2), dim=4, seed=0)
    before = sample.nbytes
    for key, length in LENGTHS.items():
        sample.add([key], hidden_states({key: length}))
        assert sample.filled <= 97
    assert sample.nbytes == before == 97 * 2 * 4 * 4


def test_the_draw_depends_on_seed_and_key_but_not_on_batches_or_their_order():
    def draw(batches, seed=0):
        sample = FrameSample(equal_shares(LENGTHS, 97, seed), layers=(1,), dim=4, seed=seed)
        for keys in batches:
            sample.add(list(keys), hidden_states({key: LENGTHS[key] for key in keys}))
        return sample.layer(0)

    expected = draw(["1234"])
    assert np.array_equal(draw(["3", "14", "2"]), expected)
    assert not np.array_equal(draw(["1234"], seed=1), expected)


def test_a_clip_that_gives_a_frame_less_than_its_header_promised_leaves_no_gap():
    sample = FrameSample({"1": 50, "2": 7}, layers=(1,), dim=4, seed=0)
    sample.add(["1", "2"], hidden_states({"1": 49, "2": 7}))
    assert sample.layer(0).shape == (56, 4)
    assert np.isfinite(sample.layer(0)).all()
