"""Streams of batches that take turns: a loader, or a part of its work alone."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace

import numpy as np
import torch

from fastffdi.bench.stopwatch import Pass, timed_pass
from fastffdi.data.manifest import Manifest
from fastffdi.data.sampler import Sampler
from fastffdi.errors import RecipeError
from fastffdi.loaders.batch import Batch, Loader
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.render.device.stage import DeviceStage


@dataclass(frozen=True)
class Stream:
    """What can be run and timed.

    open     starts it: the images of each batch, when the batch is there; endless
    ahead    batches that may lie ready when a turn begins; they are not counted
    group    batches that come in one burst
    seconds  shortest time counted in a turn
    ceiling  whether it is a part of a loader's work, which no loader can be faster than
    problem  why it cannot be run
    """

    name: str
    open: Callable[[], AbstractContextManager[Iterator[int]]]
    ahead: int
    group: int
    seconds: float
    ceiling: bool = False
    problem: str | None = None


class Runner:
    """A stream, running or waiting for its turn, and the passes counted so far.

    It is closed by the stack. `problem` says why there are no passes.
    """

    def __init__(self, stream: Stream, stack: ExitStack) -> None:
        self.stream, self.problem = stream, stream.problem
        self.passes: list[Pass] = []
        try:
            self._arrivals = iter(()) if self.problem else stack.enter_context(stream.open())
        except RecipeError as error:
            self.problem = refusal(stream.name, error)

    def turn(self, counted: bool) -> None:
        """One turn; of at most a second where it is not counted."""
        if self.problem is not None:
            return
        stream = self.stream
        seconds = stream.seconds if counted else min(stream.seconds, 1.0)
        timed = timed_pass(self._arrivals, seconds, stream.ahead, stream.group)
        if counted:
            self.passes.append(timed)
        # The batches it is still making would take time from the next one.
        time.sleep(stream.ahead * timed.seconds / timed.batches)


def refusal(loader: str, error: RecipeError) -> str:
    """Why a loader refuses a recipe, in a few words, for a place that says which loader."""
    return str(error).removeprefix(f"--loader {loader} ").partition(";")[0]


def arrivals(loader: Loader, stage: DeviceStage | None) -> Generator[int, None, None]:
    """The number of images of each batch when it is complete, epoch after epoch.

    It is complete when it is normalised on the stage's device; without a stage, when the loader has made it.
    """
    batches = epochs(loader)
    if stage is None:
        return landed((batch.images, len(batch)) for batch in batches)
    return landed((stage(batch), len(batch)) for batch in batches)


def ahead_of(loader: str, settings: LoaderSettings) -> tuple[int, int]:
    """Batches that may lie ready when counting begins, and how many come in one burst."""
    if loader == "torchvision":  # its workers make two batches each ahead, and deliver together
        return 2 * settings.threads + 2, settings.threads
    return settings.prefetch + 2, 1


def landed(batches: Iterable[tuple[torch.Tensor, int]]) -> Generator[int, None, None]:
    """The number that comes with each tensor, when the tensor is computed.

    On CUDA one is in flight while the one before is waited for.
    """
    in_flight: tuple[torch.cuda.Event | None, int] | None = None
    for images, count in batches:
        before, in_flight = in_flight, (_event(images.device), count)
        if before is not None:
            event, number = before
            if event is not None:
                event.synchronize()
            yield number


def endless(planner: BatchPlanner, count: int) -> BatchPlanner:
    """The planner over its images again and again, in whole batches, until an epoch has about `count`."""
    manifest, sampler = repeated(planner.manifest, planner.batch_size, count), planner.sampler
    assert isinstance(sampler, Sampler)
    return replace(planner, manifest=manifest, sampler=replace(sampler, rows=len(manifest)))


def repeated(manifest: Manifest, batch_size: int, count: int) -> Manifest:
    """The rows again and again, in whole batches, until there are about `images`."""
    times = -(-max(count, batch_size) // len(manifest))
    rows = np.tile(np.arange(len(manifest)), times)
    return manifest.take(rows[: len(rows) // batch_size * batch_size])


def epochs(loader: Loader) -> Generator[Batch, None, None]:
    """A loader's batches, epoch after epoch."""
    for epoch in itertools.count():
        yield from loader.epoch(epoch)


def _event(device: torch.device) -> torch.cuda.Event | None:
    if device.type != "cuda":
        return None
    event: torch.cuda.Event = torch.cuda.Event()  # type: ignore[no-untyped-call]
    event.record(torch.cuda.current_stream(device))
    return event
