"""``distilmos versa``: the metric in the plain ``versa-score`` of this environment, on and off.

On means one file in the environment's site-packages, a ``.pth`` line that Python runs at every start. The line imports
:mod:`.versa_hook`, if this package is still installed; that adds one entry to ``sys.meta_path`` and does nothing more until
VERSA is imported. Off removes the file.
"""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

from distilmos_plugin.errors import DistilmosError
from distilmos_plugin.files import atomic_write

# Python reads .pth files in the order of their names: this one comes after those of editable installs.
NAME = "zz_distilmos_versa.pth"
LINE = (
    "import importlib.util; importlib.util.find_spec('distilmos_plugin') and "
    "__import__('distilmos_plugin.integrations.versa_hook', fromlist=['install']).install()\n"
)


def hook_file() -> Path:
    """Return the file that is there when the hook is on."""
    return Path(sysconfig.get_path("purelib")) / NAME


def enable() -> Path:
    """Switch the hook on for the environment of this Python; return its file.

    Raises:
        DistilmosError: if the environment cannot be written to.
    """
    path = hook_file()
    try:
        with atomic_write(path) as file:
            file.write(LINE)
    except OSError as error:
        raise DistilmosError(f"{path}: cannot be written ({error.strerror}); use an environment of your own") from None
    return path


def disable() -> bool:
    """Switch the hook off; return whether it was on.

    Raises:
        DistilmosError: if its file cannot be removed.
    """
    path = hook_file()
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise DistilmosError(f"{path}: cannot be removed ({error.strerror})") from None
    return True


def status() -> str:
    """Return in words whether the hook is on, and for which VERSA."""
    from distilmos_plugin.integrations.versa import generation

    path = hook_file()
    if not path.exists():
        hook = "disabled: plain versa-score does not know the metric (distilmos versa enable)"
    elif path.read_text(encoding="utf-8") != LINE:
        hook = f"enabled by another version of this package: run distilmos versa enable again ({path})"
    else:
        hook = f"enabled: {path}"
    try:
        found = f"found, {generation()}"
    except DistilmosError as error:
        found = str(error)
    return f"hook     {hook}\nVERSA    {found}\nPython   {sys.executable}"
