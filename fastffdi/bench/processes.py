"""CPU time and memory of this process and all that it has started."""

from __future__ import annotations

from contextlib import suppress

import psutil


def cpu_seconds() -> float:
    """User and system time that this process and those it has started have used so far, ended ones included.

    On Linux it counts in ticks of usually 10 ms.
    """
    total = 0.0
    for process in _family():
        with suppress(psutil.Error):  # it has just ended
            times = process.cpu_times()
            ended = getattr(times, "children_user", 0) + getattr(times, "children_system", 0)
            total += times.user + times.system + ended
    return total


def memory_mib() -> float | None:
    """Memory in MiB that this process and those it has started hold: the sum of their proportional set sizes.

    A page that several processes share counts in parts that add up to one. None where the system does not
    report it.
    """
    sizes = []
    for process in _family():
        with suppress(psutil.Error):
            sizes.append(getattr(process.memory_full_info(), "pss", None))
    known = [size for size in sizes if size is not None]
    return sum(known) / 2**20 if known else None


def _family() -> list[psutil.Process]:
    own = psutil.Process()
    return [own, *own.children(recursive=True)]
