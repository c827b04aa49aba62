"""Analog filters, the taps designed from them, and the instants at which frames fall."""

from __future__ import annotations

import math

import numpy as np
import pytest
import soxr
import torch
from torch.testing import assert_close

from distilmos_plugin.upstreams.sfi.design import (
    SINC_REACH,
    Instants,
    design,
    design_frequencies,
    least_squares,
    resampled_length,
    response_of,
    sinc_weights,
    tap_numbers,
)
from distilmos_plugin.upstreams.sfi.filters import ModulatedGaussian, NeuralAnalogFilter, erb_to_hz, hz_to_erb

RATES = (8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000)


def first_convolution(rate: int) -> Instants:
    return Instants(kernel=10, stride=5, base_rate=16000, rate=rate)


def band_limited(rate: int, seconds: float = 0.5, highest: float = 3200.0) -> torch.Tensor:
    """A sum of sines below ``highest`` Hz that fades in and out, sampled at ``rate``: the same sound at any rate."""
    generator = np.random.default_rng(0)
    time = np.arange(round(seconds * rate)) / rate
    tones = [generator.normal() * np.sin(2 * np.pi * f * time + f) for f in generator.uniform(100, highest, 12)]
    return torch.tensor(sum(tones) * np.sin(np.pi * time / seconds) ** 2 * 0.1, dtype=torch.float32)


@pytest.fixture
def neural() -> NeuralAnalogFilter:
    torch.manual_seed(0)
    return NeuralAnalogFilter(channels=6, features=16, hidden=(24, 24))


def test_taps_are_the_least_squares_fit():
    """The pseudo-inverse without a ridge; with one, shorter taps."""
    angles = 2 * math.pi / 24000 * design_frequencies(24000, 100)[:, None] * tap_numbers(15)
    response = torch.cat([angles.cos(), -angles.sin()])
    assert_close(least_squares(24000, 15, 100, 0.0), torch.linalg.pinv(response))
    assert least_squares(24000, 15, 100, 0.1).norm() < least_squares(24000, 15, 100, 0.0).norm()


@pytest.mark.parametrize("taps", [7, 10])
def test_taps_come_back_from_their_own_response(taps: int):
    wanted = torch.randn(3, taps, dtype=torch.float64)
    response = response_of(wanted, design_frequencies(16000, 200), 16000)
    assert_close(design(response, 16000, taps, 0.0), wanted)
    longer = design(response, 16000, taps + 6, 0.0)
    assert_close(longer[:, 3:-3], wanted)  # the time of a tap does not depend on how many there are
    assert_close(torch.cat([longer[:, :3], longer[:, -3:]], -1), torch.zeros(3, 6, dtype=torch.float64))


def test_what_a_filter_does_above_half_the_rate_does_not_matter():
    def taps(kind: torch.nn.Module) -> torch.Tensor:
        return design(kind(design_frequencies(8000, 64).float()), 8000, 10, 1e-6)

    class Step(torch.nn.Module):
        def __init__(self, above: float) -> None:
            super().__init__()
            self.above = above

        def forward(self, frequencies: torch.Tensor) -> torch.Tensor:
            response = torch.where(frequencies <= 4000, torch.cos(frequencies / 1000), self.above)
            return torch.complex(response, torch.zeros_like(response))[None]

    assert_close(taps(Step(0.0)), taps(Step(100.0)), rtol=0, atol=0)


def test_a_response_belongs_to_its_frequency_alone(neural):
    """GroupNorm over all frequencies, which the authors have, makes it depend on the others, and so on the rate."""
    alone, among = torch.tensor([1000.0]), torch.linspace(0, 24000, 25)
    with torch.no_grad():
        # float32 sums in another order
        assert_close(neural(alone)[:, 0], neural(among)[:, 1], rtol=1e-5, atol=1e-6)
        coupled = NeuralAnalogFilter(channels=6, features=16, hidden=(24, 24), coupled=True)
        coupled.load_state_dict(neural.state_dict())  # the same parameters
        assert (coupled(among[:13])[:, 1] - coupled(among)[:, 1]).abs().max() > 0.01


def test_a_neural_filter_is_silent_above_its_highest_frequency(neural):
    neural.max_frequency = 8000.0
    response = neural(torch.tensor([7900.0, 8100.0])).detach()
    assert response[:, 0].abs().min() > 0
    assert not response[:, 1].any()


def test_the_published_neural_filter_has_the_published_size():
    """339,392 parameters for 512 channels, counted in the authors' layers."""
    assert sum(parameter.numel() for parameter in NeuralAnalogFilter(512).parameters()) == 339_392


def test_modulated_gaussians_are_bells_around_centres_on_the_erb_scale():
    torch.manual_seed(0)
    gaussian = ModulatedGaussian(5)
    centres = gaussian.mu.detach() / (2 * math.pi)
    assert_close(centres[[0, -1]], torch.tensor([50.0, 24000.0]))
    steps = hz_to_erb(centres).diff()
    assert_close(steps, steps.mean().expand(4), rtol=1e-4, atol=0)  # float32
    assert_close(erb_to_hz(hz_to_erb(centres)), centres)
    with torch.no_grad():
        magnitude = gaussian(torch.stack([centres[3], centres[3] + 100.0])).abs()[3]
    assert_close(magnitude, torch.tensor([1.0, math.exp(-0.5)]))  # one standard deviation of 100 Hz away


@pytest.mark.parametrize("rate", RATES)
def test_frames_are_as_many_and_at_the_same_times_at_every_rate(rate: int):
    instants = first_convolution(rate)
    for seconds in (0.025, 0.5, 1.00003):
        num_samples = round(seconds * rate)
        assert instants.count(num_samples) == (resampled_length(num_samples, rate, 16000) - 10) // 5 + 1
    before, after = instants.places(1000)
    assert_close((before + after) / rate, (torch.arange(1000, dtype=torch.float64) * 5 + 5) / 16000)
    assert instants.phases == {8000: 2, 11025: 128, 22050: 64, 24000: 2, 44100: 32}.get(rate, 1)


def test_lengths_are_those_of_the_resampler():
    for rate in RATES:
        for count in (400, 1001, 12345):
            resampled = soxr.resample(np.zeros(count, np.float32), rate, 16000, quality="VHQ")
            assert resampled_length(count, rate, 16000) == len(resampled)


@pytest.mark.parametrize("rate", [8000, 22050, 24000])
def test_windows_between_samples_equal_interpolating_what_was_filtered_at_every_sample(rate: int):
    """Nakamura's remedy for strides that are not whole: convolve at stride 1, interpolate by a windowed sinc."""
    wave, taps = band_limited(rate), 13
    kernel = torch.randn(taps, generator=torch.Generator().manual_seed(1))
    instants = first_convolution(rate)
    found = instants.windows(wave[None], taps)[0] @ kernel
    ends = SINC_REACH + taps  # samples of silence on either side, so that every sample has a filtered value
    padded = torch.nn.functional.pad(wave, (ends, ends))
    at_every_sample = torch.nn.functional.conv1d(padded[None, None], kernel[None, None])[0, 0]
    before, shift = instants.places(len(found))
    first = before + ends - taps // 2  # the filtered value whose window has the sample `before` at tap `taps // 2`
    neighbours = at_every_sample[first[:, None] + torch.arange(1 - SINC_REACH, SINC_REACH + 1)]
    assert_close(found, (neighbours * sinc_weights(shift).float()).sum(-1), rtol=1e-4, atol=1e-5)  # float32 sums


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 24000, 44100, 48000])
def test_windows_hold_the_sound_at_the_instants_themselves(rate: int):
    """The middle of each window is the sound's value at the frame's time, whatever the rate."""
    instants, wave = first_convolution(rate), band_limited(rate)
    middle = instants.windows(wave[None], 1)[0, :, 0]
    fine = band_limited(16000)[5::5][: len(middle)]  # 16 kHz has a sample at each of these times
    # up to 3.2 kHz, 0.8 of half of 8 kHz; the sinc's pass band ends there
    assert_close(middle[: len(fine)], fine, rtol=0, atol=2e-3 * float(fine.abs().max()))


def test_a_gradient_reaches_the_waveform_and_the_filter(neural):
    wave = band_limited(22050)[None].requires_grad_()
    kernel = design(neural(design_frequencies(22050, 64).float()), 22050, 14, 1e-6)
    (first_convolution(22050).windows(wave, 14) @ kernel.T).square().mean().backward()
    assert wave.grad.abs().sum() > 0
    assert all(parameter.grad.abs().sum() > 0 for parameter in neural.parameters())
