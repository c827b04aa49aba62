"""The processing conditions, that is the systems of the simulated test."""

from __future__ import annotations

import numpy as np
import pytest

from distilmos_plugin.corpora.simulation.conditions import CONDITIONS, OTHER_CONDITIONS, STEPS, Condition
from distilmos_plugin.corpora.simulation.espeak import SAMPLE_RATE
from distilmos_plugin.corpora.simulation.quality import measure


def process(condition: Condition, native: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(0)
    return condition.apply(native, SAMPLE_RATE, rng, lambda length: rng.standard_normal(length))


@pytest.mark.parametrize("condition", CONDITIONS + OTHER_CONDITIONS, ids=lambda condition: condition.name)
def test_condition_gives_speech_of_the_same_duration_at_its_rate(condition, native):
    output = process(condition, native)
    assert len(output) / condition.rate == pytest.approx(len(native) / SAMPLE_RATE, abs=1 / condition.rate)
    assert np.isfinite(output).all()
    assert 0.01 < np.abs(output).max() <= 1  # nothing is cut when it is stored in 16 bits
    assert np.array_equal(process(condition, native), output)


def test_there_are_enough_systems_of_several_rates():
    assert len(CONDITIONS) >= 24
    assert {8000, 16000, 22050} == {condition.rate for condition in CONDITIONS}
    names = [condition.name for condition in CONDITIONS + OTHER_CONDITIONS]
    assert len(set(names)) == len(names)
    assert all("_" not in name for name in names)  # a key is <system>_<speaker>_<number>


def test_systems_of_test_ood_are_all_others():
    seen = {(condition.rate, str(condition)) for condition in CONDITIONS}
    assert not seen & {(condition.rate, str(condition)) for condition in OTHER_CONDITIONS}
    alike = {step for condition in CONDITIONS for step in map(str, condition.steps)}
    assert not alike & {step for condition in OTHER_CONDITIONS for step in map(str, condition.steps)}


def test_every_kind_of_step_is_used():
    used = {step.name for condition in CONDITIONS + OTHER_CONDITIONS for step in condition.steps}
    assert used == set(STEPS)


def test_the_untouched_system_is_untouched(native):
    clean = next(condition for condition in CONDITIONS if condition.name == "clean")
    assert np.array_equal(process(clean, native), native)
    assert str(clean) == "untouched"


def test_stronger_degradations_are_worse(native):
    known = {condition.name: condition for condition in CONDITIONS}

    def truth(name: str) -> float:
        return measure(native, SAMPLE_RATE, process(known[name], native), known[name].rate).pesq

    for better, worse in (
        ("noise-white-50dB", "noise-white-30dB"),
        ("mnru-40", "mnru-15"),
        ("mnru-15", "mnru-5"),
        ("clean", "clip-3dB"),
        ("opus-24k", "opus-8k"),
        ("mp3-64k", "mp3-32k"),
        ("room-150ms", "room-500ms"),
        ("clean", "griffin-lim-mel"),
        ("mu-law-8k", "ima-adpcm"),
    ):
        assert truth(better) > truth(worse) + 0.2, (better, worse)
