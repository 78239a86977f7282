"""Tables as JSON lines: one object for each row."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

#: A first line that is longer is none of ours.
_MOST_BYTES = 2**16


def write(file: Path, columns: Mapping[str, np.ndarray], fill: Mapping[str, float] | None = None) -> None:
    r"""Write an object for each row of columns (N,) of words or numbers; floats with nine digits.

    A number that is NaN is null, or what `fill` has for its column. Bytes of file names that are not UTF-8
    are escapes, \xe9 as \udce9: Python's json gives what os.fsencode turns into the name again.
    """
    fills = fill or {}
    values = [_values(column, fills.get(name)) for name, column in columns.items()]
    with file.open("w", encoding="utf-8", errors="backslashreplace", newline="") as out:
        for row in zip(*values, strict=True):
            text = json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False, allow_nan=False)
            out.write(f"{text}\n")


def is_table(file: Path) -> bool:
    """Whether the first line is a row of predict. Raises OSError where it cannot be read."""
    with file.open("rb") as opened:
        line = opened.readline(_MOST_BYTES)
    try:
        row = json.loads(line)
    except ValueError:
        return False
    return isinstance(row, dict) and [*row][:2] == ["img_name", "y_pred"]


def _values(values: np.ndarray, fill: float | None) -> Iterable[object]:
    if values.dtype.kind == "f":
        return (float(f"{value:.9g}") if value == value else fill for value in values.tolist())
    return values.tolist()
