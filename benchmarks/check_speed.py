"""What a data check costs: full and quick, as ratios to decoding the same images alone.

    python benchmarks/check_speed.py FOLDER [--threads N] [--repeats 7] [--json FILE]

FOLDER is a data set as for `fastffdi check`. The three take turns, decoding before and after the full check,
all with the same threads; a check begins with an empty cache folder and ends when what it found is kept
there. Ratios are taken within a turn, medians over the turns; a turn that is not counted comes first, so that
files are in the page cache. `full_speed` is how many times as fast as decoding the full check is (1 would be
for nothing), `quick_us` the time of a quick check per file.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import numpy as np

from fastffdi.audit.survey import survey
from fastffdi.bench import machine
from fastffdi.bench.stopwatch import Quartiles
from fastffdi.cli.bench_tables import show, table
from fastffdi.cli.record import write_record
from fastffdi.data.layout import Dataset, find_dataset
from fastffdi.loaders.settings import usable_cores
from fastffdi.render.cpu.decode import decode_path

_CHUNK = 32


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--threads", default=usable_cores(), show_default="the usable cores")
@click.option("--repeats", default=7, show_default=True)
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write every turn to this file.")
def main(folder: Path, threads: int, repeats: int, file: Path | None) -> None:
    """Print the time per file of decoding, of a full and of a quick check."""
    facts, dataset = machine.facts(), find_dataset(folder)
    turns = [turn(dataset, threads) for _ in range(1 + repeats)][1:]
    decoding, full, quick = (np.array([one[name] for one in turns]) for name in ("decode", "full", "quick"))
    count = len(dataset.train) + len(dataset.val)
    results = {
        "images": count,
        "decode_us": Quartiles.of(decoding.tolist()).to_data(),
        "full_us": Quartiles.of(full.tolist()).to_data(),
        "quick_us": Quartiles.of(quick.tolist()).to_data(),
        "full_speed": Quartiles.of((decoding / full).tolist()).to_data(3),
        "quick_speed": Quartiles.of((decoding / quick).tolist()).to_data(2),
    }
    rows = [
        ["decoding", f"{np.median(decoding):.0f}", "1"],
        ["full check", f"{np.median(full):.0f}", f"{np.median(decoding / full):.2f}×"],
        ["quick check", f"{np.median(quick):.0f}", f"{np.median(decoding / quick):.1f}×"],
    ]
    headings = ["", "µs per file", "speed against decoding"]
    show(table(f"{count} images, {threads} threads", headings, rows), machine.sentence(facts, threads))
    if file is not None:
        settings = {"threads": threads, "repeats": repeats}
        write_record(file, {"machine": facts, "settings": settings, "results": results, "turns": turns})


def turn(dataset: Dataset, threads: int) -> dict[str, float]:
    """Microseconds per file of each; decoding is the mean of once before and once after the checks."""
    before = per_file(dataset, lambda: decoded(dataset, threads))
    full = per_file(dataset, lambda: checked(dataset, threads, True))
    after = per_file(dataset, lambda: decoded(dataset, threads))
    quick = per_file(dataset, lambda: checked(dataset, threads, False))
    return {"decode": (before + after) / 2, "full": full, "quick": quick}


def per_file(dataset: Dataset, work: Callable[[], None]) -> float:
    """Wall time of `work` in µs per image of the data set."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) / (len(dataset.train) + len(dataset.val)) * 1e6


def decoded(dataset: Dataset, threads: int) -> None:
    """Read and decode every image, and let go of it."""

    def decode(paths: list[str]) -> int:
        return sum(decode_path(path).size for path in paths)

    for split in (dataset.train, dataset.val):
        paths = split.paths()
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(decode, [paths[at : at + _CHUNK] for at in range(0, len(paths), _CHUNK)]))


def checked(dataset: Dataset, threads: int, full: bool) -> None:
    """Check every image, with nothing known of any."""
    with tempfile.TemporaryDirectory() as folder:
        kept = os.environ.get("FASTFFDI_CACHE")
        os.environ["FASTFFDI_CACHE"] = folder
        try:
            for split in (dataset.train, dataset.val):
                survey(split, threads, full)
        finally:
            os.environ.pop("FASTFFDI_CACHE")
            if kept is not None:
                os.environ["FASTFFDI_CACHE"] = kept


if __name__ == "__main__":
    main()
