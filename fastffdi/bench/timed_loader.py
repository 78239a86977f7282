"""A loader that is timed in a process of its own, and what that process tells."""

from __future__ import annotations

import importlib
import itertools
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from multiprocessing import set_start_method
from multiprocessing.connection import Connection

import torch

from fastffdi.bench.loader import CACHED, EPOCH, Settings, built, planner_over, stage_of
from fastffdi.bench.machine import only_cores
from fastffdi.bench.processes import cpu_seconds, memory_mib
from fastffdi.bench.stopwatch import Pass, growing_pass
from fastffdi.bench.stream import arrived, batches, endless
from fastffdi.data.manifest import Manifest
from fastffdi.recipe.steps.base import Step


@dataclass(frozen=True, eq=False)
class TimedLoader:
    """What the process measures.

    Attributes:
        pause: seconds that the consumer takes over each batch
        cores: how many the process is held to; None: as many as threads
    """

    name: str
    steps: tuple[Step, ...]
    manifest: Manifest
    settings: Settings
    pause: float = 0.0
    cores: int | None = None

    @property
    def group(self) -> int:
        """Batches that arrive in one burst."""
        return self.settings.threads


@dataclass(frozen=True)
class Ready:
    """All is imported; nothing runs until `Open`."""


@dataclass(frozen=True)
class Told:
    """A pass so far.

    Attributes:
        ended: whether it is the whole pass
        memory_mib: of an ended pass: memory (PSS) of the process and its children, above imports
    """

    timed: Pass
    ended: bool
    memory_mib: float | None = None


@dataclass(frozen=True)
class Asked:
    """A pass that is to be made; see growing_pass. The first one starts the loader, with `seconds` unused."""

    seconds: float
    most: float


def serve(job: TimedLoader, pipe: Connection) -> None:
    """Answer each Asked with one or more Told, of which the last has ended, or with an exception.

    The pass that starts the loader counts from before that on, and is over with the first burst of batches;
    its first answer tells of the first batch alone. Ends when the other end of the pipe is closed.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one who asks ends this process
    set_start_method(None, force=True)  # a loader's workers start as in any program
    try:
        with only_cores(job.cores or job.settings.threads):
            _answer(job, pipe)
    except (EOFError, BrokenPipeError):
        pass
    except Exception as error:  # whatever it is, only the one who asks can report it
        pipe.send(error)


def _answer(job: TimedLoader, pipe: Connection) -> None:
    importlib.import_module(f"fastffdi.loaders.{'cpu' if job.name == CACHED else job.name}")
    torch.zeros(1, device=job.settings.device).cpu()  # initialises CUDA
    pipe.send(Ready())
    pipe.recv()
    if job.name == CACHED:  # fills the cache
        built(CACHED, planner_over(job.manifest, job.steps, job.settings), job.settings).close()
    before = memory_mib()
    began, used = time.perf_counter(), cpu_seconds()
    with opened(job) as arrivals:
        images = 0
        for number in range(1, job.group + 1):
            images += next(arrivals)
            timed = Pass(images, number, time.perf_counter() - began, cpu_seconds() - used)
            pipe.send(Told(timed, number == job.group, memory_mib() - before))
        while True:
            asked = pipe.recv()
            for timed, ended in growing_pass(arrivals, asked.seconds, job.group, asked.most):
                pipe.send(Told(timed, ended, memory_mib() - before if ended else None))


@contextmanager
def opened(job: TimedLoader) -> Iterator[Iterator[int]]:
    """The number of images of each batch that is ready on the device, epoch after epoch."""
    settings = job.settings
    planner = endless(planner_over(job.manifest, job.steps, settings), EPOCH)
    stage = stage_of(settings)
    with closing(built(job.name, planner, settings)) as loader:
        ready = ((batch.images if stage is None else stage(batch), len(batch)) for batch in batches(loader))
        yield (_after_use(images, job.pause) for images in _complete(ready, settings.device))


def _complete(ready: Iterator[tuple[torch.Tensor, int]], device: torch.device) -> Iterator[int]:
    """The number of images of each batch; on a CPU without starting the next one."""
    if device.type != "cuda":
        yield from (count for _, count in ready)
    first = next(ready)
    torch.cuda.synchronize(device)
    yield first[1]
    yield from itertools.islice(arrived(itertools.chain([first], ready)), 1, None)


def _after_use(images: int, seconds: float) -> int:
    if seconds:
        time.sleep(seconds)
    return images
