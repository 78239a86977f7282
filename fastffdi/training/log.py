"""The record of a run: metrics.csv and TensorBoard events in its folder, and one line for people."""

from __future__ import annotations

import csv
import io
import socket
import time
from pathlib import Path
from typing import Any

from fastffdi.files import append, atomic
from fastffdi.training.folder import BATCH, EVENTS, TABLE
from fastffdi.training.history import History
from fastffdi.training.result import EpochResult


class RunLog:
    """Writes every epoch to `folder` as soon as it is over, and those that `history` has at the beginning.

    Of an older record that is there nothing stays: each epoch has one row and one event, whatever happened
    before. Where the disk is full, the table stays as it was.
    """

    def __init__(self, folder: Path, history: History | None = None) -> None:
        self._history, self._table = history or History(), folder / TABLE
        self._events = _Events(folder)
        if self._history.results:
            self._write_table()
            self._events.begin()
            for result, at in zip(self._history.results, self._history.times, strict=True):
                self._events.add(result, at)

    def write(self, result: EpochResult) -> bool:
        """Add one epoch; whether it is the best so far. An undefined figure is an empty cell and no event."""
        best = self._history.add(result)
        self._write_table()
        if len(self._history.results) == 1:
            self._events.begin()
        self._events.add(result, self._history.times[-1])
        return best

    def _write_table(self) -> None:
        rows = [flat(result) for result in self._history.results]
        text = io.StringIO()
        table = csv.DictWriter(text, rows[-1], restval="")
        table.writeheader()
        for row in rows:
            table.writerow({name: _cell(value) for name, value in row.items()})
        with atomic(self._table) as part:
            part.write_text(text.getvalue(), encoding="utf-8", newline="")


class _Events:
    """A file of TensorBoard's; written here and not in SummaryWriter's thread, whose errors come too late."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def begin(self) -> None:
        """Begin a file, in place of those that are there."""
        from tensorboard.compat.proto.event_pb2 import Event

        for old in self._folder.glob(EVENTS):
            old.unlink()
        now = time.time()
        self._file = self._folder / EVENTS.replace("*", f"{now:.0f}.{socket.gethostname()}")
        append(self._file, _record(Event(wall_time=now, file_version="brain.Event:2")))
        self._add_sheet(now)

    def _add_sheet(self, now: float) -> None:
        """Add the sheet of the first batch, where there is one in the folder."""
        from PIL import Image
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        path = self._folder / BATCH
        if not path.exists():
            return
        with Image.open(path) as sheet:
            width, height = sheet.size
        image = Summary.Image(
            height=height, width=width, colorspace=3, encoded_image_string=path.read_bytes()
        )
        value = Summary.Value(tag=path.stem, image=image)
        append(self._file, _record(Event(wall_time=now, step=0, summary=Summary(value=[value]))))

    def add(self, result: EpochResult, at: float) -> None:
        """Add the figures of an epoch that was over at a time, in seconds since 1970."""
        from tensorboard.compat.proto.event_pb2 import Event
        from torch.utils.tensorboard.summary import scalar

        events = [
            Event(wall_time=at, step=result.epoch + 1, summary=scalar(name, value))  # type: ignore[no-untyped-call]
            for name, value in flat(result).items()
            if isinstance(value, (int, float)) and name != "epoch"
        ]
        append(self._file, b"".join(map(_record, events)))


def _record(event: Any) -> bytes:
    from tensorboard.summary.writer.record_writer import RecordWriter

    data = io.BytesIO()
    RecordWriter(data).write(event.SerializeToString())
    return data.getvalue()


def _cell(value: float | str | None) -> str:
    return value if isinstance(value, str) else "" if value is None else f"{value:.6g}"


def flat(result: EpochResult) -> dict[str, float | str | None]:
    """The figures of an epoch in one row; epochs count from 1 as people do."""
    return {
        "epoch": result.epoch + 1,
        "train_loss": result.train_loss,
        "train_accuracy": result.train_accuracy,
        **{f"val_{name}": value for name, value in result.validation.items()},
        "images_per_second": result.images_per_second,
        "wait_share": result.wait_share,
        "save_share": result.save_share,
        "learning_rate": result.learning_rate,
        "gradient_norm": result.gradient_norm,
        "corrupt": result.corrupt,
        **_of_both(result),
    }


def _of_both(result: EpochResult) -> dict[str, float | str | None]:
    """Of which weights the validation is, and the AUC of both; nothing where there is no moving average."""
    if not result.aucs:
        return {}
    return {"weights": result.weights, **{f"val_auc_{name}": auc for name, auc in result.aucs.items()}}


def line(result: EpochResult, epochs: int) -> str:
    """The epoch in one line."""
    val = result.validation
    skipped = f"  corrupt images skipped: {result.corrupt}" if result.corrupt else ""
    return (
        f"epoch {result.epoch + 1}/{epochs}  train loss {result.train_loss:.4f}  "
        f"val loss {shown(val['log_loss'])}  accuracy {shown(val['accuracy'])}  "
        f"AUC {shown(val['auc'])}{_beside(result)}  "
        f"{result.images_per_second:.0f} img/s  waiting for data {result.wait_share:.0%}{skipped}"
    )


def _beside(result: EpochResult) -> str:
    """` (ema; raw 0.9712)` where there is a moving average."""
    others = [f"{name} {shown(auc)}" for name, auc in result.aucs.items() if name != result.weights]
    return f" ({result.weights}; {', '.join(others)})" if others else ""


def shown(value: float | None) -> str:
    """Four decimals, or the word for a figure that a single class leaves undefined."""
    return "undefined" if value is None else f"{value:.4f}"
