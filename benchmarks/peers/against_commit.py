"""This library's cpu loader beside its own at another commit, in turns, on the same images.

    python benchmarks/peers/against_commit.py COMMIT PHOTOS --recipe resize --pipeline jitter

Recipes and turns are those of compare.py. The other commit is checked out into a temporary folder; both run
in the Python that runs this, each with its own fastffdi.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
from process import Process
from rows import RECIPES

from fastffdi.bench import machine
from fastffdi.bench.stopwatch import Quartiles, median_ratio, speed_data
from fastffdi.bench.stream import take_turns
from fastffdi.loaders.settings import usable_cores

ROOT = Path(__file__).resolve().parents[2]
THIS = "this tree"


class Entry:
    """A tree in the comparison."""

    problem = None

    def __init__(self, name: str, process: Process, seconds: float) -> None:
        self.name, self._process, self._seconds = name, process, seconds
        self.rates: list[float] = []

    def turn(self, counted: bool) -> None:
        """One turn, of at most a second where it is not counted. Raises Failed."""
        turn = self._process.turn(self._seconds if counted else min(self._seconds, 1.0))
        self.rates += [turn.rate] if counted else []


@click.command()
@click.argument("commit")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--recipe", type=click.Choice(list(RECIPES)), default="resize", show_default=True)
@click.option("--pipeline", help="In place of the recipe's steps: a shipped recipe's name, or a file.")
@click.option("--loader", default="cpu", show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=7, show_default=True)
@click.option("--seconds", type=click.FloatRange(min=0.1), default=3.0, show_default=True, help="Of a turn.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write every turn to this file.")
def main(
    commit: str,
    folder: Path,
    recipe: str,
    pipeline: str | None,
    loader: str,
    rounds: int,
    seconds: float,
    file: Path | None,
) -> None:
    """Measure this tree and the one at COMMIT on the JPEG files below FOLDER."""
    facts, threads = machine.facts(), usable_cores()
    words = [str(folder), "--recipe", recipe, "--threads", str(threads), "--loader", loader]
    words += [] if pipeline is None else ["--pipeline", pipeline]
    with contextlib.ExitStack() as stack:
        trees = {commit: stack.enter_context(checked_out(commit)), THIS: ROOT}
        entries = [
            Entry(name, stack.enter_context(started(tree, words)), seconds) for name, tree in trees.items()
        ]
        take_turns(entries, rounds, lambda name: None)
    ratio = median_ratio(entries[1].rates, entries[0].rates)
    for entry in entries:
        speed = Quartiles.of(entry.rates)
        print(f"{entry.name}: {speed.median:.0f} images/s ({speed.q25:.0f}–{speed.q75:.0f})")
    print(f"{THIS} is {ratio:.2f} times as fast")
    print(machine.sentence(facts, threads))
    if file is not None:
        settings = {
            "commit": commit,
            "recipe": recipe,
            "pipeline": pipeline,
            "loader": loader,
            "threads": threads,
        }
        rates = {entry.name: speed_data(entry.rates) for entry in entries}
        record = {"machine": facts, "settings": settings, "ratio": round(ratio, 3), "rates": rates}
        file.write_text(json.dumps(record, indent=1) + "\n")


@contextlib.contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """The tree of a commit, in a folder of its own while the block runs."""
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(["git", "-C", ROOT, "archive", commit], check=True, stdout=subprocess.PIPE)
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        yield Path(folder)


@contextlib.contextmanager
def started(tree: Path, words: list[str]) -> Iterator[Process]:
    """A tree's own script with its own package, until the block ends."""
    script = tree / "benchmarks" / "peers" / "with_fastffdi.py"
    with tempfile.TemporaryFile("w+") as errors:
        process = Process(["env", f"PYTHONPATH={tree}", sys.executable, str(script), *words], errors)
        try:
            yield process
        finally:
            process.close()


if __name__ == "__main__":
    main()
