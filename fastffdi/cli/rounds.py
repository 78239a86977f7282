"""Progress of a measurement in turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from fastffdi.bench.budget import Budget


@contextmanager
def rounds(turns: int, on: Console) -> Iterator[Callable[[str], None]]:
    """A bar on `on` while the block runs, if that is a terminal; call it with a name after each turn."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(24), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=on, transient=True, disable=not on.is_terminal) as progress:
        task = progress.add_task("measuring", total=turns)
        yield lambda name: progress.update(task, advance=1, description=name)


@contextmanager
def countdown(budget: Budget, on: Console) -> Iterator[Callable[[str], None]]:
    """A line on `on` with the seconds left of a budget, if that is a terminal; call it with a name before
    each turn.
    """
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
    from rich.text import Text

    class Left(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{budget.left:.0f} s left")

    columns = (TextColumn("{task.description}"), BarColumn(24), Left())
    with Progress(*columns, console=on, transient=True, disable=not on.is_terminal) as progress:
        task = progress.add_task("starting", total=budget.seconds)

        def show(name: str) -> None:
            progress.update(task, completed=budget.seconds - budget.left, description=name)

        show("starting")
        yield show
