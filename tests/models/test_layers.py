"""Layers that mind padding."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from distilmos_plugin.models.layers import (
    BidirectionalLSTM,
    Decoder,
    FeatureProcessor,
    MaskedBatchNorm,
    SeparableConv,
    WeightedSum,
    frame_mask,
    masked_mean,
    zero_padding,
)

LENGTHS = torch.tensor([7, 31, 1, 12])
DIM = 6


@pytest.fixture
def frames() -> torch.Tensor:
    """Frames with rubbish past each clip's end."""
    return torch.randn(len(LENGTHS), int(LENGTHS.max()), DIM, generator=torch.Generator().manual_seed(0))


def alone(frames: torch.Tensor) -> list[torch.Tensor]:
    return [clip[None, :length] for clip, length in zip(frames, LENGTHS, strict=True)]


def test_masked_mean_is_the_mean_of_each_clip(frames: torch.Tensor):
    expected = torch.stack([clip[0].mean(dim=0) for clip in alone(frames)])
    torch.testing.assert_close(masked_mean(frames, frame_mask(LENGTHS, frames.shape[1])), expected)


def test_masked_mean_ignores_what_is_not_a_number_in_the_padding(frames: torch.Tensor):
    mask = frame_mask(LENGTHS, frames.shape[1])
    frames[~mask] = torch.nan
    assert masked_mean(frames, mask).isfinite().all()


def test_training_statistics_are_those_of_the_joined_valid_frames(frames: torch.Tensor):
    masked, plain = MaskedBatchNorm(DIM), nn.BatchNorm1d(DIM)
    mask = frame_mask(LENGTHS, frames.shape[1])
    output = masked(frames, mask)
    expected = plain(torch.cat([clip[0] for clip in alone(frames)]))
    torch.testing.assert_close(output[mask], expected)
    torch.testing.assert_close(masked.running_mean, plain.running_mean)
    torch.testing.assert_close(masked.running_var, plain.running_var)
    assert not output[~mask].any()


def test_a_single_frame_in_training_is_normalised_with_the_running_statistics():
    norm = MaskedBatchNorm(DIM)
    assert norm(torch.ones(1, 1, DIM), torch.ones(1, 1, dtype=torch.bool)).isfinite().all()
    assert norm.num_batches_tracked == 0


@pytest.mark.parametrize("strides", [(1, 1, 1), (2, 1, 2), (3, 2, 1)])
def test_a_clip_is_processed_in_a_batch_as_alone(frames: torch.Tensor, strides: tuple[int, ...]):
    processor = FeatureProcessor(DIM, 8, (5, 3, 3), strides).eval()
    batch, lengths = processor(frames, LENGTHS)
    for clip, length, single in zip(batch, lengths, alone(frames), strict=True):
        expected, own = processor(single, torch.tensor([single.shape[1]]))
        assert int(own) == int(length) == expected.shape[1]
        torch.testing.assert_close(clip[:length], expected[0], rtol=0, atol=1e-6)
        assert not clip[length:].any()


def test_with_a_stride_output_frame_j_is_centred_on_input_frame_j_times_stride():
    block = SeparableConv(1, kernel=5, stride=3).eval()
    nn.init.zeros_(block.dw.weight)
    block.dw.weight.data[:, :, 2] = 1.0  # the centre tap alone
    nn.init.ones_(block.pw.weight)
    frames = torch.arange(10.0)[None, :, None]
    output, lengths = block(frames, torch.tensor([10]))
    expected = nn.functional.gelu(frames[:, ::3] / (1 + block.bn.eps) ** 0.5)
    assert lengths.tolist() == [4]
    torch.testing.assert_close(output, expected)


def test_a_clip_is_decoded_in_a_batch_as_alone(frames: torch.Tensor):
    decoder = Decoder(DIM, dropout=0.1).eval()
    batch = decoder(zero_padding(frames, LENGTHS), LENGTHS)
    for clip, single in zip(batch, alone(frames), strict=True):
        length = single.shape[1]
        torch.testing.assert_close(clip[:length], decoder(single, torch.tensor([length]))[0], rtol=0, atol=1e-6)


def test_entmax_can_leave_a_layer_out_and_softmax_cannot():
    for weighting, zeros in (("entmax", 1), ("softmax", 0)):
        mix = WeightedSum(3, DIM, weighting)
        mix.layer_logits.data = torch.tensor([3.0, 2.9, -3.0])
        assert mix.weights().sum().item() == pytest.approx(1.0, abs=1e-6)
        assert int((mix.weights() == 0).sum()) == zeros


def test_the_last_layer_alone_needs_no_weights(frames: torch.Tensor):
    mix = WeightedSum(2, DIM, "last", project=False)
    assert not list(mix.parameters())
    assert mix([frames, frames + 1]) is not frames
    torch.testing.assert_close(mix([frames, frames + 1]), frames + 1)


def test_the_lstm_over_padded_clips_is_torchs_over_packed_ones(frames: torch.Tensor):
    lstm = BidirectionalLSTM(DIM, 5)
    mask = frame_mask(LENGTHS, frames.shape[1])[..., None]
    inputs = [frames.clone().requires_grad_() for _ in range(2)]
    packed = pack_padded_sequence(inputs[0], LENGTHS, batch_first=True, enforce_sorted=False)
    expected, _ = pad_packed_sequence(nn.LSTM.forward(lstm, packed)[0], batch_first=True)
    found = lstm(inputs[1], LENGTHS) * mask
    torch.testing.assert_close(found, expected)

    references = torch.autograd.grad(expected.square().sum(), [inputs[0], *lstm.parameters()])
    gradients = torch.autograd.grad(found.square().sum(), [inputs[1], *lstm.parameters()])
    for gradient, reference in zip(gradients, references, strict=True):
        torch.testing.assert_close(gradient, reference)
