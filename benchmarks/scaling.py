"""How the cpu loader's cost grows with rows, and what a million rows need to start.

    python benchmarks/scaling.py FOLDER --json FILE

FOLDER holds some hundred images. Rates are of the `jitter` recipe to the normalised batch; all row counts
take turns in one run. How it grows with threads is what `fastffdi bench-loader --threads 1,2,…` prints.

A million rows are a million names in one folder, hard links to the images, and a label file that lists
them. They are read in a process of its own, five times; memory is its peak beyond its imports.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import click
import numpy as np
import psutil
import torch

from fastffdi.bench import machine
from fastffdi.bench.stopwatch import Quartiles
from fastffdi.bench.stream import Runner, Stream, arrivals, take_turns
from fastffdi.data.labels import read_labels
from fastffdi.data.layout import plain_folder
from fastffdi.data.manifest import Manifest
from fastffdi.files import atomic
from fastffdi.loaders.cpu import CpuLoader
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.settings import LoaderSettings, usable_cores
from fastffdi.model import precision
from fastffdi.model.backbone import load_recipe
from fastffdi.render.device.stage import DeviceStage

CPU = torch.device("cpu")
MILLION = 1_000_000
ROWS = (1_000, 10_000, 100_000, MILLION)
STEPS = load_recipe("jitter").train


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
    settings = LoaderSettings(usable_cores())
    record = {
        "machine": facts,
        "settings": {"pipeline": "jitter", **settings.to_data(), "seconds": seconds, "rounds": rounds},
        "images": len(manifest),
        "rows": by_rows(manifest, [int(count) for count in rows.split(",")], settings, rounds, seconds),
        "start": by_start(manifest, million),
    }
    with atomic(output) as part:
        part.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(f"figures: {output}")


def by_rows(
    manifest: Manifest, counts: list[int], settings: LoaderSettings, rounds: int, seconds: float
) -> list[dict[str, Any]]:
    """The rate with so many rows in the manifest, and its ratio to that with the fewest."""
    stage = DeviceStage(CPU, precision.choose("auto", CPU).dtype)
    with ExitStack() as stack:
        runners = []
        for count in counts:
            rows = manifest.take(np.resize(np.arange(len(manifest)), count))
            loader = CpuLoader(BatchPlanner.over(rows, STEPS, settings, shuffle=True), settings)
            stack.callback(loader.close)
            batches = arrivals(loader, stage)
            stream = Stream(str(count), lambda batches=batches: closing(batches), 4, 1, seconds)
            runners.append(Runner(stream, stack))
        take_turns(runners, rounds, lambda name: None)
    return [_row(runner, runners[0]) for runner in runners]


def _row(runner: Runner, first: Runner) -> dict[str, Any]:
    rates, base = ([timed.rate for timed in one.passes] for one in (runner, first))
    return {
        "rows": int(runner.stream.name),
        "images_per_second": Quartiles.of(rates).to_data(),
        "images_per_second_each": [round(rate, 1) for rate in rates],
        "ratio": round(statistics.median(a / b for a, b in zip(rates, base, strict=True)), 3),
    }


def by_start(manifest: Manifest, count: int) -> dict[str, Any]:
    """What it takes from a label file to the first batch of a shuffled epoch; medians of five processes."""
    with tempfile.TemporaryDirectory() as folder:
        write_labels(manifest, Path(folder), count)
        words = [sys.executable, __file__, "start", folder]
        runs = [json.loads(subprocess.run(words, capture_output=True, check=True).stdout) for _ in range(5)]
    return {"rows": count, **{name: statistics.median(run[name] for run in runs) for name in runs[0]}}


def write_labels(manifest: Manifest, folder: Path, count: int) -> None:
    """`count` names in the challenge's style, 32 hexadecimal digits, each a hard link to an image."""
    (folder / "set").mkdir()
    originals = [shutil.copy(path, folder / f"{k}.jpg") for k, path in enumerate(manifest.paths())]
    with (folder / "labels.txt").open("w") as file:
        file.write("img_name,target\n")
        for row in range(count):
            name = f"{row * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128:032x}.jpg"
            os.link(originals[row % len(originals)], folder / "set" / name)
            file.write(f"{name},{row % 2}\n")


def start(folder: Path) -> None:
    """Print seconds and MiB, as JSON."""
    clock, memory = [time.perf_counter()], psutil.Process().memory_info().rss
    manifest = read_labels(folder / "labels.txt", folder / "set", targets="required", duplicates=False)
    clock.append(time.perf_counter())
    settings = LoaderSettings(2)
    planner = BatchPlanner.over(manifest, STEPS, settings, shuffle=True)
    next(planner.epoch(0))
    clock.append(time.perf_counter())
    with closing(CpuLoader(planner, settings)) as loader, closing(loader.epoch(0)) as batches:
        next(batches)
        clock.append(time.perf_counter())
    named = ("read_seconds", "shuffle_and_plan_seconds", "first_batch_seconds")
    spans = {name: round(b - a, 3) for name, a, b in zip(named, clock[:-1], clock[1:], strict=True)}
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    total = {"seconds": round(clock[1] - clock[0] + clock[3] - clock[2], 3)}
    print(json.dumps({**spans, **total, "memory_mib": round((peak - memory) / 2**20, 1)}))


if __name__ == "__main__":
    start(Path(sys.argv[2])) if sys.argv[1:2] == ["start"] else main()
