"""A progress bar over the turns of a measurement."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress


class Turns:
    """The turns done, and the time left."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task("measuring", total=total)

    def done(self, what: str) -> None:
        """One turn is over; `what` is shown beside the bar."""
        self._progress.update(self._task, advance=1, description=what)


@contextmanager
def turns(total: int, on: Console) -> Iterator[Turns]:
    """A bar on `on` while the block runs; nothing where that is no terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(24), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=on, transient=True, disable=not on.is_terminal) as progress:
        yield Turns(progress, total)
