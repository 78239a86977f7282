"""fastffdi compare"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from fastffdi.training.comparison import Compared

_FILE = click.Path(path_type=Path, dir_okay=False)
_HEADINGS = ("run", "backbone", "recipe", "epochs", "best", "AUC", "95 % interval", "images/s", "time")


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@click.option("--json", "json_file", type=_FILE, help="Also write the table to this file.")
@click.option("--csv", "csv_file", type=_FILE, help="Also write the table to this file.")
def compare(runs: tuple[Path, ...], json_file: Path | None, csv_file: Path | None) -> None:
    """Show runs beside each other: what came out, and the settings in which they differ.

    RUNs are folders that train made; one that is not over counts with the epochs that are.
    """
    from fastffdi.cli.record import check_folder, write_record
    from fastffdi.training import comparison

    check_folder("--json", json_file)
    check_folder("--csv", csv_file)
    found = [comparison.read(run) for run in runs]
    differing = comparison.differing(found)
    _show(found, differing)
    if json_file is not None:
        write_record(json_file, {"runs": [run.to_data() | {"settings": run.settings} for run in found]})
    if csv_file is not None:
        _write_csv(csv_file, [run.to_data() | _chosen(run, differing) for run in found])


def _show(found: Sequence[Compared], differing: Sequence[str]) -> None:
    from fastffdi.cli.columns import show

    rows = [(*_row(run), *map(_word, _chosen(run, differing).values())) for run in found]
    show((*_HEADINGS, *differing), rows, left=(0, 1, 2))


def _row(run: Compared) -> tuple[str, ...]:
    data = run.to_data()
    epochs = str(run.epochs) if run.epochs == run.of else f"{run.epochs} of {run.of}"
    low, high, seconds = data["auc_low"], data["auc_high"], data["seconds"]
    return (
        run.folder,
        run.backbone,
        run.pipeline,
        epochs,
        _word(data["best_epoch"]),
        _figure(data["auc"], 4),
        "–" if low is None else f"{low:.4f} … {high:.4f}",
        _figure(data["images_per_second"], 0),
        "–" if seconds is None else _time(seconds),
    )


def _chosen(run: Compared, names: Sequence[str]) -> dict[str, Any]:
    return {name: run.settings.get(name) for name in names}


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "–" if value is None else str(value)


def _figure(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _time(seconds: float) -> str:
    """`42 s`, `3:05` or `1:02:03`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _write_csv(file: Path, rows: Sequence[dict[str, Any]]) -> None:
    from fastffdi.files import atomic

    text = io.StringIO()
    table = csv.DictWriter(text, rows[0])
    table.writeheader()
    table.writerows(rows)
    with atomic(file) as part:
        part.write_bytes(text.getvalue().encode("utf-8", "surrogateescape"))
    click.echo(f"table: {file}")
