"""The figures of an experiment in its model's card."""

import json
import shutil

import pytest

from distilmos_plugin.errors import DataError
from distilmos_plugin.scoring import models
from distilmos_plugin.scoring.publish import publish


@pytest.fixture
def expdir(release, tmp_path):
    """An experiment with a released model and one evaluated set."""
    shutil.copytree(release, tmp_path / "exp" / "model")
    (tmp_path / "exp" / "test").mkdir()
    figures = {
        "signature": models.load(release, "cpu").signature,
        "target": "mos",
        "targets": {"sig": {"n_utterances": 239, "n_systems": 0, "utterance": {"lcc": 0.75}, "system": None}},
        "truth": "Made on the spot.",
        "n_utterances": 240,
        "n_systems": 24,
        "utterance": {"lcc": 0.8765, "lcc_ci": [0.85, 0.9], "srcc": 0.87, "srcc_ci": [None, None], "rmse": None, "ktau": 0.7},
        "system": {"lcc": 0.95, "srcc": 0.94, "rmse": 0.2, "ktau": 0.8},
    }
    (tmp_path / "exp" / "test" / "metrics.json").write_text(json.dumps(figures))
    return tmp_path / "exp"


def test_figures_go_into_the_card_once(expdir, capsys):
    before = (expdir / "model" / "README.md").read_text()
    assert publish(expdir) == expdir / "model"
    card = (expdir / "model" / "README.md").read_text()
    assert card.startswith(before)
    assert "| test | mos | utterance | 240 | 0.876 [0.850, 0.900] | 0.870 | 0.700 | - |" in card
    assert "| test | mos | system | 24 | 0.950 | 0.940 | 0.800 | 0.200 |" in card
    assert "| test | sig | utterance | 239 | 0.750 | - | - | - |" in card
    assert "\nMade on the spot.\n" in card
    publish(expdir)
    assert (expdir / "model" / "README.md").read_text() == card
    assert f"--model {expdir / 'model'}" in capsys.readouterr().err
    assert models.load(expdir / "model", "cpu").name == "small_distilmos"


def test_old_figures_are_replaced_and_other_sections_stay(expdir):
    card = expdir / "model" / "README.md"
    card.write_text("# small\n\n## Measured figures\n\nold\n\n## Licence\n\nApache-2.0\n")
    publish(expdir)
    text = card.read_text()
    assert text.startswith("# small\n\n## Licence\n\nApache-2.0\n\n## Measured figures\n\n| test set |")
    assert "old" not in text


def test_figures_of_another_model_are_refused(expdir):
    path = expdir / "test" / "metrics.json"
    path.write_text(path.read_text().replace("small_distilmos@", "small_distilmos@0"))
    with pytest.raises(DataError, match="score and evaluate the set again"):
        publish(expdir)
