"""Seconds from the cold start of `fastffdi train` until its validation AUC reaches a target.

    python benchmarks/speedrun.py FACES --weights FILE [--target 0.95] [--table benchmarks/speedrun.md]

The clock starts before the interpreter does, and stops when the line of the epoch is in metrics.csv; filling
a cache of decoded images counts. The AUC is that of all validation images, and of the moving average of the
weights where that is the better one. The files may be in the page cache, and Python's byte code compiled.

The settings are those of speedrun_settings.yaml, the recipe speedrun.yaml; a run ends at the target. A row
with the median over the seeds is added to the table; a seed that does not reach the target is the slowest.
Beside it stands what the tutorial's loop reached, by the newest record of learning.py.
"""

from __future__ import annotations

import csv
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import yaml

from fastffdi.bench import machine
from fastffdi.model import precision
from fastffdi.model.device import choose_device

HERE = Path(__file__).parent
SETTINGS, RECIPE = HERE / "speedrun_settings.yaml", HERE / "speedrun.yaml"

HEADINGS = (
    "commit",
    "date",
    "seconds",
    "reached",
    "AUC",
    "epoch",
    "the tutorial's loop",
    "settings",
    "machine",
)

#: Seconds between two looks at metrics.csv.
GLANCE = 0.05

#: What a run is given to end in.
GRACE_SECONDS = 60


@dataclass(frozen=True)
class Reached:
    """How far a run came.

    Attributes:
        seconds: until the target was reached; infinite where it was not
        auc: of the epoch that reached it, or of the best one
        epoch: that one, from 1; 0 without any
    """

    seconds: float
    auc: float
    epoch: int


@click.command()
@click.argument("faces", type=click.Path(path_type=Path))
@click.option(
    "--weights", type=click.Path(path_type=Path), required=True, help="ImageNet weights to start from."
)
@click.option("--target", default=0.95, show_default=True, help="Validation AUC.")
@click.option("--seeds", default="0,1,2", show_default=True)
@click.option("--settings", type=click.Path(path_type=Path), default=SETTINGS, help="For train --config.")
@click.option("--recipe", type=click.Path(path_type=Path), default=RECIPE, help="For train --pipeline.")
@click.option("--cache/--no-cache", default=True, help="Keep decoded images; filling counts.  [default: yes]")
@click.option("--limit", type=int, help="As train has it.")
@click.option("--table", type=click.Path(path_type=Path), help="Add a row to this file.")
def main(faces: Path, weights: Path, target: float, seeds: str, table: Path | None, **options: Any) -> None:
    """Train on FACES until the target is reached, once for each seed."""
    facts, runs = machine.facts(), []
    for seed in seeds.split(","):
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "run"
            found = timed(command(faces, weights, seed, output, **options), output, target)
        click.echo(f"seed {seed}: {in_seconds(found.seconds)}, AUC {found.auc:.4f}, epoch {found.epoch}")
        runs.append(found)
    row = cells(runs, target, facts, words(**options))
    for heading, cell in zip(HEADINGS, row, strict=True):
        click.echo(f"{heading}: {cell}")
    if table is not None:
        add(table, row)


def command(
    faces: Path,
    weights: Path,
    seed: str,
    output: Path,
    settings: Path,
    recipe: Path,
    cache: bool,
    limit: int | None,
) -> list[str]:
    """A run as its user would start it."""
    given = {"config": settings, "pipeline": recipe, "data": faces, "weights": weights, "seed": seed}
    given |= {"cache": output.with_name("cache")} if cache else {}
    given |= {"limit": limit} if limit else {}
    given |= {"output": output}
    options = [word for name, value in given.items() for word in (f"--{name}", str(value))]
    return [sys.executable, "-m", "fastffdi", "train", *options]


def timed(command: Sequence[str], output: Path, target: float) -> Reached:
    """Run the command until an epoch in the table of its folder reaches the target, or to its end."""
    began = time.perf_counter()
    process = subprocess.Popen(command)
    try:
        while True:
            ended = process.poll()
            seconds, aucs = time.perf_counter() - began, list(aucs_of(output / "metrics.csv"))
            best = max(aucs, default=math.nan)
            if best >= target:
                return Reached(seconds, best, aucs.index(best) + 1)
            if ended == 0:
                return Reached(math.inf, best, aucs.index(best) + 1 if aucs else 0)
            if ended is not None:
                raise click.ClickException(f"fastffdi train has ended with code {ended}")
            time.sleep(GLANCE)
    finally:
        stop(process)


def aucs_of(table: Path) -> Iterator[float]:
    """The validation AUC of every epoch so far."""
    if table.exists():
        with table.open(newline="", encoding="utf-8") as file:
            yield from (float(row["val_auc"] or "nan") for row in csv.DictReader(file))


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process, which is given time to write what it holds."""
    process.terminate()
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def cells(runs: Sequence[Reached], target: float, facts: dict[str, Any], settings: str) -> list[str]:
    """The row of the table."""
    seconds = [run.seconds for run in runs]
    median, fastest, slowest = map(in_seconds, (statistics.median_high(seconds), min(seconds), max(seconds)))
    numbers = precision.choose("auto", choose_device("auto")).name.replace("off", "float32")
    hardware = f"{facts['cpu']}, {facts['cores']} cores, {facts['gpu'] or 'no GPU'}"
    return [
        commit(),
        facts["date"][:10],
        f"{median} ({fastest} to {slowest})",
        f"{sum(map(math.isfinite, seconds))} of {len(runs)}",
        ", ".join(f"{run.auc:.3f}" for run in runs),
        ", ".join(str(run.epoch) for run in runs),
        tutorial(target),
        f"to {target}: {settings}",
        f"{hardware}, {numbers}, load {facts['load']}, torch {facts['versions']['torch']}",
    ]


def tutorial(target: float, results: Path = HERE / "results") -> str:
    """How far the tutorial's loop came, in words, by the newest record; a dash without one."""
    records = sorted(results.glob("*-learning.json"))
    if not records:
        return "–"
    found = json.loads(records[-1].read_text(encoding="utf-8"))["results"]
    runs = [run for run in found if run["loop"] == "tutorial"]
    aucs = [max(epoch["val_auc"] for epoch in run["epochs"]) for run in runs]
    seconds = statistics.median(run["seconds"] for run in runs)
    reached = f"{sum(auc >= target for auc in aucs)} of {len(runs)} in {len(runs[0]['epochs'])} epochs"
    return f"{reached}, {seconds:.0f} s; best AUC {min(aucs):.3f} to {max(aucs):.3f}"


def in_seconds(seconds: float) -> str:
    """One decimal, or that there is no such time."""
    return f"{seconds:.1f} s" if math.isfinite(seconds) else "not reached"


def words(settings: Path, recipe: Path, cache: bool, limit: int | None) -> str:
    """What a run is made with, in one line."""
    chosen = yaml.safe_load(settings.read_text(encoding="utf-8"))
    steps = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    told = [f"{name} {value}" for name, value in leaves(chosen)]
    told += [f"{split} {steps[split][0]}" for split in ("train", "eval")]
    told += ["cache filled within the time"] * cache + [f"limit {limit}"] * (limit is not None)
    return ", ".join(told)


def leaves(section: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """All settings by name, without their sections."""
    for name, value in section.items():
        yield from leaves(value) if isinstance(value, dict) else [(name, value)]


def commit() -> str:
    """The commit, with a + where files differ from it."""

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", HERE, *words], capture_output=True, text=True, check=True).stdout

    return git("rev-parse", "--short", "HEAD").strip() + "+" * bool(git("status", "--porcelain"))


def add(table: Path, row: Sequence[str]) -> None:
    """Add a row to the end of the file."""
    with table.open("a", encoding="utf-8") as file:
        file.write(f"| {' | '.join(row)} |\n")


if __name__ == "__main__":
    main()
