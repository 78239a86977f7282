"""What the cpu loader costs the thread that launches kernels: in its process, and in a process of its own.

    python benchmarks/launch_rate.py FOLDER [--pipeline jitter] [--threads N] [--turns 7] [--seconds 3]

One thread does what a training loop does: it takes a batch, launches operations, takes the next. Timed is the
launching only, in operations per second; they are so small that they are all launching: an addition of 64
numbers, on CUDA where there is CUDA, else on the CPU. There are so many to a batch that alone they would take
half of the time that the loader needs to make it, so that the loader is always at work; `alone`, the thread
sleeps the other half. `alone`, `in-process` and `own process` take turns; a ratio is the median of the ratios
of each round, so that a machine that slows down slows both sides. `with a core` is the ratio without the time
in which the thread could have run but had no core, which on few or busy cores would hide the rest.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from fastffdi.bench import machine
from fastffdi.bench.loader import BACKBONE
from fastffdi.bench.stopwatch import Quartiles
from fastffdi.data.layout import plain_folder
from fastffdi.loaders import factory
from fastffdi.loaders.batch import Loader
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.model.device import choose_device, usable_cores
from fastffdi.recipe import recipe

ALONE, THREADS, PROCESS = "alone", "in-process", "own process"

#: Of the time in which a batch is made, how much the launches would take alone.
SHARE = 0.5

#: Images in an epoch, at least: a turn is not to meet its end, where a loader has less to do.
EPOCH = 1_000_000


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
    place = choose_device(device)
    threads = threads or max(1, usable_cores() - 1)
    torch.set_num_threads(1)
    facts = machine.facts()
    planner = _feed(folder, pipeline, batch_size)
    one, other = (LoaderSettings(threads, process=process) for process in (False, True))
    with (
        closing(factory.build_loader("cpu", planner, one, place)) as in_process,
        closing(factory.build_loader("cpu", planner, other, place)) as own_process,
    ):
        results = measure({THREADS: in_process, PROCESS: own_process}, place, turns, seconds)
    settings = {"pipeline": pipeline, "device": str(place), "threads": threads, "batch_size": batch_size}
    settings |= {"turns": turns, "seconds": seconds}
    show(f"{pipeline} on {place}, {threads} decoding threads, batches of {batch_size}", results)
    print(machine.sentence(facts, threads + 1))
    if file is not None:
        each = {kind: [asdict(turn) for turn in result] for kind, result in results.items()}
        file.write_text(json.dumps({"machine": facts, "settings": settings, "turns": each}, indent=1) + "\n")


def measure(
    loaders: dict[str, Loader], device: torch.device, turns: int, seconds: float
) -> dict[str, list[Turn]]:
    """The turns of each kind, in rounds of all; a round to warm up is left out."""
    launch = launcher(device)
    streams = {kind: loader.epoch(0) for kind, loader in loaders.items()}
    batch_seconds = _batch_seconds(streams[THREADS])
    launches = max(1, round(SHARE * batch_seconds * _rate(launch)))
    results: dict[str, list[Turn]] = {ALONE: [], **{kind: [] for kind in streams}}
    for number in range(turns + 1):
        for kind, kept in results.items():
            turn = _turn(launch, launches, streams.get(kind), batch_seconds, seconds)
            kept += [turn] if number else []
            time.sleep(5 * batch_seconds)  # what a loader makes ahead is not to disturb the next turn
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

    for _ in range(4):  # what lay ready
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
    """How long this thread has waited for a core so far; 0 where the system does not tell."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


def _rate(launch: Callable[[int], None], count: int = 5_000) -> float:
    """Launches per second, with nothing else at work."""
    seconds = []
    for _ in range(6):
        began = time.perf_counter()
        launch(count)
        seconds.append(time.perf_counter() - began)
    return count / min(seconds)


def _batch_seconds(batches: Iterator[object], count: int = 16) -> float:
    """How long the loader takes for a batch when nothing holds it up: the lower quartile."""
    arrivals = [(next(batches), time.perf_counter())[1] for _ in range(4 + count)]
    seconds = float(np.percentile(np.diff(arrivals[3:]), 25))
    time.sleep(5 * seconds)
    return seconds


def _feed(folder: Path, pipeline: str, batch_size: int) -> BatchPlanner:
    """A feed over the folder's images again and again."""
    steps = recipe.load(pipeline).resolve(*BACKBONE).train
    planner = BatchPlanner.over(plain_folder(folder), steps, batch_size, usable_cores(), shuffle=True)
    rows = np.tile(np.arange(len(planner.manifest)), -(-EPOCH // len(planner.manifest)))
    return replace(
        planner, manifest=planner.manifest.take(rows), sampler=replace(planner.sampler, rows=len(rows))
    )


def show(title: str, results: dict[str, list[Turn]]) -> None:
    """The table: medians, and in brackets the quartiles."""
    table = Table("", title=title, title_justify="left")
    for column in ("1000 launches/s", "of alone", "with a core", "img/s", "ms to take"):
        table.add_column(column, justify="right")
    for kind, turns in results.items():
        rate = Quartiles.of([turn.launches_per_second / 1e3 for turn in turns])
        pairs = list(zip(turns, results[ALONE], strict=True))
        ratios = [
            statistics.median(_of(turn, name) / _of(base, name) for turn, base in pairs)
            for name in ("launches_per_second", "with_a_core")
        ]
        images, take = (
            statistics.median(_of(turn, name) for turn in turns) for name in ("images_per_second", "take_ms")
        )
        beside = ["–", "–"] if kind == ALONE else [f"{images:.0f}", f"{take:.2f}"]
        shown = f"{rate.median:.0f} ({rate.q25:.0f}–{rate.q75:.0f})", *(f"{ratio:.2f}" for ratio in ratios)
        table.add_row(kind, *shown, *beside)
    Console(highlight=False, soft_wrap=True).print(table)


def _of(turn: Turn, name: str) -> float:
    return float(getattr(turn, name))


if __name__ == "__main__":
    main()
