"""The text of a label file: its columns, however they are separated and headed."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
import pandas as pd

from fastffdi.data.columns import Columns, Format, read_cells
from fastffdi.errors import DataError

_COLUMNS = ("img_name", "target")
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_TARGETS = {"0", "1", "0.0", "1.0", "real", "fake"}


@dataclass(frozen=True)
class _Header:
    """Which of the columns is which, by img_name and target, and what stands between them."""

    columns: list[str]
    places: dict[str, int]
    separator: str
    line: int  # of the first row

    @property
    def format(self) -> Format:
        """What it takes to read a column."""
        return Format(self.separator, len(self.columns), self.line)


@dataclass(frozen=True)
class Table:
    """What a label file holds.

    Attributes:
        names, words: (N,) the images and, where there are any, their targets, as text
        line: the line number of the first row
        readings: how the file was understood, for the user: empty where it is as it should be
        columns: the others; None where there are none
    """

    names: np.ndarray
    words: np.ndarray | None
    line: int
    readings: list[str]
    columns: Columns | None


def read_table(file: Path, targets: str) -> Table:
    """The table in a file. Raises DataError as `read_labels`."""
    try:
        with file.open(encoding="utf-8-sig") as text:
            header = _read_header(text)
            _check_header(file, header, targets)
            names, *others = read_cells(text, header.format, list(header.places.values()))
            words = others[0] if others else None
    except UnicodeDecodeError:
        raise DataError(f"{file}: not UTF-8 text; save it as CSV in UTF-8") from None
    except (pd.errors.ParserError, csv.Error) as error:
        what = " ".join(str(error).split()).removeprefix("Error tokenizing data. C error: ")
        what = re.sub(r"row (\d+)", lambda row: f"line {int(row[1]) + 1}", what)  # pandas counts from 0
        raise DataError(f"{file}: not CSV ({what}); write one line NAME,TARGET for each image") from None
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}); check the file's permissions") from None
    count = len(names)
    while count and not names[count - 1].strip() and (words is None or not words[count - 1].strip()):
        count -= 1
    if not count:
        raise DataError(f"{file}: lists no images; add one line NAME,TARGET for each")
    names, words = names[:count], None if words is None else words[:count]
    readings = _readings(header)
    if words is not None and _swapped(names, words):
        names, words = words, names
        readings.append("img_name and target the other way round")
    return Table(names, words, header.line, readings, _others(file, header, count))


def _others(file: Path, header: _Header, rows: int) -> Columns | None:
    """The columns that are neither names nor targets; of those with the same name the first."""
    taken = header.places.values()
    places = {name: k for k, name in reversed([*enumerate(header.columns)]) if name and k not in taken}
    return Columns(file, header.format, places, np.arange(rows)) if places else None


def refuse(file: Path, line: int, rows: np.ndarray, problem: Callable[[int], str]) -> None:
    """Raise DataError for the first of `rows`, if any, with its line number."""
    if len(rows):
        row = int(rows[0])
        raise DataError(f"{file}: line {line + row}: {problem(row)}")


def _read_header(text: TextIO) -> _Header:
    """The header, separated by whatever gives the most of the two columns, commas first."""
    number = 1
    while (line := text.readline()).isspace():
        number += 1
    splits = [_split(line, separator, number + 1) for separator in _SEPARATORS]
    return max(splits, key=lambda header: len(header.places))


def _split(line: str, separator: str, first: int) -> _Header:
    columns = [name.strip() for name in next(csv.reader([line], delimiter=separator), [])]
    lower = [name.lower() for name in columns]
    places = {name: (columns if name in columns else lower).index(name) for name in _COLUMNS if name in lower}
    return _Header(columns, places, separator, first)


def _check_header(file: Path, header: _Header, targets: str) -> None:
    wanted = _COLUMNS if targets == "required" else _COLUMNS[:1]
    missing = [name for name in wanted if name not in header.places]
    if missing:
        columns = header.columns
        has = f"its first line has {', '.join(map(repr, columns))}" if columns else "it is empty"
        inside = len(columns) == 1 and all(name in columns[0].lower() for name in missing)
        cure = "write img_name,target" + ", with commas between the columns" * inside
        raise DataError(f"{file}: no column {' and '.join(missing)}; {has}; {cure}")


def _readings(header: _Header) -> list[str]:
    separated = [f"separated by {_SEPARATORS[header.separator]}"] * (header.separator != ",")
    written = {header.columns[place]: name for name, place in header.places.items()}
    return separated + [f"column {given} as {name}" for given, name in written.items() if given != name]


def _swapped(names: np.ndarray, words: np.ndarray) -> bool:
    """Whether all names are targets, and no target is one."""
    if not _is_target(names[0]) or _is_target(words[0]):
        return False
    return all(map(_is_target, pd.unique(names))) and not any(map(_is_target, pd.unique(words)))


def _is_target(word: str) -> bool:
    return word.strip().lower() in _TARGETS
