"""Worker processes of torch's DataLoader that die, as an error where their batches are awaited."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class WorkerDeaths:
    """Catches what torch raises when a worker dies: by itself, in the midst of whatever the main thread does.

    Elsewhere than in the main thread nothing changes; torch then notices a death after some seconds.
    """

    def __init__(self) -> None:
        self._torchs: Any = None
        self._failure: RuntimeError | None = None
        self._waiting = False

    def watch(self) -> None:
        """Do so from now on; torch has started its workers."""
        self._failure = None
        if threading.current_thread() is not threading.main_thread():
            return
        handler = signal.getsignal(signal.SIGCHLD)
        if handler != self._ended and callable(handler):
            self._torchs = handler
            signal.signal(signal.SIGCHLD, self._ended)

    @contextmanager
    def raised(self) -> Iterator[None]:
        """Wait for a batch inside. Raises RuntimeError where a worker has died, or dies meanwhile."""
        self._waiting = True
        try:
            if self._failure is not None:
                raise self._failure
            yield
        except RuntimeError:
            # torch's queue makes of it that a worker ended unexpectedly.
            if self._failure is not None:
                raise self._failure from None
            raise
        finally:
            self._waiting = False

    def _ended(self, number: int, frame: FrameType | None) -> None:
        try:
            self._torchs(number, frame)
        except RuntimeError as error:
            self._failure = error
            if self._waiting:
                raise


DEATHS = WorkerDeaths()
