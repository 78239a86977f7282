"""What bench-loader shows and writes of the speeds of loaders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from fastffdi.bench import machine
from fastffdi.bench.method import explained
from fastffdi.bench.minute import Minute
from fastffdi.bench.quick import quick_report
from fastffdi.bench.report import Report, Subject, report
from fastffdi.cli.bench_tables import one_table, panels, ratios, sentence, show, tables
from fastffdi.cli.record import write_record
from fastffdi.cli.rounds import countdown, rounds
from fastffdi.cli.screen import console


def measure(
    subject: Subject,
    described: str,
    facts: dict[str, Any],
    file: Path,
    plot: Path | None,
    explain: bool,
    minute: Minute | None,
) -> None:
    """Measure within the minute, or thoroughly without one; print tables and verdict, write the record.

    Raises UndecodableImage, and as BatchPlanner.over.
    """
    found = _measured(subject, minute)
    measured_on = machine.sentence(facts, subject.settings[-1].threads)
    show(*_shown(found))
    if explain:
        show(*explained(found.protocol), sentence(found), measured_on)
    if plot is not None:
        from fastffdi.bench.plot import plot as draw

        title = f"{described}: images/s to the {subject.settings[0].to} batch"
        draw(plot, title, panels(found), [found.verdict, sentence(found), measured_on])
        click.echo(f"chart: {plot}")
    click.echo(found.verdict)
    data = found.to_data()
    settings = {"data": described, **data.pop("settings")}
    write_record(file, {"machine": facts, "settings": settings, **data})


def _measured(subject: Subject, minute: Minute | None) -> Report:
    if minute is None:
        with rounds(subject.turns, console()) as progress:
            return report(subject, progress)
    with countdown(minute.budget, console()) as progress:
        return quick_report(subject, minute, progress)


def _shown(found: Report) -> Iterator[Table | str]:
    if found.protocol == "quick":
        yield one_table(found)
    else:
        yield from tables(found)
        yield from ratios(found)
