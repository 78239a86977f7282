"""Tables as CSV, the challenge's format. Names leave as the bytes that they are in the file system."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from fastffdi.inference.spreadsheet import cell

#: What puts a cell in quotes. pandas and csv leave out the carriage return, and readers end the line there.
_SPECIAL = re.compile(r'[,"\r\n]')

#: Bytes within which the two names of the first line stand.
_HEAD_BYTES = 256


def write(
    file: Path,
    columns: Mapping[str, np.ndarray],
    fill: Mapping[str, str] | None = None,
    excel_safe: bool = False,
) -> None:
    """Write columns (N,) of words or numbers below a line with their names; floats with nine digits.

    Nine digits tell any two float32 apart, so the file ranks as the scores do.

    Args:
        fill: what a number that is NaN is written as, by column; else its cell is empty
        excel_safe: no cell is one that a spreadsheet would run
    """
    quoted = cell if excel_safe else _quoted
    fills = fill or {}
    texts = [_cells(values, quoted, fills.get(name, "")) for name, values in columns.items()]
    with file.open("w", encoding="utf-8", errors="surrogateescape", newline="") as out:
        out.write(",".join(map(_quoted, columns)) + "\n")
        out.writelines(",".join(row) + "\n" for row in zip(*texts, strict=True))


def is_table(file: Path) -> bool:
    """Whether the file begins with the columns of predict. Raises OSError where it cannot be read."""
    with file.open("rb") as opened:
        head = opened.read(_HEAD_BYTES)
    first = head.removeprefix(b"\xef\xbb\xbf").partition(b"\n")[0]
    return [name.strip(b' "\r') for name in first.split(b",")[:2]] == [b"img_name", b"y_pred"]


def _cells(values: np.ndarray, quoted: Callable[[str], str], fill: str) -> Iterable[str]:
    if values.dtype.kind == "f":
        empty = quoted(fill)
        return (f"{value:.9g}" if value == value else empty for value in values.tolist())
    if values.dtype.kind in "iub":
        return map(str, values.tolist())
    return map(quoted, values)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if _SPECIAL.search(text) else text
