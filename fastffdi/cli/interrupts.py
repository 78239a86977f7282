"""How Ctrl-C and SIGTERM end a command: soon, with what is open closed, and without a traceback."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

import click

from fastffdi.errors import FastffdiError
from fastffdi.world import World

#: A command that has not ended by then is ended: the exception may be lost in an import of a library.
MOST_SECONDS = 1.7

#: What closing loaders and telling an error may take where other processes have ended already.
LONGEST_END_SECONDS = 6.0


def install() -> None:
    """Let the first signal raise, and another one, or the end of MOST_SECONDS, end the process at once.

    SIGINT raises KeyboardInterrupt, SIGTERM SystemExit. Signals that are ignored, as a shell lets its
    background jobs ignore Ctrl-C, stay so.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _first)


def end(code: int) -> NoReturn:
    """End the process without unloading its libraries, which takes torch most of a second."""
    with contextlib.suppress(OSError, ValueError):  # whoever read it may have ended
        sys.stdout.flush()
        sys.stderr.flush()
    atexit._run_exitfuncs()
    os._exit(code)


@contextlib.contextmanager
def last_words() -> Iterator[None]:
    """After an error of one of several processes, no signal keeps it from closing what is open and telling.

    torchrun sends one to the others as soon as one has ended. After LONGEST_END_SECONDS it ends in any case.
    """
    try:
        yield
    except FastffdiError:
        if not World.here().alone:
            _end_undisturbed()
        raise


def _end_undisturbed() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    late = threading.Timer(LONGEST_END_SECONDS, os._exit, (1,))
    late.daemon = True
    late.start()


def ignore() -> None:
    """For the end of the process: what is left to do is Python's own, and worth no traceback."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def _first(number: int, frame: FrameType | None) -> None:
    for each in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(each) is _first:
            signal.signal(each, _at_once)
    threading.Thread(target=_end_later, args=(number,), daemon=True).start()
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)


def _at_once(number: int, frame: FrameType | None) -> None:
    from fastffdi.training.interruption import end_now

    end_now(number)


def _end_later(number: int) -> None:
    time.sleep(MOST_SECONDS)
    click.echo("interrupted", err=True)
    _at_once(number, None)
