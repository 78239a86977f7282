"""A loader's side of the comparison: a turn whenever it is asked for one.

Every `with_*.py` is a process of its own, run by `compare.py` with the Python that has the library:

    python with_spdl.py FOLDER --recipe resize --threads 2 --batch-size 64

A line on standard input asks for a turn and says how many seconds it takes at least; a line of JSON on
standard output answers, with the fields of `Pass`: {"images": …}. The process ends at the end of its input.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastffdi.bench.processes import cpu_seconds
from fastffdi.bench.stopwatch import timed_pass

#: Side of the batches' images in pixels; ImageNet's mean and standard deviation of colours in 0 to 1.
SIZE = 256
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

#: Images in an epoch: the folder's come again and again, so that hardly a turn meets an epoch's end.
EPOCH = 1_000_000

#: CPU seconds in a quarter of a second that still count as idle: two ticks of the system's clock.
_IDLE_SECONDS = 0.021


def parser(description: str | None, recipes: Iterable[str]) -> argparse.ArgumentParser:
    """What every script is given: folder, recipe, threads, batch_size."""
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


def forever(loader: Iterable[Any]) -> Iterator[Any]:
    """The images of an endless succession of epochs: each batch, or its first part where it has several."""
    while True:
        for batch in loader:
            yield batch[0] if isinstance(batch, (tuple, list)) else batch


def serve(batches: Iterable[Sized], options: argparse.Namespace, ahead: int) -> None:
    """Turns of an endless stream of batches, as many as are asked for.

    Args:
        ahead: batches that may be ready, wholly or in part, when a turn begins; they are not counted
    """
    arrivals = (len(batch) for batch in batches)
    for seconds in sys.stdin:
        turn = timed_pass(arrivals, float(seconds), ahead, options.threads)
        wait_until_idle()
        print(json.dumps(asdict(turn)), flush=True)


def wait_until_idle() -> None:
    """Wait until this process and those it has started have made the batches they make ahead."""
    before = float("-inf")
    while (now := cpu_seconds()) - before > _IDLE_SECONDS:
        time.sleep(0.25)
        before = now
