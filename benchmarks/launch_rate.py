"""What the cpu loader costs the thread that launches kernels: threads in the process, or in a child process.

    python benchmarks/launch_rate.py FOLDER [--pipeline jitter] [--threads N] [--turns 7] [--seconds 3]

One thread does what a training loop does: it takes a batch, launches operations, takes the next. Timed is the
launching only, in operations per second. They are so small that they are all launching, an addition of 64
numbers, on CUDA where there is CUDA, and so many to a batch that alone they would take half of the time that
the loader needs to make it: the loader is always working; `alone`, the thread sleeps the other half. The
kinds take turns; a ratio is the median of the rounds' ratios. `with a core` leaves out the time in which the
thread could have run but had no core, which on few or busy cores would hide the rest.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterator, Sized
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
import torch

from fastffdi.bench import machine
from fastffdi.bench.stopwatch import Quartiles
from fastffdi.bench.stream import endless
from fastffdi.data.layout import plain_folder
from fastffdi.loaders import factory
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.settings import LoaderSettings, usable_cores
from fastffdi.model.backbone import load_recipe
from fastffdi.model.device import choose_device

ALONE, THREADS, PROCESS = "alone", "in-process", "own process"

#: Of the time in which a batch is made, how much the launches would take alone.
SHARE = 0.5

Launch = Callable[[int], None]


@dataclass(frozen=True)
class Turn:
    """One turn of one kind.

    Attributes:
        launches_per_second: in the time of launching
        with_a_core: the same, without the time in which the thread waited for a core
        images_per_second: in the whole turn
        take_ms: processor time of the launching thread for each batch that it took
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
def main(folder: Path, file: Path | None, turns: int, seconds: float, **options: str | int | None) -> None:
    """Print how fast a thread launches operations beside the cpu loader on the images below FOLDER."""
    place, facts = choose_device(str(options["device"])), machine.facts()
    threads, size = int(options["threads"] or max(1, usable_cores() - 1)), int(options["batch_size"] or 0)
    torch.set_num_threads(1)
    kinds = {kind: LoaderSettings(threads, size, process=kind == PROCESS) for kind in (THREADS, PROCESS)}
    steps = load_recipe(str(options["pipeline"])).train
    planner = endless(BatchPlanner.over(plain_folder(folder), steps, kinds[THREADS], shuffle=True), 1_000_000)
    loaders = {kind: factory.build_loader("cpu", planner, how, place) for kind, how in kinds.items()}
    with closing(loaders[THREADS]), closing(loaders[PROCESS]):
        streams = {kind: loader.epoch(0) for kind, loader in loaders.items()}
        results = measure(streams, launcher(place), turns, seconds)
    print(f"{options['pipeline']} on {place}, {threads} decoding threads, batches of {size}")
    show(results)
    print(machine.sentence(facts, threads + 1))
    if file is not None:
        settings = {**options, "device": str(place), "threads": threads, "turns": turns, "seconds": seconds}
        each = {kind: [asdict(turn) for turn in result] for kind, result in results.items()}
        file.write_text(json.dumps({"machine": facts, "settings": settings, "turns": each}, indent=1) + "\n")


def launcher(device: torch.device) -> Launch:
    """launch(count): so many operations on the device."""
    a, b, out = (torch.ones(64, device=device) for _ in range(3))

    def launch(count: int) -> None:
        for _ in range(count):
            torch.add(a, b, out=out)

    return launch


def measure(
    streams: dict[str, Iterator[Sized]], launch: Launch, turns: int, seconds: float
) -> dict[str, list[Turn]]:
    """The turns of each kind, in rounds of all; a round to warm up is left out."""
    batch_seconds = _batch_seconds(streams[THREADS])
    launches = max(1, round(SHARE * batch_seconds * _rate(launch)))

    def rest() -> Sized:
        time.sleep((1 - SHARE) * batch_seconds)
        return []

    takes: dict[str, Callable[[], Sized]] = {
        ALONE: rest,
        **{kind: stream.__next__ for kind, stream in streams.items()},
    }
    results: dict[str, list[Turn]] = {kind: [] for kind in takes}
    for number in range(turns + 1):
        for kind, take in takes.items():
            turn = _turn(launch, launches, take, seconds)
            results[kind] += [turn] if number else []
            time.sleep(5 * batch_seconds)  # what a loader makes ahead is not to disturb the next turn
    return results


def _turn(launch: Launch, launches: int, take: Callable[[], Sized], seconds: float) -> Turn:
    for _ in range(4):  # batches that were ready
        take()
    launching, without_core, taking, images, count = 0.0, 0.0, 0.0, 0, 0
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        used = time.thread_time()
        images += len(take())
        taking += time.thread_time() - used
        at, waited = time.perf_counter(), _waited_seconds()
        launch(launches)
        launching += time.perf_counter() - at
        without_core += _waited_seconds() - waited
        count += 1
    elapsed, done = time.perf_counter() - began, count * launches
    return Turn(done / launching, done / (launching - without_core), images / elapsed, 1e3 * taking / count)


def _waited_seconds() -> float:
    """How long this thread has waited for a core so far; 0 where the system does not report it."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


def _rate(launch: Launch, count: int = 5_000) -> float:
    """Launches per second when nothing else runs."""
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


def show(results: dict[str, list[Turn]]) -> None:
    """A line for each kind: the rate with its quartiles, ratios to `alone`, and medians."""
    for kind, turns in results.items():
        rate = Quartiles.of([turn.launches_per_second / 1e3 for turn in turns])
        each = list(zip(turns, results[ALONE], strict=True))
        share = statistics.median(a.launches_per_second / b.launches_per_second for a, b in each)
        with_core = statistics.median(a.with_a_core / b.with_a_core for a, b in each)
        images = statistics.median(turn.images_per_second for turn in turns)
        take = statistics.median(turn.take_ms for turn in turns)
        print(
            f"{kind:12s} {rate.median:5.0f} ({rate.q25:.0f}–{rate.q75:.0f}) thousand launches/s, "
            f"{share:.2f} of alone, {with_core:.2f} with a core, {images:.0f} img/s, {take:.2f} ms to take"
        )


if __name__ == "__main__":
    main()
