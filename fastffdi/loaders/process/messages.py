"""What a loader and its loading process say to each other. It imports nothing that takes time."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import NamedTuple

from fastffdi.errors import FastffdiError, RunError


class StartEpoch(NamedTuple):
    """Render an epoch from batch number `start` on, and give up those of lower generations."""

    generation: int
    epoch: int
    start: int


class ReleaseSlot(NamedTuple):
    """A slot may be filled again."""

    slot: int


Order = StartEpoch | ReleaseSlot


class BatchReady(NamedTuple):
    """A slot with a generation's next batch, or the error that ended it; of generation 0, it ended all."""

    generation: int
    slot: int = -1
    error: FastffdiError | None = None


def to_loader_error(error: Exception) -> FastffdiError:
    """The error as the parent is to raise it."""
    if isinstance(error, FastffdiError):
        return error
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    return RunError(
        f"--loader cpu: the loading process failed ({reason}); "
        "`fastffdi --debug` and --no-loader-process show where"
    )


class EpochCancelled(Exception):
    """The epoch is no longer wanted."""


class Inbox:
    """What has been ordered so far: one thread listens and puts, another renders and takes.

    slots  how many there are, all free at first
    """

    def __init__(self, slots: int) -> None:
        self._changed = threading.Condition()
        self._free = list(range(slots))
        self._begun: StartEpoch | None = None
        self._ended = False

    def put(self, order: Order) -> None:
        """Take note of an order."""
        with self._changed:
            if isinstance(order, StartEpoch):
                self._begun = order
            else:
                self._free.append(order.slot)
            self._changed.notify()

    def end(self) -> bool:
        """There will be no more orders. Whether any epoch has been ordered."""
        with self._changed:
            self._ended = True
            self._changed.notify()
            return self._begun is not None

    def after(self, done: StartEpoch | None) -> StartEpoch | None:
        """Wait for the epoch to render after one that is done with; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._begun is not done)
            return None if self._ended else self._begun

    def wanted(self, begun: StartEpoch) -> bool:
        """Whether an epoch is still to be rendered."""
        return self._begun is begun and not self._ended

    def take(self, begun: StartEpoch) -> int:
        """Wait for a free slot. Raises GivenUp when the epoch it is for is no longer wanted."""
        with self._changed:
            self._changed.wait_for(lambda: self._free or not self.wanted(begun))
            if not self.wanted(begun):
                raise EpochCancelled
            return self._free.pop()

    def give_back(self, slots: Iterable[int]) -> None:
        """Slots that were taken but not told of are free again."""
        with self._changed:
            self._free.extend(slots)
