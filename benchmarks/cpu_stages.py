"""What each stage of the cpu loader costs: µs per image, in one thread.

    python benchmarks/cpu_stages.py FOLDER [--pipeline jitter] [--repeats 7]

Processor time, not time on the clock, so that a busy machine changes it less; median and quartiles of the
repeats, the first of them, a warm-up, left out.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import cv2
import torch
from rich.console import Console
from rich.table import Table

from fastffdi.bench import machine
from fastffdi.bench.loader import BACKBONE
from fastffdi.bench.stopwatch import Quartiles
from fastffdi.data.layout import plain_folder
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.model import precision
from fastffdi.recipe import recipe
from fastffdi.render.cpu.decode import decode
from fastffdi.render.cpu.renderer import KERNELS
from fastffdi.render.device.stage import DeviceStage

CPU = torch.device("cpu")
BATCH = 64


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--pipeline", default="jitter", show_default=True)
@click.option("--repeats", default=7, show_default=True)
def main(folder: Path, pipeline: str, repeats: int) -> None:
    """Print what each stage of the cpu loader costs on the images below FOLDER."""
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    steps = recipe.load(pipeline).resolve(*BACKBONE).train
    planner = BatchPlanner.over(plain_folder(folder), steps, BATCH, 1, shuffle=True)
    stage = DeviceStage(CPU, precision.choose("auto", CPU).dtype)
    _, *runs = [once(planner, stage) for _ in range(repeats + 1)]
    costs = {name: [run[name] for run in runs] for name in runs[0]}
    show(f"{pipeline}, {len(planner.manifest)} images", costs)


def once(planner: BatchPlanner, stage: DeviceStage) -> dict[str, float]:
    """Stage → µs per image, over an epoch; each image goes through them in turn, as in the loader."""
    clock = Clock()
    works = iter(planner.epoch(0))
    for _ in range(len(planner)):
        work = clock("plan", lambda: next(works))
        kernels = work.program.kernels[:-1]
        images = torch.empty((len(work.rows), *BACKBONE[0], 3), dtype=torch.uint8)
        for i, path in enumerate(planner.manifest.paths(work.rows)):
            image = clock("decode", decode, clock("read", read, path))
            for kernel in kernels:
                image = clock(type(kernel).__name__.lower(), KERNELS[type(kernel)], image, kernel, i)
            clock("copy", images.numpy().__setitem__, i, image)
        clock("normalise", stage, images, work.program, len(kernels))
    return {name: seconds / len(planner.manifest) * 1e6 for name, seconds in clock.seconds.items()}


class Clock:
    """Adds up what calls cost this thread, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, name: str, work: Callable[..., Any], *arguments: Any) -> Any:
        began = time.thread_time()
        result = work(*arguments)
        self.seconds[name] = self.seconds.get(name, 0.0) + time.thread_time() - began
        return result


def read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read()


def show(title: str, costs: dict[str, list[float]]) -> None:
    """The table, with the sum and what it allows on one core."""
    table = Table("stage", title=title, title_justify="left")
    for column in ("µs per image", "quartiles"):
        table.add_column(column, justify="right")
    whole = [sum(runs) for runs in zip(*costs.values(), strict=True)]
    for name, runs in {**costs, "sum": whole}.items():
        cost = Quartiles.of(runs)
        table.add_row(name, f"{cost.median:.0f}", f"{cost.q25:.0f} … {cost.q75:.0f}")
    screen = Console(highlight=False, soft_wrap=True)
    screen.print(table)
    screen.print(f"{1e6 / Quartiles.of(whole).median:.0f} images/s for each core, if nothing else is lost")
    screen.print(machine.sentence(machine.facts(), 1))


if __name__ == "__main__":
    main()
