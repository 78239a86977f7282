"""A loader's side of the comparison: one turn for each line of input.

Every `with_*.py` is a process of its own, run by `compare.py` with the Python that has the library:

    python with_spdl.py FOLDER --recipe resize --threads 2 --batch-size 64

A line on standard input gives the least length of a turn in seconds; a line of JSON on standard output, the
fields of a Pass, answers it. Between turns the process is idle; it ends at the end of its input.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Sized
from dataclasses import asdict
from pathlib import Path

from fastffdi.bench.loader import EPOCH
from fastffdi.bench.processes import cpu_seconds
from fastffdi.bench.stopwatch import timed_pass
from fastffdi.model.backbone import NO_BACKBONE

#: Side of the batches' images in pixels; ImageNet's mean and standard deviation of RGB in [0, 1].
SIZE, MEAN, STD = NO_BACKBONE.size[0], NO_BACKBONE.mean, NO_BACKBONE.std

#: CPU seconds in a quarter of a second that still count as idle: two ticks of the system's clock.
_IDLE_S = 0.021


def parser(description: str | None, recipes: Iterable[str]) -> argparse.ArgumentParser:
    """The options of every script: folder, recipe, threads, batch_size."""
    options = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("folder", type=Path)
    options.add_argument("--recipe", choices=list(recipes), default="resize")
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--batch-size", type=int, default=64)
    return options


def images(folder: Path) -> list[str]:
    """Paths of the JPEG files below `folder`, sorted."""
    return sorted(str(path) for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))


def again(paths: list[str]) -> list[str]:
    """The paths over and over, an EPOCH long."""
    return (paths * (-(-EPOCH // len(paths))))[:EPOCH]


def endless(loader: Iterable) -> Iterable:
    """The batches of a loader, epoch after epoch."""
    while True:
        yield from loader


def serve(batches: Iterable[Sized], options: argparse.Namespace, ahead: int) -> None:
    """Turns of an endless stream of batches, until the input ends.

    ahead  batches that may be ready, wholly or in part, when a turn begins; they are not counted
    """
    arrivals = (len(batch) for batch in batches)
    for seconds in sys.stdin:
        turn = timed_pass(arrivals, float(seconds), ahead, options.threads)
        wait_until_idle()
        print(json.dumps(asdict(turn)), flush=True)


def wait_until_idle() -> None:
    """Wait until this process and its children use no CPU time, making batches ahead."""
    before, now = 0.0, cpu_seconds()
    while now - before > _IDLE_S:
        time.sleep(0.25)
        before, now = now, cpu_seconds()
