"""Importing the package costs next to nothing."""

import subprocess
import sys

import distilmos_plugin


def test_nothing_heavy_is_imported():
    code = "import sys, distilmos_plugin; print([m for m in ('torch', 'numpy', 's3prl', 'typer', 'yaml') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_public_names_are_there():
    assert callable(distilmos_plugin.load)
    assert callable(distilmos_plugin.score)
    assert distilmos_plugin.__version__ == "0.1.0"
