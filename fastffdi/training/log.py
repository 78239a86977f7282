"""The record of a run: metrics.csv and TensorBoard events in its folder, and one line for people."""

from __future__ import annotations

import csv
from pathlib import Path
from types import TracebackType
from typing import Any

from fastffdi.training.loop import EpochResult

TABLE = "metrics.csv"


class RunLog:
    """Writes every epoch to `folder` as soon as it is over; a context manager."""

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter

        self._events: Any = SummaryWriter(str(folder))
        self._table = folder / TABLE

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._events.close()

    def write(self, result: EpochResult) -> None:
        """Add one epoch; an undefined figure is an empty cell and no event."""
        row = flat(result)
        # Made with the first epoch: a run that failed before is none, and its folder can be used again.
        first = not self._table.exists()
        with self._table.open("a", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, row)
            if first:
                table.writeheader()
            table.writerow({name: "" if value is None else f"{value:.6g}" for name, value in row.items()})
        for name, value in row.items():
            if value is not None and name != "epoch":
                self._events.add_scalar(name, value, int(row["epoch"] or 0))
        self._events.flush()


def flat(result: EpochResult) -> dict[str, float | None]:
    """The figures of an epoch in one row; epochs count from 1 as people do."""
    return {
        "epoch": result.epoch + 1,
        "train_loss": result.train_loss,
        "train_accuracy": result.train_accuracy,
        **{f"val_{name}": value for name, value in result.validation.items()},
        "images_per_second": result.images_per_second,
        "wait_share": result.wait_share,
        "learning_rate": result.learning_rate,
        "corrupt": result.corrupt,
    }


def line(result: EpochResult, epochs: int) -> str:
    """The epoch in one line."""
    val = result.validation
    skipped = f"  corrupt images skipped: {result.corrupt}" if result.corrupt else ""
    return (
        f"epoch {result.epoch + 1}/{epochs}  train loss {result.train_loss:.4f}  "
        f"val loss {shown(val['log_loss'])}  accuracy {shown(val['accuracy'])}  AUC {shown(val['auc'])}  "
        f"{result.images_per_second:.0f} img/s  waiting for data {result.wait_share:.0%}{skipped}"
    )


def shown(value: float | None) -> str:
    """Four decimals, or the word for a figure that a single class leaves undefined."""
    return "undefined" if value is None else f"{value:.4f}"
