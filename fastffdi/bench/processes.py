"""This process and all that it has started, as Linux's /proc tells of them: time and memory."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_PROC = Path("/proc")


class _Stat(NamedTuple):
    parent: int
    ticks: int


def cpu_seconds() -> float | None:
    """User and system time that this process and those it has started have used until now.

    It counts in ticks of usually 10 ms. None where there is no /proc.
    """
    stats = _stats()
    family = _family(stats)
    return sum(stats[pid].ticks for pid in family) / os.sysconf("SC_CLK_TCK") if family else None


def memory_mib() -> float | None:
    """Memory in MiB that this process and those it has started hold: the sum of their proportional set sizes.

    A page that several processes share counts in parts that add up to one. None where the system does not
    tell.
    """
    sizes = [size for pid in _family(_stats()) if (size := _proportional_kib(pid)) is not None]
    return sum(sizes) / 1024 if sizes else None


def _family(stats: dict[int, _Stat]) -> list[int]:
    found = [os.getpid()] if os.getpid() in stats else []
    for parent in found:
        found += [pid for pid, stat in stats.items() if stat.parent == parent]
    return found


def _stats() -> dict[int, _Stat]:
    folders = _PROC.iterdir() if _PROC.is_dir() else ()
    found = {}
    for pid in (int(folder.name) for folder in folders if folder.name.isdigit()):
        with suppress(OSError):  # it has just ended
            # The name, in parentheses, may hold anything. After it: state, parent, … and, as fields 11 to 14,
            # the process's own time and that of its ended children, each user and system.
            fields = (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
            found[pid] = _Stat(int(fields[1]), sum(map(int, fields[11:15])))
    return found


def _proportional_kib(pid: int) -> int | None:
    with suppress(OSError):
        for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return None
