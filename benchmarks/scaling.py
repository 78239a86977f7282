"""How the cpu loader's cost grows with rows and threads, and what a million rows need to start.

    python benchmarks/scaling.py FOLDER --json FILE
    python benchmarks/scaling_page.py FILE > benchmarks/scaling.md

FOLDER holds some hundred images. Rates are of the `jitter` recipe to the normalised batch. All row counts,
and all numbers of threads, take turns in one run; a figure is the median of the turns, a ratio the median of
each round's ratios.

A million rows are a million names in one folder, hard links to the images, and a label file that lists
them. They are read in a process of its own, five times; memory is what it has at the most beyond its imports.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from cpu_stages import once

from fastffdi.bench import machine
from fastffdi.bench.loader import BACKBONE
from fastffdi.bench.stopwatch import Quartiles, timed_pass
from fastffdi.data.labels import read_labels
from fastffdi.data.layout import plain_folder
from fastffdi.data.manifest import Manifest
from fastffdi.files import atomic
from fastffdi.loaders.cpu import CpuLoader
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.model import precision
from fastffdi.recipe import recipe
from fastffdi.render.device.stage import DeviceStage

CPU = torch.device("cpu")
BATCH = 64
MILLION = 1_000_000
ROWS = (1_000, 10_000, 100_000, MILLION)
STEPS = recipe.load("jitter").resolve(*BACKBONE).train


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--json", "output", type=click.Path(path_type=Path), required=True)
@click.option("--rounds", default=7, show_default=True)
@click.option("--seconds", default=3.0, show_default=True, help="Least length of a turn.")
@click.option("--rows", default=",".join(map(str, ROWS)), show_default=True, help="Row counts to compare.")
@click.option("--million", default=MILLION, show_default=True, help="Rows of the label file that is started.")
def main(folder: Path, output: Path, rounds: int, seconds: float, rows: str, million: int) -> None:
    """Measure all of it on the images below FOLDER."""
    facts, manifest = machine.facts(), plain_folder(folder)
    counts = [int(count) for count in rows.split(",")]
    record = {
        "machine": facts,
        "settings": {"pipeline": "jitter", "batch_size": BATCH, "seconds": seconds, "rounds": rounds},
        "images": len(manifest),
        "jpeg_bytes": statistics.mean(os.path.getsize(path) for path in manifest.paths()),
        "rows": by_rows(manifest, counts, rounds, seconds),
        "threads": by_threads(manifest, rounds, seconds),
        "start": by_start(manifest, million),
        "stages_us": by_stage(manifest),
    }
    with atomic(output) as part:
        part.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(f"figures: {output}")


def by_rows(manifest: Manifest, counts: list[int], rounds: int, seconds: float) -> list[dict[str, Any]]:
    """The rate with so many rows in the manifest, and its ratio to that with the fewest."""
    cores = len(os.sched_getaffinity(0))
    with machine.only_cores(cores), ExitStack() as stack:
        streams = {
            count: stack.enter_context(closing(stream(repeated(manifest, count), cores))) for count in counts
        }
        return compared("rows", streams, rounds, seconds, ahead=4)


def by_threads(manifest: Manifest, rounds: int, seconds: float) -> list[dict[str, Any]]:
    """The rate of 1, 2, … threads, each with as many cores, and its ratio to that of one."""
    rates: dict[int, list[float]] = {}
    for _ in range(rounds):
        for threads in range(1, len(os.sched_getaffinity(0)) + 1):
            with machine.only_cores(threads), closing(stream(manifest, threads)) as arrivals:
                rates.setdefault(threads, []).append(timed_pass(arrivals, seconds, 8, 1).rate)
    return table("threads", rates)


def compared(
    name: str, streams: dict[int, Iterator[int]], rounds: int, seconds: float, ahead: int
) -> list[dict[str, Any]]:
    rates: dict[int, list[float]] = {key: [] for key in streams}
    for number in range(rounds + 1):
        for key, arrivals in streams.items():
            rate = timed_pass(arrivals, seconds if number else min(seconds, 1), ahead, 1).rate
            if number:
                rates[key].append(rate)
            time.sleep(ahead * BATCH / rate)  # what it makes ahead would take time from the next
    return table(name, rates)


def table(name: str, rates: dict[int, list[float]]) -> list[dict[str, Any]]:
    first = next(iter(rates.values()))
    return [
        {
            name: key,
            "images_per_second": Quartiles.of(own).to_data(),
            "images_per_second_each": [round(rate, 1) for rate in own],
            "ratio": round(statistics.median(a / b for a, b in zip(own, first, strict=True)), 3),
        }
        for key, own in rates.items()
    ]


def stream(manifest: Manifest, threads: int) -> Iterator[int]:
    """The images of each normalised batch, epoch after epoch."""
    planner = BatchPlanner.over(manifest, STEPS, BATCH, threads, shuffle=True)
    stage = DeviceStage(CPU, precision.choose("auto", CPU).dtype)
    with closing(CpuLoader(planner, threads)) as loader:
        epoch = 0
        while True:
            for batch in loader.epoch(epoch):
                stage(batch.images, batch.program, batch.done)
                yield len(batch)
            epoch += 1


def repeated(manifest: Manifest, count: int) -> Manifest:
    return manifest.take(np.resize(np.arange(len(manifest)), count))


def by_stage(manifest: Manifest) -> dict[str, float]:
    """Processor µs per image of every stage, in one thread."""
    torch.set_num_threads(1)
    planner = BatchPlanner.over(manifest, STEPS, BATCH, 1, shuffle=True)
    stage = DeviceStage(CPU, precision.choose("auto", CPU).dtype)
    _, *runs = [once(planner, stage) for _ in range(6)]
    return {name: round(statistics.median(run[name] for run in runs), 1) for name in runs[0]}


def by_start(manifest: Manifest, count: int) -> dict[str, Any]:
    """What it takes from a label file to the first batch of a shuffled epoch."""
    with tempfile.TemporaryDirectory() as folder:
        write_labels(manifest, Path(folder), count)
        words = [sys.executable, __file__, "start", folder]
        runs = [json.loads(subprocess.run(words, capture_output=True, check=True).stdout) for _ in range(5)]
    return {"rows": count, **{name: statistics.median(run[name] for run in runs) for name in runs[0]}}


def write_labels(manifest: Manifest, folder: Path, count: int) -> None:
    """`count` names in the challenge's style, 32 hexadecimal digits, each a hard link to an image."""
    (folder / "set").mkdir()
    originals = [
        shutil.copy(path, folder / f"{k}{Path(path).suffix}") for k, path in enumerate(manifest.paths())
    ]
    with (folder / "labels.txt").open("w") as file:
        file.write("img_name,target\n")
        for row in range(count):
            name = f"{row * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128:032x}.jpg"
            os.link(originals[row % len(originals)], folder / "set" / name)
            file.write(f"{name},{row % 2}\n")


def start(folder: Path) -> None:
    """Print seconds and MiB, as JSON."""
    clock, memory = [time.perf_counter()], resident("VmRSS")
    manifest = read_labels(folder / "labels.txt", folder / "set", targets="required", duplicates=False)
    clock.append(time.perf_counter())
    planner = BatchPlanner.over(manifest, STEPS, BATCH, 2, shuffle=True)
    works = planner.epoch(0)
    next(works)
    clock.append(time.perf_counter())
    with closing(CpuLoader(planner, 2)) as loader, closing(loader.epoch(0)) as batches:
        next(batches)
        clock.append(time.perf_counter())
    named = ("read_seconds", "shuffle_and_plan_seconds", "first_batch_seconds")
    spans = {name: round(b - a, 3) for name, a, b in zip(named, clock[:-1], clock[1:], strict=True)}
    total = {"seconds": round(clock[1] - clock[0] + clock[3] - clock[2], 3)}
    print(json.dumps({**spans, **total, "memory_mib": round(resident("VmHWM") - memory, 1)}))


def resident(what: str) -> float:
    """MiB of memory in use (VmRSS), or at the most so far (VmHWM)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(what):
            return int(line.split()[1]) / 1024
    raise AssertionError(what)


if __name__ == "__main__":
    start(Path(sys.argv[2])) if sys.argv[1:2] == ["start"] else main()
