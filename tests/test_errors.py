"""Messages that say what to do."""

import io
import sys

import pytest

from distilmos_plugin import progress
from distilmos_plugin.errors import MissingExtra, require, some, suggest


def test_a_missing_extra_names_the_command_that_installs_it():
    with pytest.raises(MissingExtra, match=r"no_such_module is not installed; .*pip install 'distilmos-plugin\[train\]'"):
        require("no_such_module", "train")
    assert require("json", "train").dumps([]) == "[]"


def test_a_near_match_is_suggested_and_long_lists_are_cut():
    assert suggest("wavlm_bas", ["wavlm_base", "hubert"]) == ", did you mean 'wavlm_base'?"
    assert suggest("xyz", ["wavlm_base"]) == ""
    assert some(range(7), 3) == "0, 1, 2 and 4 more"
    assert some([1]) == "1"


def test_a_log_gets_the_state_and_the_total_time(monkeypatch):
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    monkeypatch.setattr(progress, "LOG_SECONDS", 0.0)
    assert list(progress.track([1, 2], "tokens")) == [1, 2]
    lines = log.getvalue().splitlines()
    assert lines[0].startswith("tokens: 1/2 in")
    assert lines[-1].startswith("tokens: 2/2 in")
