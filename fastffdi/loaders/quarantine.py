"""The images of a run that cannot be decoded: named once, counted, and too many of them an error."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fastffdi.errors import RunError, SettingError, did_you_mean
from fastffdi.escapes import escaped
from fastffdi.files import DiskFull, append, atomic
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
        self._found: list[tuple[str, str, str, int]] = []
        self.reasons: dict[str, str] = {}

    def add(self, batch: Batch, planner: BatchPlanner) -> None:
        """Take note of a batch's corrupt images. Raises RunError when there are too many, or no room."""
        for place, error in batch.corrupt:
            name = str(planner.manifest.names[batch.rows[place]])
            self._add((name, error.reason, self._loader, batch.epoch + 1))
        self._check()

    def merge(self, state: Mapping[str, Any]) -> None:
        """Know what the `state_dict` of another process gave as well. Raises as `add`."""
        for found in state["found"]:
            self._add(found)
        self._check()

    def state_dict(self) -> dict[str, Any]:
        """What is known, as plain data."""
        return {"found": self._found}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Know what `state_dict` gave, and nothing else; the table is as it was until `write_table`."""
        self._found.clear()
        self.reasons.clear()
        for name, reason, loader, epoch in state["found"]:
            self._take((name, reason, loader, epoch))

    def write_table(self) -> None:
        """Let the table hold what is known: all of it, once. Raises as `atomic`."""
        if self._table is None:
            return
        if not self._found:
            self._table.unlink(missing_ok=True)
            return
        with atomic(self._table) as part:
            part.write_bytes(_csv(self._found, header=True))

    def _add(self, found: tuple[str, str, str, int]) -> None:
        if found[0] in self.reasons:
            return
        self._take(found)
        if self._table is not None:
            self._write_last(self._table)

    def _check(self) -> None:
        if self._most is not None and len(self.reasons) > max(1, self._most * self._rows):
            self._refuse()

    def _write_last(self, table: Path) -> None:
        lines = self._found[-1:] if table.exists() else self._found
        try:
            append(table, _csv(lines, header=lines is self._found))
        except DiskFull:
            raise
        except OSError as error:
            raise RunError(f"{table}: cannot be written ({error.strerror}); make it writable") from error

    def _take(self, found: tuple[str, str, str, int]) -> None:
        self._found.append(found)
        self.reasons[found[0]] = found[1]

    def _refuse(self) -> None:
        name, reason = map(escaped, next(iter(self.reasons.items())))
        where = "" if self._table is None else f", all of them in {self._table}"
        raise RunError(
            f"{len(self.reasons)} of {self._rows} images cannot be decoded, more than --max-corrupt "
            f"{self._most:g} of them, such as {name} ({reason}){where}; take them off the list, or raise "
            "--max-corrupt"
        )


def _csv(lines: Iterable[tuple[str, str, str, int]], header: bool) -> bytes:
    text = io.StringIO()
    table = csv.writer(text)
    if header:
        table.writerow(("img_name", "reason", "loader", "epoch"))
    table.writerows(lines)
    # File names that are not UTF-8 have surrogates, and leave as the bytes they were.
    return text.getvalue().encode("utf-8", "surrogateescape")
