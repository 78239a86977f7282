"""fastffdi's loaders and others, in turns, on the same images: one table.

    python benchmarks/peers/compare.py PHOTOS

Run install.py first, or both by `make bench-peers`.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
import install
import turns
from process import Failed, Process
from report import Report, Result
from rows import RECIPES, ROWS, Row

from fastffdi.bench import machine
from fastffdi.bench.stream import take_turns
from fastffdi.cli.bench_tables import show, write_record
from fastffdi.cli.rounds import rounds
from fastffdi.cli.screen import console
from fastffdi.files import atomic
from fastffdi.loaders.settings import usable_cores

HERE = Path(__file__).resolve().parent
FILE = click.Path(path_type=Path, dir_okay=False)


class Runner:
    """A row and its process, if that works; the problem where it does not."""

    def __init__(self, row: Row, command: Sequence[str], seconds: float, stack: ExitStack) -> None:
        self.row, self.name, self.seconds = row, row.name, seconds
        self.rates: list[float] = []
        self.problem = install.problems().get(row.peer or "")
        if self.problem is None:
            errors = stack.enter_context(tempfile.TemporaryFile("w+"))  # noqa: SIM115
            self._process = Process(command, errors)
            stack.callback(self._process.close)

    def turn(self, counted: bool) -> None:
        """One turn, unless there is a problem; of at most a second where it is not counted."""
        if self.problem is not None:
            return
        try:
            timed = self._process.turn(self.seconds if counted else min(self.seconds, 1.0))
            self.rates += [timed.rate] if counted else []
        except Failed as error:
            self.problem = str(error)

    def result(self) -> Result:
        return Result(self.row, () if self.problem else tuple(self.rates), self.problem)


def _known(context: click.Context, option: click.Parameter, names: str) -> list[str]:
    unknown = set(names.split(",")) - set(RECIPES)
    if unknown:
        raise click.BadParameter(f"{', '.join(sorted(unknown))}: not among {', '.join(RECIPES)}")
    return names.split(",")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=usable_cores(),
    show_default=True,
    help="Threads or worker processes of each, and cores to use.",
)
@click.option("--batch-size", type=click.IntRange(min=1), default=64, show_default=True)
@click.option("--seconds", type=click.FloatRange(min=0.1), default=5.0, show_default=True, help="Of a turn.")
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="Turns of each.")
@click.option("--recipes", default=",".join(RECIPES), show_default=True, callback=_known)
@click.option("--json", "file", type=FILE, help="All figures.")
@click.option("--table", type=FILE, default=HERE / "RESULTS.md", help="The table, as Markdown.")
def main(folder: Path, recipes: list[str], file: Path | None, table: Path, **settings: Any) -> None:
    """Measure the loaders on the JPEG files below FOLDER."""
    settings = {"images": len(turns.images(folder)), **settings}
    if not settings["images"]:
        raise click.UsageError(f"{folder}: no JPEG files below it")
    facts = {**machine.facts(), "peers": install.versions()}
    results: list[Result] = []
    with machine.only_cores(settings["threads"]):
        for recipe in recipes:
            results += measure([row for row in ROWS if row.recipe == recipe], folder, settings)
    found = Report(facts, settings, results)
    show(*found.screen())
    with atomic(table) as part:
        part.write_text(found.markdown(), encoding="utf-8")
    print(f"written: {table}")
    if file is not None:
        write_record(file, found.to_data())


def measure(rows: Sequence[Row], folder: Path, settings: Mapping[str, Any]) -> list[Result]:
    """The results of rows that take turns."""
    repeats = settings["rounds"]
    with ExitStack() as stack, rounds(len(rows) * (repeats + 1), console()) as progress:
        runners = [Runner(row, command(row, folder, settings), settings["seconds"], stack) for row in rows]
        take_turns(runners, repeats, progress)
        return [runner.result() for runner in runners]


def command(row: Row, folder: Path, settings: Mapping[str, Any]) -> list[str]:
    """The command that starts a row's process."""
    python = sys.executable if row.peer is None else str(install.PYTHON)
    given = [str(folder), "--threads", str(settings["threads"]), "--batch-size", str(settings["batch_size"])]
    return [python, str(HERE / row.script), *given, "--recipe", row.recipe, *row.arguments]


if __name__ == "__main__":
    main()
