"""Waits for worker processes of torch's DataLoader: what each is at, and an error where one stays with it."""

from __future__ import annotations

import queue
from collections.abc import Callable
from multiprocessing.sharedctypes import RawArray
from typing import Any

from torch.utils.data import get_worker_info

from fastffdi.data.patience import Patience
from fastffdi.errors import Stalled

_NONE = -1


class RowsBegun:
    """Which row of the manifest each worker process is at, in memory that all of them have.

    Args:
        workers: how many there are
    """

    def __init__(self, workers: int) -> None:
        self._rows = RawArray("q", [_NONE] * workers)
        self._counts = RawArray("q", workers)

    def begin(self, row: int) -> None:
        """Take note that the calling worker begins with a row."""
        worker = _worker()
        self._rows[worker], self._counts[worker] = row, self._counts[worker] + 1

    def end(self) -> None:
        """Take note that it has ended a batch."""
        self._rows[_worker()] = _NONE

    def present(self) -> dict[int, tuple[int, int]]:
        """By worker: the row, and which of all that it has begun that is."""
        both = enumerate(zip(self._rows, self._counts, strict=True))
        return {worker: begun for worker, begun in both if begun[0] != _NONE}


class PatientQueue:
    """The DataLoader's queue of batches. The DataLoader looks whether workers live whenever nothing comes.

    Args:
        batches: the queue
        begun: what the workers are at
        seconds: that one image may take
        path: of a row
    """

    def __init__(self, batches: Any, begun: RowsBegun, seconds: float, path: Callable[[int], str]) -> None:
        self._batches, self._begun, self._path = batches, begun, path
        self._patience: Patience[tuple[int, int]] = Patience(seconds)

    def get(self, timeout: float) -> Any:
        """The next batch. Raises queue.Empty where none has come after a second, Stalled as to an image."""
        try:
            return self._batches.get(timeout=min(timeout, self._patience.pause))
        except queue.Empty:
            if (found := self._patience.look(self._begun.present())) is not None:
                raise Stalled(self._path(found[0]), self._patience.seconds) from None
            raise


def _worker() -> int:
    worker = get_worker_info()
    assert worker is not None, "images are read by workers"
    return worker.id
