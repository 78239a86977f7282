"""fastffdi's loaders and others, in turns, on the same images: one table.

    python benchmarks/peers/compare.py PHOTOS

Run install.py first, or both by `make bench-peers`.
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import install
import turns
from process import Failed, Process
from report import Report, Result
from rich.progress import Progress
from rows import RECIPES, ROWS, Row

from fastffdi.bench import machine
from fastffdi.bench.stream import take_turns
from fastffdi.files import atomic
from fastffdi.loaders.settings import usable_cores

HERE = Path(__file__).resolve().parent
_FILE = click.Path(path_type=Path, dir_okay=False)


class Entry:
    """A row in the comparison; `problem` says why it has no figures."""

    def __init__(self, row: Row, process: Process | None, problem: str | None, seconds: float) -> None:
        self.row, self.name, self.problem = row, row.name, problem
        self._process, self._seconds = process, seconds
        self._rates: list[float] = []

    def turn(self, counted: bool) -> None:
        """One turn, unless it has failed; of at most a second where it is not counted."""
        if self._process is None or self.problem is not None:
            return
        try:
            turn = self._process.turn(self._seconds if counted else min(self._seconds, 1.0))
        except Failed as error:
            self.problem = str(error)
            self._process.close()
        else:
            self._rates += [turn.rate] if counted else []

    def result(self) -> Result:
        """Its figures; none where it did not finish."""
        return Result(self.row, () if self.problem else tuple(self._rates), self.problem)


def _known(context: click.Context, option: click.Parameter, names: str) -> list[str]:
    unknown = set(names.split(",")) - set(RECIPES)
    if unknown:
        raise click.BadParameter(f"{', '.join(sorted(unknown))}: not among {', '.join(RECIPES)}")
    return names.split(",")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--threads", type=click.IntRange(min=1), default=usable_cores(), show_default=True)
@click.option("--batch-size", type=click.IntRange(min=1), default=64, show_default=True)
@click.option("--seconds", type=click.FloatRange(min=0.1), default=5.0, show_default=True, help="Of a turn.")
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="Turns of each.")
@click.option("--recipes", default=",".join(RECIPES), show_default=True, callback=_known)
@click.option("--json", "file", type=_FILE, help="All figures.")
@click.option("--table", type=_FILE, default=HERE / "RESULTS.md", help="The table, as Markdown.")
def main(folder: Path, recipes: Sequence[str], file: Path | None, table: Path, **settings: Any) -> None:
    """Measure the loaders on the JPEG files below FOLDER."""
    settings = {"images": len(turns.images(folder)), **settings}
    if not settings["images"]:
        raise click.UsageError(f"{folder}: no JPEG files below it")
    facts, results = {**machine.facts(), "peers": install.versions()}, []
    with machine.only_cores(settings["threads"]):
        for recipe in recipes:
            results += race([row for row in ROWS if row.recipe == recipe], folder, settings)
    report = Report(facts, settings, results)
    print(report.markdown())
    write(table, report.markdown())
    if file is not None:
        write(file, json.dumps(report.to_data(), indent=2) + "\n")


def race(rows: Sequence[Row], folder: Path, settings: Mapping[str, Any]) -> list[Result]:
    """The results of all rows, in rounds of one turn each."""
    problems = install.problems()
    with contextlib.ExitStack() as stack, Progress(transient=True) as progress:
        entries = []
        for row in rows:
            process, problem = None, problems.get(row.peer or "")
            if problem is None:
                errors = stack.enter_context(tempfile.TemporaryFile("w+"))
                process = Process(command(row, folder, settings), errors)
                stack.callback(process.close)
            entries.append(Entry(row, process, problem, settings["seconds"]))
        task = progress.add_task(rows[0].recipe, total=len(rows) * (settings["rounds"] + 1))
        take_turns(entries, settings["rounds"], lambda name: progress.advance(task))
    return [entry.result() for entry in entries]


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
