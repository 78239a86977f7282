"""The images of a run that cannot be decoded: named once, counted, and too many of them an error."""

from __future__ import annotations

import csv
from pathlib import Path

from fastffdi.errors import RunError, SettingError, did_you_mean
from fastffdi.escapes import escaped
from fastffdi.loaders.batch import Batch
from fastffdi.loaders.planner import BatchPlanner

SKIP, FAIL = "skip", "fail"

#: The file in a run's folder.
TABLE = "quarantine.csv"


def skips(on_corrupt: str) -> bool:
    """Whether `--on-corrupt` says skip. Raises SettingError for a word that it does not know."""
    if on_corrupt not in (SKIP, FAIL):
        raise SettingError(f"--on-corrupt {on_corrupt}: unknown{did_you_mean(on_corrupt, (SKIP, FAIL))}")
    return on_corrupt == SKIP


class Quarantine:
    """What is known of the images that were skipped.

    Args:
        most: the share of `rows` that may be corrupt; one image always may. None: any number
        rows: how many images there are
        loader: the loader's name, for the table
        table: CSV file (img_name, reason, loader, epoch) that gets a line for each as soon as it is found;
            None: there is none

    Attributes:
        reasons: why, by the image's name as the user wrote it
    """

    def __init__(
        self, rows: int = 0, most: float | None = None, loader: str = "", table: Path | None = None
    ) -> None:
        self._most, self._rows, self._loader, self._table = most, rows, loader, table
        self.reasons: dict[str, str] = {}

    def add(self, batch: Batch, planner: BatchPlanner) -> None:
        """Take note of a batch's corrupt images. Raises RunError when there are too many."""
        for place, error in batch.corrupt:
            name = str(planner.manifest.names[batch.rows[place]])
            if name not in self.reasons:
                self.reasons[name] = error.reason
                self._write(name, error.reason, batch.epoch)
        if self._most is not None and len(self.reasons) > max(1, self._most * self._rows):
            self._refuse()

    def _write(self, name: str, reason: str, epoch: int) -> None:
        if self._table is None:
            return
        first = not self._table.exists()
        # File names that are not UTF-8 have surrogates, and leave as the bytes they were.
        with self._table.open("a", newline="", encoding="utf-8", errors="surrogateescape") as file:
            table = csv.writer(file)
            if first:
                table.writerow(("img_name", "reason", "loader", "epoch"))
            table.writerow((name, reason, self._loader, epoch + 1))

    def _refuse(self) -> None:
        name, reason = map(escaped, next(iter(self.reasons.items())))
        where = "" if self._table is None else f", all of them in {self._table}"
        raise RunError(
            f"{len(self.reasons)} of {self._rows} images cannot be decoded, more than --max-corrupt "
            f"{self._most:g} of them, such as {name} ({reason}){where}; take them off the list, or raise "
            "--max-corrupt"
        )
