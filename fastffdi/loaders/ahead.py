"""Work that is done before it is asked for: plans made in a background thread, epochs that have begun."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import NamedTuple, TypeVar

from fastffdi.data.readers import ReaderThreads
from fastffdi.loaders.planner import BatchPlan, BatchPlanner
from fastffdi.recipe.program import Program
from fastffdi.render.split import Split

T = TypeVar("T")

_END = object()


class Planned(NamedTuple):
    """A plan whose program is divided.

    Attributes:
        rendered: what the loader applies to the images
        remaining: what is left for the DeviceStage, with its parameters already packed
    """

    plan: BatchPlan
    rendered: Program
    remaining: Program


def planned(planner: BatchPlanner, split: Split, epoch: int, start: int = 0) -> Iterator[Planned]:
    """An epoch's plans from batch number `start` on, with all that can be computed before rendering."""
    for plan in planner.epoch(epoch, start):
        remaining = split.remaining(plan.program)
        remaining.packed  # noqa: B018 - kept by the program, so that the thread that launches kernels finds it
        yield Planned(plan, split.loader(plan.program), remaining)


def one_ahead(items: Iterable[T]) -> Generator[T, None, None]:
    """The items, each made in a background thread while the one before is in use.

    Raises what making them raises, at the item's turn.
    """
    iterator = iter(items)
    thread = ReaderThreads(1, "fastffdi-plan")
    try:
        coming = thread.submit(next, iterator, _END)
        while (item := thread.result(coming)) is not _END:
            coming = thread.submit(next, iterator, _END)
            yield item
    finally:
        # Without waiting for it: the garbage collector may close this in that very thread.
        thread.close(waits=False)


def begun(items: Generator[T | None, None, None]) -> Generator[T, None, None]:
    """The generator, which has run to its first yield: of None, once its work is under way."""
    first = next(items)
    assert first is None
    return items  # type: ignore[return-value]
