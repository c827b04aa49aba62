"""Summaries of scores."""

import numpy as np
import pytest

from distilmos_plugin.errors import DataError
from distilmos_plugin.scoring.results import Score
from distilmos_plugin.scoring.summary import format_summary, summarize


def scores(values: dict[str, float | None]) -> list[Score]:
    return [
        Score(
            key,
            None,
            {} if v is None else {"mos": v},
            "empty" if v is None else "ok",
            ("clipped",) * (key == "s1-a"),
            1.0,
            8000,
            "s",
        )
        for key, v in values.items()
    ]


CLIPS = {"s1-a": 2.0, "s1-b": 4.0, "s2-a": 3.5, "s2-b": None, "other": 1.0}


def test_figures_are_those_of_numpy():
    summary = summarize(scores(CLIPS))
    values = [2.0, 4.0, 3.5, 1.0]
    assert summary["clips"] == 5
    assert summary["status"] == {"ok": 4, "empty": 1}
    assert summary["flags"] == {"clipped": 1}
    figures = summary["targets"]["mos"]
    assert figures["n"] == 4
    assert figures["mean"] == pytest.approx(np.mean(values))
    assert figures["sd"] == pytest.approx(np.std(values, ddof=1), abs=1e-6)
    assert (figures["median"], figures["p5"]) == (pytest.approx(2.75), pytest.approx(1.15))


def test_systems_are_the_first_group_of_the_expression():
    systems = summarize(scores(CLIPS), r"^(s\d)-")["systems"]
    assert {name: system["mos"]["mean"] for name, system in systems.items()} == {"s1": 3.0, "s2": 3.5}
    assert systems["s2"]["mos"]["sd"] is None  # one clip has no spread


def test_a_wrong_expression_is_said():
    with pytest.raises(DataError, match="not a regular expression"):
        summarize([], "(")


def test_the_text_has_a_row_for_each_system_and_the_counts():
    text = format_summary(summarize(scores(CLIPS), r"^(s\d)-"))
    assert "s1 mos" in text
    assert "status: empty 1, ok 4" in text


def test_no_scores_at_all_make_a_summary_too():
    assert "status: empty 1" in format_summary(summarize(scores({"a": None})))
