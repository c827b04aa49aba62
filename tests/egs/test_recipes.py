"""The recipes of real corpora: their scripts, what they say of the corpus, and results that say that nothing was run."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from distilmos_plugin.config import load_config
from distilmos_plugin.corpora import CORPORA, importer
from distilmos_plugin.evaluation.record import NOTHING, record_results

ROOT = Path(__file__).parent.parent.parent
NOT_IMPORTED = {"mini", "tts_eval"}  # makes its own corpus; has no labels
RECIPES = sorted(path.parent for path in ROOT.glob("egs/*/run.sh") if path.parent.name not in NOT_IMPORTED)
SCRIPTS = [script for recipe in RECIPES for script in sorted(recipe.glob("*.sh"))]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT / "egs"))


def corpora_of(script: Path) -> list[str]:
    """Return the corpora that a script names."""
    named = re.findall(r'--(?:corpus|first|then) ("[^"]+"|\w+)', script.read_text())
    return [corpus for group in named for corpus in group.strip('"').split()]


@pytest.mark.parametrize("script", SCRIPTS, ids=name_of)
def test_a_script_is_sound_and_names_corpora_and_configurations_that_are_there(script):
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
    assert script.stat().st_mode & 0o111
    assert corpora_of(script)
    assert set(corpora_of(script)) <= set(CORPORA)
    confs = re.findall(r"--conf (\S+)", script.read_text())
    assert confs
    for conf in confs:
        load_config(ROOT / conf)
    (record,) = set(re.findall(r"--record (\S+?)\)?\s", script.read_text()))
    assert record == f"egs/{script.parent.name}/RESULTS.md"


@pytest.mark.parametrize("recipe", RECIPES, ids=name_of)
def test_a_recipe_says_where_its_corpus_comes_from_as_the_importer_does(recipe):
    text = (recipe / "README.md").read_text()
    described = re.findall(r"data/\w+ --data-root FOLDER`; `distilmos_plugin/corpora/(\w+)\.py`", text)
    assert described
    for corpus in described:
        told = importer(corpus).__doc__.replace("``", "")
        for part in ("Source", "Licence"):
            (paragraph,) = re.findall(rf"^{part}:.*?(?=^\w+:)", told, flags=re.MULTILINE | re.DOTALL)
            assert paragraph in text, f"egs/{recipe.name}/README.md: copy the docstring of corpora/{corpus}.py"


@pytest.mark.parametrize("recipe", RECIPES, ids=name_of)
def test_results_of_a_recipe_that_was_not_run_are_what_the_command_writes(recipe, tmp_path):
    written = (recipe / "RESULTS.md").read_text()
    if NOTHING not in written:
        pytest.skip("this recipe was run: its RESULTS.md holds figures")
    corpora = re.findall(r"^- `(\w+)`: ", written, flags=re.MULTILINE)
    assert record_results(tmp_path / recipe.name / "RESULTS.md", corpora).read_text() == written


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "--first and --then name the corpora"),
        (["--first"], "--first needs a value"),
        (["bvcc"], "'bvcc' is not an option"),
    ],
)
def test_a_chain_without_its_corpora_is_refused(options, message):
    done = subprocess.run([str(ROOT / "egs" / "chain.sh"), *options], capture_output=True, text=True)
    assert done.returncode == 2
    assert message in done.stderr


def test_a_corpus_without_a_training_set_asks_for_a_model(tmp_path):
    (tmp_path / "data" / "test").mkdir(parents=True)
    command = [str(ROOT / "run.sh"), "--stage", "2", "--datadir", str(tmp_path / "data"), "--expdir", str(tmp_path / "exp")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "has no training set; give --pretrained" in done.stderr
    assert not (tmp_path / "exp").exists()


def test_voicemos_2024_asks_for_the_track():
    for options in ([], ["--track", "4"]):
        done = subprocess.run([str(ROOT / "egs" / "vmc2024" / "run.sh"), *options], capture_output=True, text=True)
        assert done.returncode == 2
        assert "--track" in done.stderr
