"""Training in two processes of one thread each, against one process of two threads.

    python benchmarks/distributed.py [--data DIR] [--backbone NAME] [--batch-size N] [--size PIXELS]
                                     [--turns 5] [--json FILE]

Both are `fastffdi train` on the CPU, from JPEG files, with the same images in each update; they take turns.
The figure of a turn is the images/s of metrics.csv, the median of its epochs but the first. As many threads
decode as compute.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import numpy as np

from fastffdi.bench import machine
from fastffdi.bench.stopwatch import Quartiles
from fastffdi.cli.bench_tables import show, table
from fastffdi.cli.record import write_record
from fastffdi.loaders.settings import usable_cores

#: Of a turn; the first one is not measured.
_EPOCHS = 3

_RECIPE = (
    "{split}: [{{resize: {{size: [{size}, {size}]}}}}, {{normalize: {{mean: imagenet, std: imagenet}}}}]\n"
)


@click.command()
@click.option("--data", type=click.Path(path_type=Path), help="As for train.  [default: demo images]")
@click.option("--backbone", default="resnet18", show_default=True)
@click.option("--batch-size", default=32, show_default=True, help="Images per update, of both processes.")
@click.option("--size", default=128, show_default=True, help="Height and width of the images.")
@click.option("--turns", default=5, show_default=True)
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write every figure to this file.")
def main(data: Path | None, backbone: str, batch_size: int, size: int, turns: int, file: Path | None) -> None:
    """Print images/s of both, and their ratio."""
    facts = machine.facts()
    speeds: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        recipe = folder / "recipe.yaml"
        recipe.write_text("".join(_RECIPE.format(split=split, size=size) for split in ("train", "eval")))
        given = ["--data", str(data)] * (data is not None) + ["--backbone", backbone, "--no-pretrained"]
        given += ["--pipeline", str(recipe), "--batch-size", str(batch_size), "--epochs", str(_EPOCHS)]
        for turn in range(turns):
            for processes, found in speeds.items():
                found.append(_speed(processes, given, folder / f"{turn}-{processes}"))
                click.echo(
                    f"turn {turn + 1}: {processes} × {2 // processes}: {found[-1]:.1f} images/s", err=True
                )
    one, two = (Quartiles.of(found).to_data(1) for found in speeds.values())
    ratio = Quartiles.of((np.array(speeds[2]) / speeds[1]).tolist()).to_data(3)
    rows = [
        ["1 process × 2 threads", f"{one['median']:.1f}", ""],
        ["2 processes × 1 thread", f"{two['median']:.1f}", f"{ratio['median']:.2f}×"],
    ]
    title = f"{backbone}, {batch_size} images of {size} × {size} an update; {turns} turns"
    show(table(title, ["", "images/s", ""], rows), machine.sentence(facts, usable_cores()))
    if file is not None:
        settings = {"backbone": backbone, "batch_size": batch_size, "size": size, "turns": turns}
        results = {"one": one, "two": two, "ratio": ratio}
        write_record(file, {"machine": facts, "settings": settings, "results": results, "turns": speeds})


def _speed(processes: int, given: list[str], output: Path) -> float:
    """Images/s of one run in so many processes, which share two threads."""
    threads = str(2 // processes)
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [sys.executable, *launch, "-m", "fastffdi", "train", *given]
    command += ["--device", "cpu", "--loader", "cpu", "--threads", threads, "--output", str(output)]
    environment = os.environ | {"OMP_NUM_THREADS": threads}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with (output / "metrics.csv").open(newline="") as file:
        found = [float(row["images_per_second"]) for row in csv.DictReader(file)]
    return float(np.median(found[1:]))


if __name__ == "__main__":
    main()
