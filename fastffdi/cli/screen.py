"""What all commands show: progress with speed and time left, and lines beside it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from fastffdi.world import World

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress


def console() -> Console:
    """Where progress and remarks go: standard error, so that standard output holds results only.

    Of several processes that share a run the first alone shows anything.
    """
    from fastffdi.cli.terminal import Terminal

    return Terminal(stderr=True, quiet=not World.here().first)


class Bar:
    """One line of progress over a known number of images."""

    def __init__(self, progress: Progress, total: int, title: str, done: int = 0) -> None:
        self._progress, self._left = progress, total - done
        self._task = progress.add_task(title, total=total, completed=done, speed="", left="", note="")
        self._began = time.perf_counter()
        self._done = 0

    def rename(self, title: str) -> None:
        """Go on under another title."""
        self._progress.update(self._task, description=title)

    def set_total(self, total: int) -> None:
        """Change how many images there are."""
        self._left = total - self._done
        self._progress.update(self._task, total=total)

    def advance(self, images: int, note: str | None = None) -> None:
        """Count some more images as done; `note` is shown at the end of the line until the next."""
        self._done += images
        self._left -= images
        speed = self._done / max(time.perf_counter() - self._began, 1e-9)
        # By the speed since the beginning: an epoch's training and validation have speeds of their own.
        left = timedelta(seconds=round(max(self._left, 0) / max(speed, 1e-9)))
        fields: dict[str, Any] = {"speed": f"{speed:.0f} img/s", "left": f"{left} left"}
        fields |= {} if note is None else {"note": note}
        self._progress.update(self._task, advance=images, **fields)


@contextmanager
def bar(total: int, title: str, on: Console, done: int = 0) -> Iterator[Bar]:
    """A bar on `on` while the block runs; nothing where that is not a terminal. `done` were done before."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}", markup=False),
        TextColumn("{task.fields[left]}", markup=False),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=on, transient=True, disable=not on.is_terminal) as progress:
        yield Bar(progress, total, title, done)


@contextmanager
def counted(title: str, on: Console) -> Iterator[_Counter]:
    """A bar for work that reports (done, total), such as making the demo images."""
    with bar(0, title, on) as shown:
        yield _Counter(shown)


class _Counter:
    def __init__(self, shown: Bar) -> None:
        self._bar, self._seen = shown, 0

    def __call__(self, done: int, total: int) -> None:
        self._bar.set_total(total)
        self._bar.advance(done - self._seen)
        self._seen = done
