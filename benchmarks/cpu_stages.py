"""What each stage of the cpu loader costs: µs per image, in one thread.

    python benchmarks/cpu_stages.py FOLDER [--pipeline jitter] [--repeats 7]

Processor time, not time on the clock, so that a busy machine changes it less; median and quartiles of the
repeats, of which the first, a warm-up, is left out.
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
from fastffdi.data.layout import plain_folder
from fastffdi.loaders.batch import Batch
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
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    steps = load_recipe(pipeline).train
    planner = BatchPlanner.over(plain_folder(folder), steps, LoaderSettings(1), shuffle=True)
    stage = DeviceStage(CPU, precision.choose("auto", CPU).dtype)
    _, *runs = [once(planner, stage) for _ in range(repeats + 1)]
    print(f"{pipeline}, {len(planner.manifest)} images; µs per image, median (quartiles)")
    for name in [*runs[0], "sum"]:
        cost = Quartiles.of([sum(run.values()) if name == "sum" else run[name] for run in runs])
        print(f"{name:10s} {cost.median:6.0f}  ({cost.q25:.0f}–{cost.q75:.0f})")
    print(machine.sentence(machine.facts(), 1))


def once(planner: BatchPlanner, stage: DeviceStage) -> dict[str, float]:
    """Stage → µs per image, over an epoch; each image goes through them in turn, as in the loader."""
    clock, plans = Clock(), iter(planner.epoch(0))
    size = output_size(planner.template[1])
    for _ in range(len(planner)):
        plan = clock("plan", lambda: next(plans))
        images = torch.empty((len(plan.rows), *size, 3), dtype=torch.uint8)
        for i, path in enumerate(planner.manifest.paths(plan.rows)):
            image = clock("decode", decode, clock("read", planner.decoder.source.read, path))
            for kernel in plan.program.kernels:
                image = clock(type(kernel).__name__.lower(), KERNELS[type(kernel)], image, kernel, i)
            clock("copy", images.numpy().__setitem__, i, image)
        batch: Batch = planner.batch(plan, images, plan.program.after(len(plan.program)))
        clock("normalise", stage, batch)
    return {name: seconds / len(planner.manifest) * 1e6 for name, seconds in clock.seconds.items()}


class Clock:
    """Adds up what calls cost this thread, by name."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def __call__(self, name: str, work: Callable[..., Any], *arguments: Any) -> Any:
        began = time.thread_time()
        result = work(*arguments)
        self.seconds[name] += time.thread_time() - began
        return result


if __name__ == "__main__":
    main()
