"""fastffdi's loaders and others, in turns, on the same images: one table.

    python benchmarks/peers/compare.py PHOTOS

Run install.py first, or both by `make bench-peers`.
"""

from __future__ import annotations

import contextlib
import functools
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import install
import report
import turns
from process import Failed, Process, Turn
from rich.console import Console
from rich.progress import track
from rows import RECIPES, ROWS, Row

from fastffdi.bench import machine
from fastffdi.files import atomic
from fastffdi.model.device import usable_cores

HERE = Path(__file__).resolve().parent


@dataclass
class Entry:
    """A row, its process while it is in the race, and what it did.

    problem  why it is not, or no longer
    """

    row: Row
    process: Process | None = None
    turns: list[Turn] = field(default_factory=list)
    problem: str | None = None

    def turn(self, seconds: float, counted: bool = True) -> None:
        """One turn, unless it is out."""
        if self.process is None:
            return
        try:
            turn = self.process.turn(seconds)
        except Failed as error:
            self.problem = str(error)
            self.process.close()
            self.process = None
        else:
            self.turns += [turn] if counted else []

    def result(self) -> report.Result:
        """Its figures; none where it did not finish."""
        rates = () if self.problem else tuple(turn.rate for turn in self.turns)
        return report.Result(self.row, rates, self.problem)


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
@click.option("--json", "file", type=click.Path(path_type=Path, dir_okay=False), help="All figures.")
@click.option(
    "--table",
    type=click.Path(path_type=Path, dir_okay=False),
    default=HERE / "RESULTS.md",
    help="The table, as Markdown.  [default: RESULTS.md beside this script]",
)
def main(folder: Path, recipes: list[str], file: Path | None, table: Path, **settings: Any) -> None:
    """Measure the loaders on the JPEG files below FOLDER."""
    settings = {"images": len(turns.images(folder)), **settings}
    if not settings["images"]:
        raise click.UsageError(f"{folder}: no JPEG files below it")
    facts = {**machine.facts(), "peers": install.versions()}
    results: list[report.Result] = []
    with machine.only_cores(settings["threads"]):
        for recipe in recipes:
            entries = race([row for row in ROWS if row.recipe == recipe], folder, settings)
            results += [entry.result() for entry in entries]
    found = report.Report(facts, settings, results)
    Console(highlight=False, soft_wrap=True).print(found.screen())
    write(table, found.markdown())
    if file is not None:
        write(file, json.dumps(found.to_data(), indent=2) + "\n")


def race(rows: Sequence[Row], folder: Path, settings: Mapping[str, Any]) -> list[Entry]:
    """All that can be started; a turn of at most a second for each, not counted; then the rounds."""
    problems = install.problems()
    entries = [Entry(row, problem=problems.get(row.peer or "")) for row in rows]
    seconds = settings["seconds"]
    shown = functools.partial(track, transient=True, disable=not sys.stdout.isatty())
    with contextlib.ExitStack() as stack:
        for entry in entries:
            if entry.problem is None:
                errors = stack.enter_context(tempfile.TemporaryFile("w+"))
                entry.process = Process(command(entry.row, folder, settings), errors)
                stack.callback(entry.process.close)
        for entry in shown(entries, "starting"):
            entry.turn(min(seconds, 1.0), counted=False)
        for entry in shown([*entries] * settings["rounds"], "measuring"):
            entry.turn(seconds)
    return entries


def command(row: Row, folder: Path, settings: Mapping[str, Any]) -> list[str]:
    """What starts a row's process."""
    python = sys.executable if row.peer is None else str(install.PYTHON)
    given = [str(folder), "--threads", str(settings["threads"]), "--batch-size", str(settings["batch_size"])]
    return [python, str(HERE / row.script), *given, "--recipe", row.recipe, *row.arguments]


def write(file: Path, text: str) -> None:
    with atomic(file) as part:
        part.write_text(text, encoding="utf-8")
    print(f"written: {file}")


if __name__ == "__main__":
    main()
