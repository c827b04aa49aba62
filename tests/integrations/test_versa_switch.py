"""distilmos versa enable, disable, status: in a virtual environment of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

STAND_IN = Path(__file__).parent / "stand_in"
PACKAGE = Path(__file__).parents[2]
ASK = "import versa.scorer_shared as s; print(s._create_populated_registry().get_metric('distilmos'))"
SEEN = (
    "import sys; print(sorted(name for name in sys.modules if name.split('.')[0] in ('distilmos_plugin', 'torch', 'versa')))"
)


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> Path:
    """A Python that has this package, what the tests run with, and a stand-in for VERSA, on its path."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    packages = next(folder.glob("lib/python*/site-packages"))
    paths = [STAND_IN, PACKAGE, *(path for path in sys.path if path.endswith("site-packages"))]
    (packages / "paths.pth").write_text("".join(f"{path}\n" for path in paths))
    return folder


def python(environment: Path, *arguments: str) -> str:
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [environment / "bin" / "python", *arguments], capture_output=True, text=True, env=clean, cwd=environment, check=True
    )
    return done.stdout.strip()


def switch(environment: Path, verb: str) -> str:
    return python(environment, "-c", "from distilmos_plugin.cli import main; main()", "versa", verb)


def contents(environment: Path) -> set[Path]:
    return {path for path in environment.rglob("*") if path.suffix != ".pyc" and path.name != "__pycache__"}


def test_versa_knows_the_metric_while_it_is_enabled_and_nothing_is_left_after(environment):
    before = contents(environment)
    assert "disabled" in switch(environment, "status")
    assert python(environment, "-c", ASK) == "None"

    switch(environment, "enable")
    added = contents(environment) - before
    assert [path.name for path in added] == ["zz_distilmos_versa.pth"]
    assert str(next(iter(added))) in switch(environment, "status")
    assert "DistilMOSMetric" in python(environment, "-c", ASK)
    assert switch(environment, "enable")  # again: the same
    assert contents(environment) - before == added

    assert "removed" in switch(environment, "disable")
    assert contents(environment) == before
    assert python(environment, "-c", ASK) == "None"
    assert "was not enabled" in switch(environment, "disable")


def test_an_enabled_environment_loads_nothing_heavy_until_versa_is_imported(environment):
    switch(environment, "enable")
    try:
        seen = python(environment, "-c", SEEN)
        assert "distilmos_plugin.integrations.versa_hook" in seen
        assert "torch" not in seen
        assert "'versa'" not in seen
        assert "versa_patches" not in seen
    finally:
        switch(environment, "disable")


def test_an_environment_whose_package_is_gone_still_starts(environment):
    switch(environment, "enable")
    paths = next(environment.glob("lib/python*/site-packages/paths.pth"))
    kept = paths.read_text()
    try:
        paths.write_text(f"{STAND_IN}\n")
        assert python(environment, "-c", "print('fine')") == "fine"
    finally:
        paths.write_text(kept)
        switch(environment, "disable")
