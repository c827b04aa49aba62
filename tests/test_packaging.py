"""What ``pip install .`` puts on a machine."""

from __future__ import annotations

import configparser
from pathlib import Path

from setuptools import find_packages

import distilmos_plugin

ROOT = Path(distilmos_plugin.__file__).parent


def test_every_folder_with_modules_is_a_package_that_is_installed():
    modules = {path.parent for path in ROOT.rglob("*.py")}
    packages = {ROOT.parent / name.replace(".", "/") for name in find_packages(ROOT.parent, include=["distilmos_plugin*"])}
    assert modules == packages


def test_every_data_file_is_installed_too():
    config = configparser.ConfigParser()
    config.read(ROOT.parent / "setup.cfg")
    patterns = config["options.package_data"]["distilmos_plugin"].replace("\n", ",").split(",")
    listed = {path for pattern in patterns if pattern.strip() for path in ROOT.glob(pattern.strip())}
    present = {path for path in ROOT.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert present <= listed, sorted(str(path.relative_to(ROOT)) for path in present - listed)
