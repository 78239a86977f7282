"""The loading process's work: the cpu loader, whose batches lie in shared slots."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import numpy as np
import torch

from fastffdi.errors import FastffdiError
from fastffdi.loaders.cpu import CpuLoader
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.process.messages import BatchReady, EpochCancelled, Inbox, StartEpoch, to_loader_error
from fastffdi.loaders.process.ring import Ring


@dataclass(frozen=True)
class Job:
    """What the loading process is told at its start; `threads`, `beyond`, `ahead` are CpuLoader's.

    shape  of the ring's slots, (S, N, H, W, 3); S is ahead + 2 at least: so many batches are rendered while
           one lies ready and one is copied out
    """

    planner: BatchPlanner
    threads: int
    beyond: bool
    ahead: int
    shape: tuple[int, ...]

    def __reduce__(self) -> tuple[Callable[..., Job], tuple[Any, ...]]:
        # A million strings one by one take six times as long as one string.
        names = "\0".join(self.planner.manifest.names.tolist())
        nameless = replace(self.planner.manifest, names=np.empty(0, object))
        planner = replace(self.planner, manifest=nameless)
        return _job, (planner, names, self.threads, self.beyond, self.ahead, self.shape)


def _job(planner: BatchPlanner, names: str, *rest: Any) -> Job:
    split = np.array(names.split("\0") if names else [], object)
    return Job(replace(planner, manifest=replace(planner.manifest, names=split)), *rest)


class Worker:
    """Renders the epochs ordered and tells of each batch in turn.

    job     what there is to render
    memory  the ring's file
    orders  what is wanted, and which slots are free
    tell    takes the answers
    """

    def __init__(self, job: Job, memory: BinaryIO, orders: Inbox, tell: Callable[[BatchReady], None]) -> None:
        torch.set_num_threads(1)
        self._orders, self._tell = orders, tell
        self._slots = Ring(memory, job.shape).slots
        self._begun: StartEpoch | None = None
        self._taken: deque[int] = deque()  # the slots of batches begun, in their order
        self._loader = CpuLoader(job.planner, job.threads, job.beyond, ahead=job.ahead, allocate=self._slot)

    def run(self) -> None:
        """Render what is ordered until there are no more orders."""
        with contextlib.closing(self._loader):
            while (begun := self._orders.after(self._begun)) is not None:
                self._begun = begun
                self._epoch(begun)

    def _epoch(self, begun: StartEpoch) -> None:
        try:
            with contextlib.closing(self._loader.epoch(begun.epoch, begun.start)) as batches:
                for _ in batches:
                    if not self._orders.wanted(begun):
                        break
                    self._answer(begun, slot=self._taken.popleft())
        except EpochCancelled:
            pass
        except Exception as error:  # whatever it is, only the parent can tell of it
            self._answer(begun, error=to_loader_error(error))
        finally:
            self._orders.give_back(self._taken)  # no thread is at work on them: the epoch is closed
            self._taken.clear()

    def _answer(self, begun: StartEpoch, slot: int = -1, error: FastffdiError | None = None) -> None:
        with contextlib.suppress(OSError):  # the parent is gone, which the listening thread sees to
            self._tell(BatchReady(begun.generation, slot, error))

    def _slot(self, images: int) -> torch.Tensor:
        assert self._begun is not None
        self._taken.append(self._orders.take(self._begun))
        return self._slots[self._taken[-1], :images]
