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
from fastffdi.loaders.feed import Feed
from fastffdi.loaders.orders import Answer, Begin, GivenUp, Orders, told
from fastffdi.loaders.ring import Ring


@dataclass(frozen=True)
class Job:
    """What the loading process is told at its start; `threads`, `beyond`, `ahead` are CpuLoader's.

    shape  of the ring's slots, (S, N, H, W, 3); S is ahead + 2 at least: so many batches are rendered while
           one lies ready and one is copied out
    """

    feed: Feed
    threads: int
    beyond: bool
    ahead: int
    shape: tuple[int, ...]

    def __reduce__(self) -> tuple[Callable[..., Job], tuple[Any, ...]]:
        # A million strings one by one take six times as long as one string.
        names = "\0".join(self.feed.manifest.names.tolist())
        nameless = replace(self.feed.manifest, names=np.empty(0, object))
        feed = replace(self.feed, manifest=nameless)
        return _job, (feed, names, self.threads, self.beyond, self.ahead, self.shape)


def _job(feed: Feed, names: str, *rest: Any) -> Job:
    split = np.array(names.split("\0") if names else [], object)
    return Job(replace(feed, manifest=replace(feed.manifest, names=split)), *rest)


class Worker:
    """Renders the epochs ordered and tells of each batch in turn.

    job     what there is to render
    memory  the ring's file
    orders  what is wanted, and which slots are free
    tell    takes the answers
    """

    def __init__(self, job: Job, memory: BinaryIO, orders: Orders, tell: Callable[[Answer], None]) -> None:
        torch.set_num_threads(1)
        self._orders, self._tell = orders, tell
        self._slots = Ring(memory, job.shape).slots
        self._begun: Begin | None = None
        self._taken: deque[int] = deque()  # the slots of batches begun, in their order
        self._loader = CpuLoader(job.feed, job.threads, job.beyond, ahead=job.ahead, allocate=self._slot)

    def run(self) -> None:
        """Render what is ordered until there are no more orders."""
        with contextlib.closing(self._loader):
            while (begun := self._orders.after(self._begun)) is not None:
                self._begun = begun
                self._epoch(begun)

    def _epoch(self, begun: Begin) -> None:
        try:
            with contextlib.closing(self._loader.epoch(begun.epoch, begun.start)) as batches:
                for _ in batches:
                    if not self._orders.wanted(begun):
                        break
                    self._answer(begun, slot=self._taken.popleft())
        except GivenUp:
            pass
        except Exception as error:  # whatever it is, only the parent can tell of it
            self._answer(begun, error=told(error))
        finally:
            self._orders.give_back(self._taken)  # no thread is at work on them: the epoch is closed
            self._taken.clear()

    def _answer(self, begun: Begin, slot: int = -1, error: FastffdiError | None = None) -> None:
        with contextlib.suppress(OSError):  # the parent is gone, which the listening thread sees to
            self._tell(Answer(begun.generation, slot, error))

    def _slot(self, pictures: int) -> torch.Tensor:
        assert self._begun is not None
        self._taken.append(self._orders.take(self._begun))
        return self._slots[self._taken[-1], :pictures]
