"""``distilmos doctor``: what is installed, what is missing and how to get it, and whether the bundled assets are intact."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from distilmos_plugin.files import file_digest

PACKAGE = Path(__file__).parent
ASSETS = PACKAGE / "assets.sha256"  # "<sha256>  <path in the package>" a line, as sha256sum writes it


def asset_problems() -> list[str]:
    """Return one sentence for each bundled asset that is missing or differs from its recorded SHA-256."""
    problems = []
    for line in ASSETS.read_text(encoding="utf-8").splitlines():
        digest, name = line.split(maxsplit=1)
        path = PACKAGE / name
        if not path.is_file():
            problems.append(f"{name} is missing: reinstall the package")
        elif file_digest(path) != digest:
            problems.append(f"{name} is damaged (its SHA-256 differs): reinstall the package")
    return problems


def torchaudio_problem() -> str | None:
    """Return one sentence if torchaudio does not load beside this torch, else None.

    PyPI's torchaudio is built for one CUDA version and refuses a torch of another. The WavLM upstreams, the bundled one
    included, work without it; s3prl's HuBERT, wav2vec 2.0, data2vec and Hugging Face upstreams need it.
    """
    try:
        importlib.import_module("torchaudio")
    except (ImportError, OSError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        return (
            f"torchaudio does not load beside this torch ({reason}); upstreams other than WavLM need it: "
            "pip install 'torch>=2.11,<2.13' 'torchaudio>=2.11,<2.12'"
        )
    return None


def extras() -> dict[str, list[str]]:
    """Return extra -> its distributions that are not installed; extras with all of them have an empty list."""
    missing: dict[str, list[str]] = {}
    for requirement in importlib.metadata.requires("distilmos-plugin") or []:
        match = re.search(r"extra == ['\"](\w+)['\"]", requirement)
        name = re.match(r"[\w.-]+", requirement)
        if match and name and match[1] != "dev" and name[0] != "distilmos-plugin":
            absent = missing.setdefault(match[1], [])
            if _version(name[0]) is None:
                absent.append(name[0])
    return missing


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def devices() -> Iterator[str]:
    """Yield a line for each device that scoring can use."""
    import torch

    threads = torch.get_num_threads()
    yield f"cpu: {threads} thread{'s' if threads != 1 else ''}"
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        yield f"cuda:{index}: {properties.name}, {properties.total_memory / 2**30:.0f} GiB"
    if torch.backends.mps.is_available():
        yield "mps: Apple GPU"


def report() -> tuple[str, bool]:
    """Return the report as text, and whether scoring works here."""
    lines = [f"distilmos-plugin {_version('distilmos-plugin')}, Python {platform.python_version()}, {platform.platform()}"]
    core = ["torch", "torchaudio", "s3prl", "numpy", "scipy", "soundfile", "soxr", "kaldiio", "entmax", "safetensors"]
    lines.append("core     " + ", ".join(f"{name} {_version(name) or 'MISSING'}" for name in core))
    lines.extend(f"device   {line}" for line in devices())
    for extra, missing in extras().items():
        state = f"missing {', '.join(missing)}: pip install 'distilmos-plugin[{extra}]'" if missing else "installed"
        lines.append(f"extra    {extra}: {state}")
    lines.append(
        f"ffmpeg   {shutil.which('ffmpeg') or 'not installed: m4a, webm and other formats that libsndfile lacks stay unread'}"
    )
    problem = torchaudio_problem()
    lines.append(f"audio    {problem or 'torchaudio loads beside torch'}")
    broken = asset_problems()
    lines.extend(f"assets   {line}" for line in broken)
    if not broken:
        lines.append("assets   intact")
    return "\n".join(lines), not broken
