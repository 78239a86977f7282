"""CPU time and memory of this process and its child processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

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


def _family() -> Iterator[psutil.Process]:
    own = psutil.Process()
    yield own
    yield from own.children(recursive=True)
