"""Progress of a measurement in turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


@contextmanager
def rounds(turns: int, on: Console) -> Iterator[Callable[[str], None]]:
    """A bar on `on` while the block runs, if that is a terminal; call it with a name after each turn."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(24), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=on, transient=True, disable=not on.is_terminal) as progress:
        task = progress.add_task("measuring", total=turns)
        yield lambda name: progress.update(task, advance=1, description=name)
