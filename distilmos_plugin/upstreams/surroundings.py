"""What third-party model code is kept away from while it is imported and built: the caller's random state, output and time."""

from __future__ import annotations

import contextlib
import io
import pickle
import random
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from distilmos_plugin.errors import UpstreamError

LONGEST_REASON = 120  # characters of a third party's message that are passed on


class Uninitialised(TorchFunctionMode):
    """Skips the random initialisation of modules whose every parameter is about to be loaded.

    It takes longer than loading (WavLM base: 0.9 s).
    """

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if func in (torch.Tensor.normal_, torch.Tensor.uniform_) or getattr(func, "__module__", "") == "torch.nn.init":
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Leave the caller's random generators, standard output and warnings alone while an upstream is imported and built."""
    with (
        torch.random.fork_rng(devices=[]),
        same_random_state(),
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def same_random_state() -> Iterator[None]:
    """Give Python's and numpy's global generators back as they were found."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)


@contextlib.contextmanager
def explained(name: str, ckpt: str | None) -> Iterator[None]:
    """Turn what third-party code raises over a bad checkpoint or a missing network into one sentence."""
    where = f"upstream '{name}'" + (f": {ckpt}" if ckpt else "")
    cached = "" if ckpt else "; once it lies in s3prl's cache (~/.cache/s3prl/download), no network is needed"
    try:
        yield
    except UpstreamError:
        raise
    except OSError as error:
        raise UpstreamError(f"{where} cannot be read or downloaded ({first_line(error)}){cached}") from error
    except AssertionError as error:
        raise UpstreamError(f"{where}: no such checkpoint file") from error
    except (RuntimeError, ValueError, KeyError, TypeError, pickle.UnpicklingError) as error:
        raise UpstreamError(f"{where} does not load: {first_line(error)}") from error


def first_line(error: BaseException) -> str:
    """Return the type and the start of an error's message."""
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "no message")
    return f"{type(error).__name__}: {text[:LONGEST_REASON]}" + ("..." if len(text) > LONGEST_REASON else "")
