"""Streams of batches that are timed in turns: a loader, or one part of a loader's work."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch

from fastffdi.bench.stopwatch import Pass, timed_pass
from fastffdi.data.manifest import Manifest
from fastffdi.data.sampler import Sampler
from fastffdi.errors import RecipeError
from fastffdi.loaders.batch import Backend, Batch
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.model.device import recorded_event
from fastffdi.render.device.stage import DeviceStage


@dataclass(frozen=True)
class Stream:
    """What can be run and timed.

    Attributes:
        open: starts it: an endless iterator over the number of images of each batch that has arrived
        ahead: batches that may be ready when a turn begins; they are not counted
        group: batches that arrive in one burst
        seconds: least length of a turn
        ceiling: whether it is a part of a loader's work, an upper bound for the rate of any loader
        problem: why it cannot be run
    """

    name: str
    open: Callable[[], AbstractContextManager[Iterator[int]]]
    ahead: int
    group: int
    seconds: float
    ceiling: bool = False
    problem: str | None = None


class TakesTurns(Protocol):
    """What `take_turns` runs."""

    name: str

    def turn(self, counted: bool) -> None: ...


class Measured(Protocol):
    """A stream that has been timed.

    Attributes:
        passes: of its turns, in the order of the rounds
        cut: whether time sufficed for one turn only, or for part of one
        problem: why there are none
    """

    @property
    def name(self) -> str: ...
    @property
    def ceiling(self) -> bool: ...
    @property
    def passes(self) -> Sequence[Pass]: ...
    @property
    def cut(self) -> bool: ...
    @property
    def problem(self) -> str | None: ...


def take_turns(runners: Sequence[TakesTurns], repeats: int, progress: Callable[[str], None]) -> None:
    """`repeats` rounds of one turn each, after one that is not counted; `progress` gets a name after each."""
    for number in range(repeats + 1):
        for runner in runners:
            runner.turn(counted=number > 0)
            progress(runner.name)


class Runner:
    """A stream, open until the stack is closed, and its counted passes; none where there is a `problem`."""

    cut = False

    def __init__(self, stream: Stream, stack: ExitStack) -> None:
        self.stream, self.name, self.problem = stream, stream.name, stream.problem
        self.ceiling = stream.ceiling
        self.passes: list[Pass] = []
        try:
            self._arrivals = iter(()) if self.problem else stack.enter_context(stream.open())
        except RecipeError as error:
            self.problem = refusal(stream.name, error)

    @property
    def rates(self) -> tuple[float, ...]:
        """Images/s of each counted turn."""
        return tuple(timed.rate for timed in self.passes)

    def turn(self, counted: bool) -> None:
        """One turn; of at most a second where it is not counted."""
        if self.problem is not None:
            return
        stream = self.stream
        seconds = stream.seconds if counted else min(stream.seconds, 1.0)
        timed = timed_pass(self._arrivals, seconds, stream.ahead, stream.group)
        if counted:
            self.passes.append(timed)
        # Batches that are still being made would slow down the next stream.
        time.sleep(stream.ahead * timed.seconds / timed.batches)


def refusal(loader: str, error: RecipeError) -> str:
    """Why a loader refuses a recipe, without the loader's name and the advice."""
    return str(error).removeprefix(f"--loader {loader} ").partition(";")[0]


def batches(loader: Backend) -> Generator[Batch, None, None]:
    """A loader's batches, epoch after epoch."""
    for epoch in itertools.count():
        yield from loader.epoch(epoch)


def arrivals(loader: Backend, stage: DeviceStage | None) -> Generator[int, None, None]:
    """The number of images of each batch that has arrived, epoch after epoch.

    A batch has arrived when it is normalised on the stage's device, or without a stage when the loader gives
    it.
    """
    return arrived((batch.images if stage is None else stage(batch), len(batch)) for batch in batches(loader))


def arrived(tensors: Iterable[tuple[torch.Tensor, int]]) -> Generator[int, None, None]:
    """The number beside each tensor, once the tensor is complete.

    On CUDA the next one is started before the one before is waited for.
    """
    pending: tuple[torch.cuda.Event | None, int] | None = None
    for images, count in tensors:
        end = recorded_event(images.device) if images.device.type == "cuda" else None
        before, pending = pending, (end, count)
        if before is not None:
            event, number = before
            if event is not None:
                event.synchronize()
            yield number


def endless(planner: BatchPlanner, count: int) -> BatchPlanner:
    """The planner with its images repeated, in whole batches, until an epoch has about `count`."""
    assert isinstance(planner.sampler, Sampler)
    manifest = repeated(planner.manifest, planner.batch_size, count)
    return replace(planner, manifest=manifest, sampler=replace(planner.sampler, rows=len(manifest)))


def repeated(manifest: Manifest, batch_size: int, count: int) -> Manifest:
    """The rows again and again, in whole batches, until there are about `count`."""
    times = -(-max(count, batch_size) // len(manifest))
    rows = np.tile(np.arange(len(manifest)), times)
    return manifest.take(rows[: len(rows) // batch_size * batch_size])
