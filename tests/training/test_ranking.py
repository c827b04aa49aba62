"""The order of epochs."""

from __future__ import annotations

import random

import pytest

from distilmos_plugin.errors import ConfigError
from distilmos_plugin.training.ranking import best_epochs, check_criterion, epochs_without_gain, standing
from distilmos_plugin.training.validation import valid_metrics, without_systems

NAN = float("nan")
SRCC = (("valid", "system_srcc", "max"),)


def history(*values: float | None) -> list[dict]:
    return [{"epoch": number, "valid": {"system_srcc": value}} for number, value in enumerate(values, start=1)]


def test_the_best_come_first_and_of_equals_the_earlier():
    assert best_epochs(history(0.5, 0.9, 0.7, 0.9), SRCC, 3) == [2, 4, 3]


def test_nan_and_none_rank_last_and_displace_nothing():
    assert best_epochs(history(NAN, 0.2, None, 0.1, NAN), SRCC, 2) == [2, 4]
    assert best_epochs(history(NAN, None), SRCC, 1) == [1]


def test_min_prefers_the_smaller():
    assert best_epochs(history(0.5, 0.1, NAN), (("valid", "system_srcc", "min"),), 2) == [2, 1]


def test_the_second_criterion_breaks_ties_alone():
    entries = [
        {"epoch": e, "valid": {"system_srcc": s, "loss": v}} for e, s, v in ((1, 0.9, 0.5), (2, 0.9, 0.3), (3, 0.8, 0.1))
    ]
    assert best_epochs(entries, (*SRCC, ("valid", "loss", "min")), 3) == [2, 1, 3]


def test_epochs_without_gain_count_from_the_best():
    assert epochs_without_gain(history(0.5, 0.9, 0.9, NAN), SRCC) == 2
    assert epochs_without_gain([], SRCC) == 0


@pytest.mark.parametrize(
    ("criterion", "message"),
    [
        ((("valid", "system_scrr", "max"),), "did you mean 'system_srcc'"),
        ((("vald", "system_srcc", "max"),), "did you mean 'valid'"),
        ((("valid", "system_srcc", "best"),), "neither min nor max"),
        ((), "at least one"),
    ],
)
def test_misspelt_criteria_are_refused(criterion: tuple, message: str):
    with pytest.raises(ConfigError, match=message):
        check_criterion(criterion, {"valid": valid_metrics(("mos",), systems=True), "train": ("loss",)})


def test_without_systems_utterance_figures_rank():
    assert without_systems((*SRCC, ("valid", "loss", "min"))) == (("valid", "utterance_srcc", "max"), ("valid", "loss", "min"))


def test_figures_of_further_targets_carry_their_name():
    assert {"utterance_lcc", "system_srcc", "utterance_lcc_sig", "system_srcc_sig"} < set(valid_metrics(("mos", "sig"), True))


def test_standing_orders_epochs_as_their_merit_does_and_never_changes():
    """For a trainer that ranks by one number, given when the epoch ends; ties and missing figures included."""
    generator = random.Random(0)
    criterion = (("valid", "system_srcc", "max"), ("valid", "loss", "min"))
    for _ in range(20):
        entries, numbers = [], []
        for epoch in range(1, 16):
            srcc = generator.choice([None, 0.5, 0.6, 0.7])
            entries.append({"epoch": epoch, "valid": {"system_srcc": srcc, "loss": generator.choice([1.0, 2.0])}})
            given = standing(entries, criterion)
            assert given[:-1] == numbers
            numbers = given
            ranked = sorted(range(1, epoch + 1), key=lambda number: (-numbers[number - 1], number))
            assert ranked == best_epochs(entries, criterion, epoch)
