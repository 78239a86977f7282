"""What the cpu loader costs the thread that launches kernels: in its process, and in a process of its own.

    python benchmarks/launch_rate.py FOLDER [--pipeline jitter] [--threads N] [--turns 7] [--seconds 3]

One thread does what a training loop does: take a batch, launch operations, take the next. Only launching is
timed, in operations per second; an addition of 64 numbers, on CUDA where there is CUDA, is little else. There
are so many to a batch that on their own they would take half of the time in which the loader makes it, so
the loader is always at work; in `alone`, the thread sleeps for the other half. The kinds take turns; a ratio
is the median of the ratios of each round. `with a core` is the ratio without the time in which the thread was
ready to run but had no core.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
import torch

from fastffdi.bench import machine
from fastffdi.bench.loader import EPOCH
from fastffdi.bench.stopwatch import Quartiles, median_ratio
from fastffdi.bench.stream import endless
from fastffdi.cli.bench_tables import show, table, write_record
from fastffdi.data.layout import plain_folder
from fastffdi.loaders import factory
from fastffdi.loaders.batch import Loader
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.settings import LoaderSettings, usable_cores
from fastffdi.model.backbone import load_recipe
from fastffdi.model.device import choose_device

ALONE = "alone"
#: For each kind with a loader, whether that has a process of its own.
LOADERS = {"in-process": False, "own process": True}

#: Of the time in which a batch is made, how much the launches would take on their own.
SHARE = 0.5


@dataclass(frozen=True)
class Turn:
    """One turn of one kind.

    launches_per_second  in the time of launching
    with_a_core          the same, without the time in which the thread waited for a core
    images_per_second    in the whole turn
    take_ms              processor time of the launching thread for each batch that it took
    """

    launches_per_second: float
    with_a_core: float
    images_per_second: float
    take_ms: float


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--pipeline", default="jitter", show_default=True)
@click.option("--device", default="auto", show_default=True, help="Where operations are launched.")
@click.option("--threads", type=click.IntRange(min=1), help="Decoding threads.  [default: all cores but one]")
@click.option("--batch-size", default=32, show_default=True)
@click.option("--turns", default=7, show_default=True, help="Turns of each kind, besides one to warm up.")
@click.option("--seconds", default=3.0, show_default=True, help="Of a turn, at least.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write every turn to this file.")
def main(
    folder: Path,
    pipeline: str,
    device: str,
    threads: int | None,
    batch_size: int,
    turns: int,
    seconds: float,
    file: Path | None,
) -> None:
    """Print how fast a thread launches operations beside the cpu loader on the images below FOLDER."""
    where, threads = choose_device(device), threads or max(1, usable_cores() - 1)
    torch.set_num_threads(1)
    facts, loading = machine.facts(), LoaderSettings(threads, batch_size)
    planner = BatchPlanner.over(plain_folder(folder), load_recipe(pipeline).train, loading, shuffle=True)
    planner = endless(planner, EPOCH)
    with ExitStack() as stack:
        loaders = {
            kind: factory.build_loader("cpu", planner, LoaderSettings(threads, process=process), where)
            for kind, process in LOADERS.items()
        }
        for loader in loaders.values():
            stack.enter_context(closing(loader))
        results = measure(loaders, where, turns, seconds)
    title = f"{pipeline} on {where}, {threads} decoding threads, batches of {batch_size}"
    headings = ["", "1000 launches/s", "of alone", "with a core", "images/s", "ms to take"]
    rows = [row(kind, result, results[ALONE]) for kind, result in results.items()]
    show(table(title, headings, rows), machine.sentence(facts, threads + 1))
    if file is not None:
        settings = {"pipeline": pipeline, "device": str(where), "threads": threads, "batch_size": batch_size}
        settings |= {"turns": turns, "seconds": seconds}
        each = {kind: [asdict(turn) for turn in result] for kind, result in results.items()}
        write_record(file, {"machine": facts, "settings": settings, "turns": each})


def measure(
    loaders: dict[str, Loader], device: torch.device, turns: int, seconds: float
) -> dict[str, list[Turn]]:
    """The turns of each kind, in rounds of all, after a round to warm up."""
    launch = launcher(device)
    streams = {kind: loader.epoch(0) for kind, loader in loaders.items()}
    batch_seconds = _batch_seconds(next(iter(streams.values())))
    launches = max(1, round(SHARE * batch_seconds * _launches_per_second(launch)))
    results: dict[str, list[Turn]] = {ALONE: [], **{kind: [] for kind in streams}}
    for number in range(turns + 1):
        for kind, counted in results.items():
            turn = _turn(launch, launches, streams.get(kind), batch_seconds, seconds)
            counted += [turn] if number else []
            time.sleep(5 * batch_seconds)  # until the loader has made its batches ahead
    return results


def launcher(device: torch.device) -> Callable[[int], None]:
    """launch(count): so many operations on the device."""
    a, b, out = (torch.ones(64, device=device) for _ in range(3))

    def launch(count: int) -> None:
        for _ in range(count):
            torch.add(a, b, out=out)

    return launch


def _turn(
    launch: Callable[[int], None],
    launches: int,
    batches: Iterator[object] | None,
    batch_seconds: float,
    seconds: float,
) -> Turn:
    def take() -> int:
        if batches is None:
            time.sleep((1 - SHARE) * batch_seconds)
            return 0
        return len(next(batches))

    for _ in range(4):  # batches that were ready
        take()
    launching, without_core, taking, images, count = 0.0, 0.0, 0.0, 0, 0
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        used = time.thread_time()
        images += take()
        taking += time.thread_time() - used
        at, waited = time.perf_counter(), _waited_seconds()
        launch(launches)
        launching += time.perf_counter() - at
        without_core += _waited_seconds() - waited
        count += 1
    elapsed, done = time.perf_counter() - began, count * launches
    return Turn(done / launching, done / (launching - without_core), images / elapsed, 1e3 * taking / count)


def _waited_seconds() -> float:
    """How long this thread has waited for a core so far; 0 where that is unknown."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


def _launches_per_second(launch: Callable[[int], None], count: int = 5_000) -> float:
    """The best of some rates, with nothing else at work."""
    seconds = []
    for _ in range(6):
        began = time.perf_counter()
        launch(count)
        seconds.append(time.perf_counter() - began)
    return count / min(seconds)


def _batch_seconds(batches: Iterator[object], count: int = 16) -> float:
    """How long an undisturbed loader takes for a batch: the lower quartile."""
    arrivals = [(next(batches), time.perf_counter())[1] for _ in range(4 + count)]
    seconds = float(np.percentile(np.diff(arrivals[3:]), 25))
    time.sleep(5 * seconds)
    return seconds


def row(kind: str, turns: list[Turn], alone: list[Turn]) -> list[str]:
    """A row of the table: medians, in brackets quartiles."""
    rate = Quartiles.of([turn.launches_per_second / 1e3 for turn in turns])
    ratios = [
        median_ratio(*([getattr(turn, name) for turn in kind] for kind in (turns, alone)))
        for name in ("launches_per_second", "with_a_core")
    ]
    images = f"{statistics.median(turn.images_per_second for turn in turns):.0f}"
    take = f"{statistics.median(turn.take_ms for turn in turns):.2f}"
    loader = ["–", "–"] if kind == ALONE else [images, take]
    shown = f"{rate.median:.0f} ({rate.q25:.0f}–{rate.q75:.0f})"
    return [kind, shown, *(f"{ratio:.2f}" for ratio in ratios), *loader]


if __name__ == "__main__":
    main()
