"""The tables that prediction writes: of scores, in the format of the file's name, and of skipped images."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fastffdi.errors import SettingError, did_you_mean
from fastffdi.files import atomic
from fastffdi.inference import csv_table, jsonl_table, parquet_table

CSV, JSONL, PARQUET = "CSV", "JSON lines", "parquet"

#: What a file is to be, by the end of its name.
FORMATS = {".csv": CSV, ".txt": CSV, "": CSV, ".jsonl": JSONL, ".parquet": PARQUET}

_MODULES = {CSV: csv_table, JSONL: jsonl_table, PARQUET: parquet_table}


def format_of(path: Path) -> str:
    """CSV, JSONL or PARQUET, by the end of the name. Raises SettingError for another one."""
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        hint = did_you_mean(suffix, (".csv", ".jsonl", ".parquet"), FORMATS)
        raise SettingError(f"--output {path}: no format ends in {suffix}{hint}")
    return FORMATS[suffix]


def check_format(path: Path, fill: str = "", excel_safe: bool = False) -> None:
    """Raise SettingError where `write_table` could not write such a file, or not with these."""
    kind = format_of(path)
    if kind == PARQUET:
        parquet_table.require(path)
    if kind == CSV:
        return
    if excel_safe:
        raise SettingError(f"--excel-safe: is for CSV, and {path} will be {kind}; leave it out")
    _number(fill, path)


def is_table(path: Path) -> bool:
    """Whether a file is empty or a table of predict in its name's format; False where it cannot be read."""
    try:
        return path.stat().st_size == 0 or _MODULES[format_of(path)].is_table(path)
    except OSError:
        return False


def write_table(
    path: Path,
    names: np.ndarray,
    scores: np.ndarray,
    fill: str = "",
    excel_safe: bool = False,
    further: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Write img_name and y_pred, one row per image in order, names as given; the file is whole or absent.

    Args:
        names: (N,) object array of str
        scores: (N,) float64
        fill: y_pred where it is NaN; a number, or empty, but for CSV
        excel_safe: names that a spreadsheet would run begin with an apostrophe; for CSV
        further: more columns (N,), which come last: object arrays of words, or numbers

    Raises SettingError as `check_format`, ValueError for columns of unequal lengths.
    """
    check_format(path, fill, excel_safe)
    columns = {"img_name": names, "y_pred": scores, **(further or {})}
    if len({len(column) for column in columns.values()}) > 1:
        raise ValueError("the columns are not of the same length")
    kind, number = format_of(path), None if format_of(path) == CSV else _number(fill, path)
    filled = {} if number is None else {"y_pred": number}
    with atomic(path) as part:
        if kind == CSV:
            csv_table.write(part, columns, {"y_pred": fill}, excel_safe)
        elif kind == JSONL:
            jsonl_table.write(part, columns, filled)
        else:
            parquet_table.write(part, columns, filled)


def write_errors(path: Path, reasons: Mapping[str, str], excel_safe: bool = False) -> None:
    """Write `img_name,reason` of images that were skipped; where there are none, remove the file.

    With `excel_safe`, no cell is one that a spreadsheet would run.
    """
    if not reasons:
        path.unlink(missing_ok=True)
        return
    columns = {"img_name": np.array([*reasons], object), "reason": np.array([*reasons.values()], object)}
    with atomic(path) as part:
        csv_table.write(part, columns, excel_safe=excel_safe)


def _number(fill: str, path: Path) -> float | None:
    """The number that `fill` is, None for nothing. Raises SettingError for other words."""
    try:
        number = None if not fill else float(fill)
    except ValueError:
        number = math.nan
    if number is not None and not math.isfinite(number):
        raise SettingError(f"--fill {fill}: {path} has numbers only; give one, or leave it out for null")
    return number
