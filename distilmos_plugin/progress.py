"""Progress of long jobs: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

LOG_SECONDS = 15.0  # between two lines where there is no terminal


def say(message: str) -> None:
    """Print a line to standard error, where all progress goes; standard output is for results."""
    print(message, file=sys.stderr, flush=True)


def track(items: Iterable[Item], description: str, total: float | None = None) -> Iterator[Item]:
    """Yield ``items`` while showing how many are done, the rate and the time left.

    Args:
        items: anything iterable.
        description: a few words, such as ``"tokens train"``.
        total: number of items where ``len(items)`` does not tell.
    """
    if total is None and hasattr(items, "__len__"):
        total = len(items)  # type: ignore[arg-type]
    with Progress(description, total) as progress:
        for item in items:
            yield item
            progress.advance()


class Progress:
    """A progress display advanced by hand; use as a context manager.

    Args:
        description: a few words.
        total: amount of work, in ``unit``; None if unknown.
        unit: what is counted, shown behind the count (``"clips"``, ``"s audio"``).
    """

    def __init__(self, description: str, total: float | None = None, unit: str = "") -> None:
        self.description, self.total, self.unit = description, total, unit
        self.done = 0.0
        self._bar = None

    def __enter__(self) -> Progress:
        self._started = self._said = time.monotonic()
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[note]}"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
            )
            self._bar.start()
            self._task = self._bar.add_task(self.description, total=self.total, note=self.unit)
        return self

    def advance(self, amount: float = 1.0, note: str | None = None) -> None:
        """Add ``amount`` of work done; ``note`` replaces the text behind the count."""
        self.done += amount
        if note is not None:
            self.unit = note
        if self._bar is not None:
            self._bar.update(self._task, completed=self.done, note=self.unit)
        elif time.monotonic() - self._said >= LOG_SECONDS:
            self._said = time.monotonic()
            say(f"{self.description}: {self._state()}")

    def _state(self) -> str:
        seconds = time.monotonic() - self._started
        of = f"/{self.total:.0f}" if self.total else ""
        left = f", {max(0.0, seconds * (self.total / self.done - 1)):.0f} s left" if self.total and self.done else ""
        return f"{self.done:.0f}{of} {self.unit}".rstrip() + f" in {seconds:.0f} s{left}"

    def __exit__(self, kind: type | None, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif kind is None:
            say(f"{self.description}: {self._state()}")
