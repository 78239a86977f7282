"""What the intervals of an evaluation cost: every measure of many resamples of many scores.

    python benchmarks/intervals.py [--images 100000] [--resamples 2000] [--repeats 3] [--json FILE]

Scores of two overlapping classes, all of them different, which is the dearest case. Processor seconds are
those of all threads together.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click
import numpy as np
from scipy.special import expit

from fastffdi.bench import machine
from fastffdi.bench.stopwatch import Quartiles
from fastffdi.cli.bench_tables import show, table
from fastffdi.cli.record import write_record
from fastffdi.evaluation import bootstrap, measures


@click.command()
@click.option("--images", default=100_000, show_default=True)
@click.option("--resamples", default=bootstrap.RESAMPLES, show_default=True)
@click.option("--repeats", default=3, show_default=True)
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write every repeat to this file.")
def main(images: int, resamples: int, repeats: int, file: Path | None) -> None:
    """Print how long the intervals of all measures take."""
    facts, known = machine.facts(), measures.standard(0.4)
    turns = [turn(images, resamples, known) for _ in range(repeats)]
    rows = [[name.replace("_", " "), *quartiles(turns, name)] for name in ("seconds", "processor_seconds")]
    title = f"{len(known)} measures, {resamples:,} resamples of {images:,} scores"
    show(table(title, ["", "median", "quartiles"], rows), machine.sentence(facts, facts["cores"]))
    if file is not None:
        settings = {"images": images, "resamples": resamples, "measures": list(known)}
        write_record(file, {"machine": facts, "settings": settings, "turns": turns})


def turn(images: int, resamples: int, known: Any) -> dict[str, float]:
    """Seconds and processor seconds of one evaluation."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, images)
    scores = expit(rng.normal(2 * labels - 1, np.sqrt(2)))
    began, worked = time.perf_counter(), time.process_time()
    bootstrap.intervals(labels, scores, known, resamples)
    return {"seconds": time.perf_counter() - began, "processor_seconds": time.process_time() - worked}


def quartiles(turns: list[dict[str, float]], name: str) -> tuple[str, str]:
    """Median and quartiles of a figure, as words."""
    found = Quartiles.of([turn[name] for turn in turns])
    return f"{found.median:.2f}", f"{found.q25:.2f} … {found.q75:.2f}"


if __name__ == "__main__":
    main()
