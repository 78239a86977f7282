"""A request to end a run: Ctrl-C, or the signal by which schedulers announce that time is up."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from functools import partial
from types import FrameType, TracebackType
from typing import Any

from fastffdi.files import discard_parts

SIGNALS = (signal.SIGINT, signal.SIGTERM)

#: In place of a signal where a run's time is over; less than those, which count where both have come.
TIME_OVER = 1

#: Within which signals count as one: `timeout` sends its own to the process and then to all of the group.
SAME_SECONDS = 0.05

#: The same for a process that torchrun has started: it passes on what a scheduler has sent to all of them.
SAME_SECONDS_PASSED_ON = 3.0


class Stopping(BaseException):
    """Raised inside a run that is to end; no `except Exception` on the way holds it up."""


class Interruption:
    """While it is used as a context, the first signal is a request, and the second ends the process at once.

    Signals that the process ignores, as background jobs of a shell ignore Ctrl-C, stay ignored. Only the main
    thread can have it: elsewhere nothing changes.

    Args:
        same_seconds: within which signals count as one

    Attributes:
        number: of the signal that has come; None before
    """

    def __init__(self, same_seconds: float = SAME_SECONDS) -> None:
        self.number: int | None = None
        self._same_seconds = same_seconds
        self.raising = False
        self._before: dict[int, Any] = {}
        self._watch: _Watch | None = None

    def request(self, number: int = signal.SIGINT) -> None:
        """Ask the run to end, as the signal would; inside `at_once` it raises Stopping."""
        self.number = self.number or number
        if self.raising:
            self.raising = False
            raise Stopping

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """What happens inside may be cut short anywhere: a request raises Stopping there."""
        try:
            self.raising = True
            if self.number is not None:
                raise Stopping
            yield
        finally:
            self.raising = False

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self._watch = _Watch(self._same_seconds)
            for number in SIGNALS:
                if callable(before := signal.getsignal(number)) or before == signal.SIG_DFL:
                    self._before[number] = signal.signal(number, self._received)
            # What a fork gets is not meant for this run, and must not be taken for a signal to it.
            os.register_at_fork(after_in_child=partial(_forget, weakref.ref(self)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._watch is not None:
            self._watch.close()
            self._restore()

    def _received(self, number: int, frame: FrameType | None) -> None:
        self.request(number)

    def _restore(self) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        self._before, self._watch = {}, None


class _Watch:
    """A thread that sees every signal, and ends the process at the second.

    The handlers of Python would come after the end of a call such as backward, which may take minutes.
    """

    def __init__(self, same_seconds: float) -> None:
        self._same_seconds = same_seconds
        self._ours, theirs = socket.socketpair()
        self._ours.setblocking(False)
        self._thread = threading.Thread(target=self._run, args=(theirs,), name="fastffdi-stop", daemon=True)
        self._thread.start()
        self._before = signal.set_wakeup_fd(self._ours.fileno(), warn_on_full_buffer=False)

    def close(self) -> None:
        signal.set_wakeup_fd(self._before)
        self._ours.shutdown(socket.SHUT_RDWR)  # closing is not enough where forks have it open as well
        self._ours.close()
        self._thread.join()

    def _run(self, signals: socket.socket) -> None:
        first = None
        with signals:
            while number := signals.recv(1):
                if number[0] not in SIGNALS:
                    continue
                now = time.monotonic()
                if first is not None and now - first > self._same_seconds:
                    end_now(number[0])
                first = now if first is None else first


def _forget(reference: weakref.ref[Interruption]) -> None:
    interruption = reference()
    if interruption is not None and interruption._watch is not None:
        signal.set_wakeup_fd(-1)
        interruption._restore()


def end_now(number: int) -> None:
    """End the process as the signal would, but leave no temporary file, worker process or hidden cursor."""
    discard_parts()
    for child in multiprocessing.active_children():
        child.kill()
    if sys.stderr.isatty():
        os.write(sys.stderr.fileno(), b"\x1b[?25h\n")  # the progress bar hides the cursor
    os._exit(128 + number)
