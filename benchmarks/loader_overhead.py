"""What the public Loader costs beside the backend and the DeviceStage that it is made of.

    python benchmarks/loader_overhead.py FOLDER [--pipeline jitter] [--turns 9] [--seconds 3] [--json FILE]

Both give normalised float32 batches of the same images by the cpu backend, and take turns; the ratio is the
median of the rounds' ratios. Below the noise of that, `per batch` is the processor time of the consuming
thread for a batch that needs no work from the backend: labels, channels-last, the place in the data.
"""

from __future__ import annotations

import itertools
import json
import statistics
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import click
import torch

from fastffdi.bench import machine
from fastffdi.bench.stopwatch import Quartiles, median_ratio, speed_data
from fastffdi.bench.stream import Runner, Stream, arrivals, repeated, take_turns
from fastffdi.data.layout import plain_folder
from fastffdi.loaders.batch import Batch
from fastffdi.loaders.cpu import CpuLoader
from fastffdi.loaders.loader import DeviceLoader, Loader
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.settings import LoaderSettings, usable_cores
from fastffdi.model.backbone import load_recipe
from fastffdi.render.device.stage import DeviceStage

INNER, PUBLIC = "backend and stage", "Loader"
BATCH, EPOCH = 64, 100_000
STAGE = DeviceStage(torch.device("cpu"), torch.float32)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--pipeline", default="jitter", show_default=True)
@click.option("--turns", default=9, show_default=True, help="Turns of each, besides one to warm up.")
@click.option("--seconds", default=3.0, show_default=True, help="Of a turn, at least.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write every turn to this file.")
def main(folder: Path, pipeline: str, turns: int, seconds: float, file: Path | None) -> None:
    """Print images/s of both on the images below FOLDER, and what a batch costs the consumer."""
    facts, threads = machine.facts(), usable_cores()
    manifest, steps = repeated(plain_folder(folder), BATCH, EPOCH), load_recipe(pipeline).train
    settings = LoaderSettings(threads, BATCH)
    inner = CpuLoader(BatchPlanner.over(manifest, steps, settings, shuffle=True), settings)
    loader = Loader(
        manifest, steps, batch_size=BATCH, threads=threads, shuffle=True, device="cpu", backend="cpu"
    )
    with closing(inner), loader, ExitStack() as stack:
        streams = {INNER: lambda: closing(arrivals(inner, STAGE)), PUBLIC: lambda: closing(counted(loader))}
        runners = [
            Runner(Stream(name, start, settings.prefetch + 2, 1, seconds), stack)
            for name, start in streams.items()
        ]
        take_turns(runners, turns, lambda name: None)
        same = Same(next(inner.epoch(0)), inner.planner)
    costs = thread_us({INNER: map(STAGE, same.epoch(0)), PUBLIC: iter(DeviceLoader(same, STAGE))})
    ratio = median_ratio(runners[1].rates, runners[0].rates)
    for runner in runners:
        speed = Quartiles.of(runner.rates)
        print(f"{runner.name}: {speed.median:.0f} images/s ({speed.q25:.0f}–{speed.q75:.0f})")
    print(
        f"ratio {ratio:.4f}; per batch {costs[PUBLIC] - costs[INNER]:.0f} µs more than {costs[INNER]:.0f} µs"
    )
    print(machine.sentence(facts, threads))
    if file is not None:
        rates = {runner.name: speed_data(runner.rates) for runner in runners}
        data = {"pipeline": pipeline, "batch_size": BATCH, "threads": threads, "ratio": round(ratio, 4)}
        record = {"machine": facts, "settings": data, "rates": rates, "thread_us_per_batch": costs}
        file.write_text(json.dumps(record, indent=1) + "\n")


def counted(loader: Loader) -> Generator[int, None, None]:
    """The number of images of each batch, epoch after epoch."""
    while True:
        for images, _ in loader:
            yield len(images)


@dataclass(frozen=True)
class Same:
    """A backend that gives one batch again and again."""

    batch: Batch
    planner: BatchPlanner

    def __len__(self) -> int:
        return EPOCH

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """See Backend.epoch."""
        return itertools.repeat(self.batch)

    def close(self) -> None:
        """See Backend.close."""


def thread_us(
    streams: Mapping[str, Iterator[object]], repeats: int = 15, count: int = 20
) -> dict[str, float]:
    """µs of this thread for each of a stream's batches; they take turns, the median of the repeats."""
    found: dict[str, list[float]] = {name: [] for name in streams}
    for _ in range(repeats):
        for name, batches in streams.items():
            began = time.thread_time()
            for _ in range(count):
                next(batches)
            found[name].append(1e6 * (time.thread_time() - began) / count)
    return {name: round(statistics.median(times), 1) for name, times in found.items()}


if __name__ == "__main__":
    main()
