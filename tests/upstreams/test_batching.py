"""A clip in a padded batch gives what it gives alone, in every layer."""

import pytest
import torch
from torch.testing import assert_close

from .material import EXACT_KINDS, noise

# float32 sums in another order; the error without the exact front end and mask is 2e-2 to 5e-1.
TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}
LENGTHS = (  # samples: the longest, to which the others are padded, and awkward ones
    (20 * 16000, 400, 720, 3521),
    (2 * 16000, 400, 719, 720, 3199, 3200, 3201, 3519, 3520, 3521, 16000),
)


@pytest.mark.parametrize("lengths", LENGTHS, ids=("20 s", "2 s"))
@pytest.mark.parametrize("kind", [*EXACT_KINDS, "tiny"])
def test_every_layer_of_every_clip_is_the_same_in_a_batch_and_alone(kind, lengths, load):
    upstream = load(kind)
    clips = [noise(count, seed=count) for count in lengths]
    assert upstream.exact
    with torch.inference_mode():
        batch = upstream(clips)
        for row, clip in enumerate(clips[1:], start=1):
            alone = upstream([clip])
            length = int(batch.lengths[row])
            assert (
                length
                == int(alone.lengths[0])
                == alone.states[0].shape[1]
                == int(upstream.frame_lengths(torch.tensor(len(clip))))
            )
            for layer, (together, single) in enumerate(zip(batch.states, alone.states, strict=True)):
                assert_close(together[row, :length], single[0], **TOLERANCE, msg=lambda text, k=layer: f"layer {k}: {text}")


@pytest.mark.parametrize("kind", ["wavlm", "hubert", "wav2vec2", "hf_wav2vec2"])
def test_the_gradient_of_a_batch_is_the_sum_of_the_gradients_of_its_clips(kind, load):
    upstream = load(kind, train_front_end=True)
    clips = [noise(16000, seed=1), noise(5003, seed=2)]

    def gradient(batch):
        upstream.zero_grad()
        hidden = upstream(batch)
        mask = torch.arange(hidden.states[0].shape[1]) < hidden.lengths.unsqueeze(1)
        sum((state.tanh() * mask.unsqueeze(2)).sum() for state in hidden.states).backward()
        return {name: value.grad.clone() for name, value in upstream.named_parameters() if value.grad is not None}

    together, first, second = gradient(clips), gradient(clips[:1]), gradient(clips[1:])
    assert any("feature_extractor" in name for name in together)
    for name, value in together.items():
        expected = first[name] + second[name]
        # Sums over some 10 000 frames and channels: relative to the largest entry, not entry by entry. Stock s3prl: 3e-2.
        assert (value - expected).abs().max() <= 1e-5 * max(expected.abs().max(), 1.0), name


def test_a_padded_batch_with_lengths_equals_a_list_of_clips(load):
    upstream = load("tiny")
    clips = [noise(9000), noise(4000)]
    padded = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True) + 0.0
    padded[1, 4000:] = 7.0  # what stands in the padding does not matter
    with torch.inference_mode():
        expected, found = upstream(clips), upstream(padded, torch.tensor([9000, 4000]))
    assert expected.lengths.tolist() == found.lengths.tolist()
    assert all(torch.equal(a, b) for a, b in zip(expected.states, found.states, strict=True))


@pytest.mark.parametrize("kind", ["fbank", "mel", "wav2vec2_conformer"])
def test_where_batches_cannot_be_exact_clips_run_in_groups_of_equal_length(kind, load):
    upstream = load(kind)
    clips = [noise(count, seed=row) for row, count in enumerate((16000, 5000, 16000, 3203))]
    assert not upstream.exact
    with torch.inference_mode():
        batch = upstream(clips)
        for row, clip in enumerate(clips):
            alone, length = upstream([clip]), int(upstream.frame_lengths(torch.tensor(len(clip))))
            assert length == int(batch.lengths[row]) == alone.states[0].shape[1]
            for together, single in zip(batch.states, alone.states, strict=True):
                assert_close(together[row, :length], single[0], **TOLERANCE)


@pytest.mark.parametrize("count", [400, 719, 16001, 16384])
def test_a_front_end_made_for_few_lengths_gives_what_its_convolutions_give(count, load):
    front_end = load("tiny").expert.model.feature_extractor
    clip = noise(count, seed=0)[None]
    with torch.inference_mode():
        found = front_end(clip)
        for module in front_end.modules():
            if isinstance(module, torch.nn.Conv1d):
                del module.forward  # back to the class's own
        expected = front_end(clip)
    assert_close(found, expected, **TOLERANCE)
