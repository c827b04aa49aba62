"""Frames of a clip: one closed formula for a stack of convolutions."""

import pytest
import torch

from distilmos_plugin.errors import UpstreamError
from distilmos_plugin.upstreams.frames import Framing, measure_framing, parse_convolutions

STACK = [(10, 5), (3, 2), (3, 2), (3, 2), (3, 2), (2, 2), (2, 2)]


def layer_by_layer(num_samples: int) -> int:
    for kernel, stride in STACK:
        num_samples = max((num_samples - kernel) // stride + 1, 0)
    return num_samples


def test_the_closed_formula_equals_the_convolutions_one_by_one_at_every_length():
    lengths = torch.arange(0, 3000)
    framing = Framing.of(STACK)
    expected = [layer_by_layer(n) for n in lengths.tolist()]
    assert framing.counts(lengths).tolist() == expected
    assert [framing.count(n) for n in lengths.tolist()] == expected


def test_the_formula_equals_torch_convolutions():
    signal = torch.zeros(1, 1, 5003)
    for kernel, stride in STACK:
        signal = torch.nn.functional.conv1d(signal, torch.zeros(1, 1, kernel), stride=stride)
    assert Framing.of(STACK).count(5003) == signal.shape[-1]


@pytest.mark.parametrize(
    "text",
    [
        "[(512,10,5)] + [(512,3,2)] * 4 + [(512,2,2)] * 2",
        "[(32,10,5),(32,3,2),(64,3,2),(64,3,2),(128,3,2),(128,2,2),(128,2,2)]",
    ],
)
def test_convolutions_are_read_from_the_text_of_a_configuration(text):
    assert parse_convolutions(text) == STACK


@pytest.mark.parametrize(
    "text", ["__import__('os').getcwd()", "[(512,10)]", "[1, 2]", "open('x')", "[(512,10,5)", "[].append(1)"]
)
def test_anything_else_in_that_text_is_refused_and_not_run(text):
    with pytest.raises(UpstreamError, match="conv_feature_layers"):
        parse_convolutions(text)


@pytest.mark.parametrize("framing", [Framing(400, 320), Framing(400, 160), Framing(0, 160), Framing(-200, 160), Framing(1, 1)])
def test_a_framing_is_found_by_running(framing):
    assert measure_framing(framing.count, framing.hop) == framing


def test_an_upstream_whose_hop_is_not_what_it_states_is_refused():
    with pytest.raises(UpstreamError, match="hop of 160"):
        measure_framing(Framing(400, 320).count, 160)
