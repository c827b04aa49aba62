"""Names of s3prl's upstreams, found without importing ``s3prl.hub``.

``s3prl.hub`` (0.4.18) imports every upstream, among them two that no longer import beside torchaudio 2.9 and newer, so it
and all of ``s3prl.nn`` fail as a whole. Here its source is read instead: which ``hubconf`` modules it imports, in which
order (a later star import wins), and which public functions those define. Neither torch nor s3prl is imported for that, and
a name then costs the import of its own module only.
"""

from __future__ import annotations

import ast
import functools
import importlib.metadata
import importlib.util
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from distilmos_plugin.errors import UpstreamError, suggest
from distilmos_plugin.files import file_digest
from distilmos_plugin.upstreams.sfi import folder

TINY = "tiny"
ASSETS = Path(__file__).parent / "assets"

FAMILIES = {
    "wavlm": "wavlm",
    "unispeech_sat": "wavlm",
    "hubert": "hubert",
    "wav2vec2": "wav2vec2",
    "hf_hubert": "hf_hubert",
    "hf_wav2vec2": "hf_wav2vec2",
}
"""Package of ``s3prl.upstream`` -> family: those that can be rebuilt without their checkpoint and batched exactly."""

LEGACY_TORCHAUDIO = {
    "byol_s": "set_audio_backend",
    "mos_prediction": "sox_effects",
}
"""Packages that need a part of torchaudio which version 2.9 removed."""

LAST_LEGACY_TORCHAUDIO = (2, 8)

EXTRA_PACKAGES = {
    "ast": "timm",
    "ssast": "timm",
    "espnet_hubert": "espnet2",
    "pase": "pase",
}
"""Packages of ``s3prl.upstream`` that import, when they are created, a module that s3prl does not declare."""

HIDDEN_DOWNLOADS = ("passt",)
"""Packages whose hubconf names no address, but whose expert downloads its weights."""

HUB_ONLY = ("vq_wav2vec_kmeans_roberta", "discretebert")
"""Names whose function reaches through ``s3prl.hub`` itself, which does not import."""


@dataclass(frozen=True)
class UpstreamEntry:
    """What is known of an upstream without creating it.

    Attributes:
        name: the registered name.
        module: dotted name of the ``hubconf`` module whose function creates it; empty for ``tiny``.
        needs: ``checkpoint`` (give ``ckpt``), ``network`` (downloads its own, once) or ``nothing`` (runs offline).
        batching: ``exact`` (a padded batch gives what single clips give) or ``equal lengths`` (clips of unequal length are
            run in groups of equal length).
        broken: why it cannot be created here; empty if nothing is known against it.
    """

    name: str
    module: str
    needs: Literal["checkpoint", "network", "nothing"]
    batching: Literal["exact", "equal lengths"]
    broken: str = ""

    @property
    def package(self) -> str:
        """Name of the package in ``s3prl.upstream``, such as ``wavlm``."""
        return self.module.split(".")[-2] if self.module else "wavlm"


@dataclass(frozen=True)
class _Function:
    """A public function of a hubconf module, with the other functions of that module."""

    module: str
    node: ast.FunctionDef
    siblings: dict[str, ast.FunctionDef]


def list_upstreams() -> list[UpstreamEntry]:
    """Return every upstream, ``tiny`` first, the rest in alphabetical order.

    >>> {entry.name: entry.needs for entry in list_upstreams()}["wavlm_base_plus"]
    'network'
    """
    return [entry(TINY), *(entry(name) for name in sorted(_functions()))]


def entry(name: str) -> UpstreamEntry:
    """Describe one upstream: a registered name, or the folder of an SFI upstream.

    Raises:
        UpstreamError: if there is no such name; the nearest one is suggested.
    """
    if name == TINY or folder.is_sfi(name):
        return UpstreamEntry(name, "", "nothing", "exact")
    function = _find(name)
    package = function.module.split(".")[-2]
    exact = package in FAMILIES and "conformer" not in name
    return UpstreamEntry(
        name, function.module, _needs(name, function), "exact" if exact else "equal lengths", _broken(name, package, function)
    )


def checkpoint_digests(name: str, ckpt: str | None) -> dict[str, str]:
    """Return file name -> SHA-256 of what lies here of an upstream: tells one from another without loading it."""
    source = ASSETS / "tiny.pt" if name == TINY else name if folder.is_sfi(name) else ckpt
    if source is None:
        return {}
    files = sorted(Path(source).glob("*")) if Path(source).is_dir() else [Path(source)]
    return {file.name: file_digest(file) for file in files if file.is_file()}


def hubconf_module(name: str) -> str:
    """Return the dotted name of the hubconf module that defines ``name``.

    >>> hubconf_module("wav2vec2_local")
    's3prl.upstream.wav2vec2.hubconf'
    """
    return _find(name).module


def _find(name: str) -> _Function:
    functions = _functions()
    if name not in functions:
        if os.sep in name or os.path.isdir(name):
            raise UpstreamError(f"upstream '{name}': no folder of an SFI upstream (`distilmos upstream sfi` makes one)")
        raise UpstreamError(
            f"unknown upstream '{name}'{suggest(name, [TINY, *functions])} ('distilmos upstream list' prints all "
            f"{len(functions) + 1})"
        )
    return functions[name]


@functools.cache
def _functions() -> dict[str, _Function]:
    """Read the hub's source: name -> function, later imports winning as they do in ``s3prl.hub``."""
    root = _s3prl_folder()
    listed = [node.module for node in _parse(root / "hub.py").body if isinstance(node, ast.ImportFrom) and node.module]
    unlisted = sorted(
        f"s3prl.upstream.{path.parent.name}.hubconf"
        for path in (root / "upstream").glob("*/hubconf.py")
        if f"s3prl.upstream.{path.parent.name}.hubconf" not in listed
    )
    functions: dict[str, _Function] = {}
    for module in [*unlisted, *listed]:
        functions.update(_public_functions(root, module))
    return functions


def _s3prl_folder() -> Path:
    spec = importlib.util.find_spec("s3prl")
    if spec is None or not spec.submodule_search_locations:
        raise UpstreamError("s3prl is not installed; it comes with: pip install distilmos-plugin")
    return Path(next(iter(spec.submodule_search_locations)))


def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def _public_functions(root: Path, module: str) -> Iterator[tuple[str, _Function]]:
    """Yield the public functions of a hubconf module, those that it takes over from another hubconf included."""
    path = root.joinpath(*module.split(".")[1:]).with_suffix(".py")
    body = _parse(path).body
    own = {node.name: node for node in body if isinstance(node, ast.FunctionDef)}
    for node in body:
        if isinstance(node, ast.ImportFrom) and node.level == 2 and (node.module or "").endswith(".hubconf"):
            origin = f"s3prl.upstream.{node.module}"
            origins = dict(_public_functions(root, origin))
            for alias in node.names:
                yield alias.asname or alias.name, _Function(module, origins[alias.name].node, origins[alias.name].siblings)
    for name, node in own.items():
        if not name.startswith("_"):
            yield name, _Function(module, node, own)


def _reached(function: _Function) -> list[ast.FunctionDef]:
    """Return the function and those of its module that it calls, directly or not."""
    reached, names, pending = [], set(), [function.node]
    while pending:
        node = pending.pop()
        if node.name in names:
            continue
        names.add(node.name)
        reached.append(node)
        for call in ast.walk(node):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in function.siblings:
                pending.append(function.siblings[call.func.id])
    return reached


def _needs(name: str, function: _Function) -> Literal["checkpoint", "network", "nothing"]:
    if name.endswith(("_local", "_url", "_custom")) or _required(function.node):
        return "checkpoint"
    constants = (item.value for node in _reached(function) for item in ast.walk(node) if isinstance(item, ast.Constant))
    downloads = any(isinstance(value, str) and value.startswith(("http://", "https://")) for value in constants)
    return "network" if downloads or function.module.split(".")[-2] in HIDDEN_DOWNLOADS else "nothing"


def _required(node: ast.FunctionDef) -> list[str]:
    """Return the positional parameters of a function that have no default."""
    arguments = [*node.args.posonlyargs, *node.args.args]
    return [item.arg for item in arguments[: len(arguments) - len(node.args.defaults)]]


def _broken(name: str, package: str, function: _Function) -> str:
    if package in LEGACY_TORCHAUDIO and torchaudio_version() > LAST_LEGACY_TORCHAUDIO:
        return f"needs torchaudio.{LEGACY_TORCHAUDIO[package]}, which torchaudio 2.9 removed"
    if name in HUB_ONLY:
        return "reaches through s3prl.hub, which does not import beside torchaudio 2.9 or newer"
    extra = EXTRA_PACKAGES.get(package)
    if extra and importlib.util.find_spec(extra) is None:
        return f"needs the Python package {extra}, which is not installed"
    others = [parameter for parameter in _required(function.node) if parameter != "ckpt"]
    if others:
        return f"needs {' and '.join(others)} besides a checkpoint: use s3prl itself"
    return ""


def torchaudio_version() -> tuple[int, int]:
    """Return the installed torchaudio's major and minor version without importing it; (0, 0) if it is missing."""
    try:
        major, minor = importlib.metadata.version("torchaudio").split(".")[:2]
    except importlib.metadata.PackageNotFoundError:
        return 0, 0
    return int(major), int(minor)
