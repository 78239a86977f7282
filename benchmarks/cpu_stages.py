"""What each stage of the cpu loader costs: µs per image, in one thread.

    python benchmarks/cpu_stages.py FOLDER [--pipeline jitter] [--repeats 7]

Processor time, which a busy machine changes less than wall time; median and quartiles of the repeats, after
one that is not counted.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import cv2
import torch

from fastffdi.bench import machine
from fastffdi.bench.stopwatch import Quartiles
from fastffdi.cli.bench_tables import show, speed, table
from fastffdi.data.layout import plain_folder
from fastffdi.data.source import FILES
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.model import precision
from fastffdi.model.backbone import load_recipe
from fastffdi.recipe.lowering import output_size
from fastffdi.render.cpu.decode import decode
from fastffdi.render.cpu.renderer import KERNELS
from fastffdi.render.device.stage import DeviceStage

CPU = torch.device("cpu")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--pipeline", default="jitter", show_default=True)
@click.option("--repeats", default=7, show_default=True)
def main(folder: Path, pipeline: str, repeats: int) -> None:
    """Print what each stage of the cpu loader costs on the images below FOLDER."""
    planner = BatchPlanner.over(
        plain_folder(folder), load_recipe(pipeline).train, LoaderSettings(1), shuffle=True
    )
    costs = measure(planner, repeats)
    costs["sum"] = [sum(runs) for runs in zip(*costs.values(), strict=True)]
    rows = [[name, *speed(Quartiles.of(runs))] for name, runs in costs.items()]
    show(
        table(f"{pipeline}, {len(planner.manifest)} images", ["stage", "µs per image", "quartiles"], rows),
        f"{1e6 / Quartiles.of(costs['sum']).median:.0f} images/s for each core, if nothing else is lost",
        machine.sentence(machine.facts(), 1),
    )


def measure(planner: BatchPlanner, repeats: int) -> dict[str, list[float]]:
    """Stage → µs per image of each repeat; a repeat is an epoch."""
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    _, *runs = [once(planner) for _ in range(repeats + 1)]
    return {name: [run[name] for run in runs] for name in runs[0]}


def once(planner: BatchPlanner) -> dict[str, float]:
    """Stage → µs per image, over an epoch; each image goes through all stages in turn, as in the loader."""
    seconds: defaultdict[str, float] = defaultdict(float)

    def timed(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        began = time.thread_time()
        result = function(*arguments)
        seconds[name] += time.thread_time() - began
        return result

    stage, plans = DeviceStage(CPU, precision.choose("auto", CPU).dtype), iter(planner.epoch(0))
    for _ in range(len(planner)):
        plan = timed("plan", next, plans)
        images = torch.empty((len(plan.rows), *output_size(planner.template[1]), 3), dtype=torch.uint8)
        for i, path in enumerate(planner.manifest.paths(plan.rows)):
            image = timed("decode", decode, timed("read", FILES.read, path))
            for kernel in plan.program.kernels:
                image = timed(type(kernel).__name__.lower(), KERNELS[type(kernel)], image, kernel, i)
            timed("copy", images.numpy().__setitem__, i, image)
        remaining = plan.program.after(len(plan.program))
        timed("normalise", stage, planner.batch(plan, images, remaining))
    return {name: total / len(planner.manifest) * 1e6 for name, total in seconds.items()}


if __name__ == "__main__":
    main()
