"""The child process's work: the cpu loader, whose batches lie in shared slots."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import numpy as np
import torch

from fastffdi.errors import FastffdiError
from fastffdi.loaders.corrupt import Corrupt
from fastffdi.loaders.cpu import CpuLoader
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.process.messages import BatchReady, EpochCancelled, Inbox, StartEpoch, to_loader_error
from fastffdi.loaders.process.ring import Ring
from fastffdi.loaders.settings import LoaderSettings


@dataclass(frozen=True)
class Job:
    """What the child process is given at its start; `settings` and `beyond` are CpuLoader's.

    Attributes:
        shape: of the ring's slots, (S, N, H, W, 3); S is prefetch + 2 at least: so many batches are rendered
            while one is ready and one is copied out
    """

    planner: BatchPlanner
    settings: LoaderSettings
    beyond: bool
    shape: tuple[int, ...]

    def __reduce__(self) -> tuple[Callable[..., Job], tuple[Any, ...]]:
        # Pickling a million strings one by one takes six times as long as one string.
        names = "\0".join(self.planner.manifest.file_names.tolist())
        nameless = replace(self.planner.manifest, names=np.empty(0, object), files=None)
        planner = replace(self.planner, manifest=nameless)
        return _job, (planner, names, self.settings, self.beyond, self.shape)


def _job(planner: BatchPlanner, names: str, *rest: Any) -> Job:
    split = np.array(names.split("\0") if names else [], object)
    return Job(replace(planner, manifest=replace(planner.manifest, names=split)), *rest)


class Worker:
    """Renders the epochs requested and reports each batch in turn.

    Args:
        job: what there is to render
        memory: the ring's file
        inbox: what is requested, and which slots are free
        send: takes the reports
    """

    def __init__(self, job: Job, memory: BinaryIO, inbox: Inbox, send: Callable[[BatchReady], None]) -> None:
        torch.set_num_threads(1)
        self._inbox, self._send = inbox, send
        self._slots = Ring(memory, job.shape).slots
        self._started: StartEpoch | None = None
        self._taken: deque[int] = deque()  # the slots of batches in progress, in their order
        self._loader = CpuLoader(job.planner, job.settings, job.beyond, allocate=self._slot)

    def run(self) -> None:
        """Render what is requested until there are no more requests."""
        with contextlib.closing(self._loader):
            while (started := self._inbox.after(self._started)) is not None:
                self._started = started
                self._epoch(started)

    def _epoch(self, started: StartEpoch) -> None:
        try:
            with contextlib.closing(self._loader.epoch(started.epoch, started.start)) as batches:
                for batch in batches:
                    if not self._inbox.wanted(started):
                        break
                    self._report(started, self._taken.popleft(), batch.corrupt)
        except EpochCancelled:
            pass
        except Exception as error:  # whatever it is, only the parent can report it
            self._report(started, error=to_loader_error(error))
        finally:
            self._inbox.give_back(self._taken)  # no thread works on them: the epoch is closed
            self._taken.clear()

    def _report(
        self,
        started: StartEpoch,
        slot: int = -1,
        corrupt: tuple[Corrupt, ...] = (),
        error: FastffdiError | None = None,
    ) -> None:
        with contextlib.suppress(OSError):  # the parent has ended, which the listening thread handles
            self._send(BatchReady(started.generation, slot, corrupt, error))

    def _slot(self, n: int) -> torch.Tensor:
        assert self._started is not None
        self._taken.append(self._inbox.take(self._started))
        return self._slots[self._taken[-1], :n]
