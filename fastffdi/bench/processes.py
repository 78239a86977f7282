"""This process and its child processes: CPU time, memory, fresh ones, stopping and ending them."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.context import BaseContext

import psutil


def cpu_seconds() -> float:
    """User and system time used so far, ended children included; in steps of usually 10 ms."""
    total = 0.0
    for process in _family():
        with suppress(psutil.Error):  # it has just ended
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def memory_mib() -> float:
    """Memory held, in MiB: the sum of the proportional set sizes (PSS), in which shared pages count once.

    Where the system has no PSS, memory that is shared is left out.
    """
    total = 0
    for process in _family():
        with suppress(psutil.Error):
            info = process.memory_full_info()
            total += getattr(info, "pss", info.uss)
    return total / 2**20


def fresh_processes(*imports: str) -> BaseContext:
    """Where processes start that have only imported these modules.

    Where the system can, one process imports them, beginning now, and the others are its copies.
    """
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    from multiprocessing import forkserver

    context = get_context("forkserver")
    context.set_forkserver_preload(list(imports))
    forkserver.ensure_running()
    return context


def suspend(pid: int) -> None:
    """Stop a process and its children until `resume`."""
    for process in _family(pid):
        with suppress(psutil.Error):
            process.suspend()


def resume(pid: int) -> None:
    """Let a process and its children go on."""
    for process in _family(pid):
        with suppress(psutil.Error):
            process.resume()


def kill(pid: int) -> None:
    """End a process and its children at once, also stopped ones."""
    for process in _family(pid):
        with suppress(psutil.Error):
            process.kill()


def _family(pid: int | None = None) -> list[psutil.Process]:
    """A process, by default this one, and its children; empty where it has ended."""
    try:
        own = psutil.Process(pid)
        return [own, *own.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


@contextmanager
def terminated_as_exit() -> Iterator[None]:
    """Let SIGTERM raise SystemExit meanwhile, so that stopped processes are not left behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
