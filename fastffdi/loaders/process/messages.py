"""The messages between a loader and its child process. It imports nothing that takes time."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import NamedTuple

from fastffdi.errors import FastffdiError, RunError
from fastffdi.loaders.corrupt import Corrupt


class StartEpoch(NamedTuple):
    """Render an epoch from batch number `start` on, and cancel those of lower generations."""

    generation: int
    epoch: int
    start: int


class ReleaseSlot(NamedTuple):
    """A slot may be written again."""

    slot: int


Request = StartEpoch | ReleaseSlot


class BatchReady(NamedTuple):
    """A slot with a generation's next batch, and which of it are corrupt; or the error that ended it.

    Of generation 0, it ended all.
    """

    generation: int
    slot: int = -1
    corrupt: tuple[Corrupt, ...] = ()
    error: FastffdiError | None = None


def to_loader_error(error: Exception) -> FastffdiError:
    """The error as the parent is to raise it."""
    if isinstance(error, FastffdiError):
        return error
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    return RunError(
        f"--loader cpu: the child process failed ({reason}); "
        "`fastffdi --debug` and --no-loader-process show where"
    )


class EpochCancelled(Exception):
    """The epoch is no longer wanted."""


class Inbox:
    """The parent's requests so far: one thread receives and puts them, another renders.

    Args:
        slots: how many there are, all free at first
    """

    def __init__(self, slots: int) -> None:
        self._changed = threading.Condition()
        self._free = list(range(slots))
        self._started: StartEpoch | None = None
        self._ended = False

    def put(self, request: Request) -> None:
        """Record a request."""
        with self._changed:
            if isinstance(request, StartEpoch):
                self._started = request
            else:
                self._free.append(request.slot)
            self._changed.notify()

    def end(self) -> bool:
        """There will be no more requests. Returns whether any epoch has been requested."""
        with self._changed:
            self._ended = True
            self._changed.notify()
            return self._started is not None

    def after(self, done: StartEpoch | None) -> StartEpoch | None:
        """Wait for the epoch to render after one that is finished; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._started is not done)
            return None if self._ended else self._started

    def wanted(self, started: StartEpoch) -> bool:
        """Whether an epoch is still to be rendered."""
        return self._started is started and not self._ended

    def take(self, started: StartEpoch) -> int:
        """Wait for a free slot. Raises EpochCancelled when the epoch it is for is no longer wanted."""
        with self._changed:
            self._changed.wait_for(lambda: self._free or not self.wanted(started))
            if not self.wanted(started):
                raise EpochCancelled
            return self._free.pop()

    def give_back(self, slots: Iterable[int]) -> None:
        """Slots that were taken but not reported are free again."""
        with self._changed:
            self._free.extend(slots)
