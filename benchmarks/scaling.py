"""How the cpu loader's cost grows with rows and threads, and what a million rows need to start.

    python benchmarks/scaling.py FOLDER --json FILE

FOLDER holds some hundred images. Rates are of the `jitter` recipe to the normalised batch; row counts, and
numbers of threads, take turns; a ratio is the median of each round's ratios.

The start is that of a million names in one folder, hard links to the images, and a label file that lists
them: read in a process of its own, five times; memory is the most it has beyond its imports.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import psutil
import torch
from cpu_stages import measure as stages

from fastffdi.bench import machine
from fastffdi.bench.loader import Settings, loader_stream, planner_over
from fastffdi.bench.stopwatch import median_ratio, speed_data
from fastffdi.bench.stream import Runner, repeated, take_turns
from fastffdi.cli.record import write_record
from fastffdi.data.labels import read_labels
from fastffdi.data.layout import plain_folder
from fastffdi.data.manifest import Manifest
from fastffdi.loaders.cpu import CpuLoader
from fastffdi.loaders.settings import LoaderSettings, usable_cores
from fastffdi.model import precision
from fastffdi.model.backbone import load_recipe

CPU = torch.device("cpu")
MILLION = 1_000_000
STEPS = load_recipe("jitter").train


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--json", "output", type=click.Path(path_type=Path), required=True)
@click.option("--rounds", default=7, show_default=True)
@click.option("--seconds", default=3.0, show_default=True, help="Least length of a turn.")
@click.option("--rows", default="1000,10000,100000,1000000", show_default=True, help="Row counts to compare.")
@click.option("--million", default=MILLION, show_default=True, help="Rows of the label file that is started.")
def main(folder: Path, output: Path, rounds: int, seconds: float, rows: str, million: int) -> None:
    """Measure all of it on the images below FOLDER."""
    facts, manifest = machine.facts(), plain_folder(folder)
    loading = LoaderSettings(usable_cores())
    settings = Settings(CPU, precision.choose("auto", CPU).dtype, loading, seconds, rounds)
    size = loading.batch_size
    record = {
        "machine": facts,
        "settings": {"pipeline": "jitter", "batch_size": size, "seconds": seconds, "rounds": rounds},
        "images": len(manifest),
        "jpeg_bytes": statistics.mean(os.path.getsize(path) for path in manifest.paths()),
        "rows": by_rows(manifest, [int(count) for count in rows.split(",")], settings),
        "threads": by_threads(manifest, settings),
        "start": by_start(manifest, million),
        "stages_us": {
            name: round(statistics.median(runs), 1)
            for name, runs in stages(planner_over(manifest, STEPS, settings), 5).items()
        },
    }
    write_record(output, record)


def by_rows(manifest: Manifest, counts: list[int], settings: Settings) -> list[dict[str, Any]]:
    """The rate with so many rows in the manifest, and its ratio to that with the fewest."""
    with ExitStack() as stack:
        many = [repeated(manifest, settings.loading.batch_size, count) for count in counts]
        streams = [loader_stream("cpu", planner_over(rows, STEPS, settings), settings) for rows in many]
        runners = [Runner(stream, stack) for stream in streams]
        take_turns(runners, settings.repeats, lambda name: None)
        return table("rows", dict(zip(counts, (runner.rates for runner in runners), strict=True)))


def by_threads(manifest: Manifest, settings: Settings) -> list[dict[str, Any]]:
    """The rate of 1, 2, … threads, each with as many cores, and its ratio to that of one."""
    planner = planner_over(manifest, STEPS, settings)
    rates: dict[int, tuple[float, ...]] = {}
    for _ in range(settings.repeats):
        for threads in range(1, usable_cores() + 1):
            one = replace(settings, loading=replace(settings.loading, threads=threads))
            with machine.only_cores(threads), ExitStack() as stack:
                runner = Runner(loader_stream("cpu", planner, one), stack)
                runner.turn(counted=True)
                rates[threads] = (*rates.get(threads, ()), *runner.rates)
    return table("threads", rates)


def table(name: str, rates: dict[int, tuple[float, ...]]) -> list[dict[str, Any]]:
    """A row for each key, with its ratio to the first."""
    first = next(iter(rates.values()))
    return [
        {name: key, **speed_data(own), "ratio": round(median_ratio(own, first), 3)}
        for key, own in rates.items()
    ]


def by_start(manifest: Manifest, count: int) -> dict[str, Any]:
    """The time from a label file to the first batch of a shuffled epoch."""
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
    clock, memory = [time.perf_counter()], psutil.Process().memory_info().rss / 2**20
    manifest = read_labels(folder / "labels.txt", folder / "set", targets="required", duplicates=False)
    clock.append(time.perf_counter())
    settings = Settings(CPU, torch.float32, LoaderSettings(2))
    planner = planner_over(manifest, STEPS, settings)
    next(planner.epoch(0))
    clock.append(time.perf_counter())
    with closing(CpuLoader(planner, settings.loading)) as loader, closing(loader.epoch(0)) as batches:
        next(batches)
        clock.append(time.perf_counter())
    # Not getrusage: what it says of a process includes its parent's memory before exec.
    status = Path("/proc/self/status").read_text()
    most = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    read, plan, first = (b - a for a, b in itertools.pairwise(clock))
    spans = {"read_seconds": read, "shuffle_and_plan_seconds": plan, "first_batch_seconds": first}
    spans["seconds"] = read + first  # the loader's epoch shuffles again
    found = {name: round(seconds, 3) for name, seconds in spans.items()}
    print(json.dumps({**found, "memory_mib": round(most - memory, 1)}))


if __name__ == "__main__":
    start(Path(sys.argv[2])) if sys.argv[1:2] == ["start"] else main()
