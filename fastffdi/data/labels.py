"""Label files: `img_name,target`, one image a line.

A million lines are read and checked in about two seconds, so everything here works on whole columns, and
images are checked by listing their folders, never one by one.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Iterable
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import Literal, TextIO

import numpy as np
import pandas as pd

from fastffdi.data.manifest import Manifest
from fastffdi.errors import DataError

_LABELS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1}  # the last two: what pandas writes of a float column


def read_labels(
    file: Path, images: Path, *, targets: Literal["required", "optional"], duplicates: bool
) -> Manifest:
    """Read the CSV `file` (columns `img_name`, `target`; 0 = real, 1 = fake) of images below `images`.

    Other columns are ignored, as are blank lines at the end. If `targets` is "optional" and there is no
    `target` column, labels are None.

    Raises DataError, one line that says where, what and what to do: for a file or folder that is not
    there, a missing column, a file that lists nothing, the first line with an empty name, with a target
    other than 0 and 1, or with a name that leaves `images`, for names on several lines unless
    `duplicates`, for images that do not exist.
    """
    if not file.is_file():
        raise DataError(f"{file}: no such label file; give a CSV file with the header img_name,target")
    if not images.is_dir():
        raise DataError(f"{images}: no such image folder; give the folder with the images {file} lists")
    names, words, line = _read(file, targets)
    _refuse(file, line, np.flatnonzero(names == ""), lambda _: "the name is empty; add it or delete the line")
    labels = None if words is None else _labels(file, line, words)
    root = os.path.abspath(images)
    # Each folder once, with its last slash; "" is the root, tested first since most names have no folder.
    folders = sorted({name[: name.rfind("/") + 1] if "/" in name else "" for name in names})
    _check_inside(file, line, names, root, folders)
    wanted = set(names)
    if len(wanted) < len(names) and not duplicates:
        repeated = pd.unique(names[pd.Series(names, dtype=object).duplicated()])
        what = f"{len(repeated)} names stand on more than one line ({first_three(repeated)})"
        raise DataError(f"{file}: {what}; keep one line for each")
    _check_present(file, names, wanted, root, folders)
    return Manifest(root, names, labels)


def first_three(names: Iterable[str]) -> str:
    """`a.jpg, b.jpg, c.jpg, …`: enough of a list to know what is meant, on one line whatever is in a name."""
    shown = [name if name.isprintable() else repr(name) for name in islice(names, 4)]
    return ", ".join([*shown[:3], "…"] if len(shown) > 3 else shown)


def _read(file: Path, targets: str) -> tuple[np.ndarray, np.ndarray | None, int]:
    """Names and targets (or None) as text, and the line number of the first row."""
    try:
        with file.open(encoding="utf-8-sig") as text:
            header, line = _read_header(text)
            _check_header(file, header, targets)
            names, words = _read_rows(text, header, line)
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
    return names[:count], None if words is None else words[:count], line


def _read_header(text: TextIO) -> tuple[list[str], int]:
    number = 1
    while (line := text.readline()).isspace():
        number += 1
    return [name.strip() for name in next(csv.reader([line]), [])], number + 1


def _check_header(file: Path, header: list[str], targets: str) -> None:
    wanted = ["img_name", "target"] if targets == "required" else ["img_name"]
    missing = [name for name in wanted if name not in header]
    if missing:
        has = f"its first line has {', '.join(map(repr, header))}" if header else "it is empty"
        raise DataError(f"{file}: no column {' and '.join(missing)}; {has}; write img_name,target")


def _read_rows(text: TextIO, header: list[str], line: int) -> tuple[np.ndarray, np.ndarray | None]:
    columns = [header.index(name) for name in ("img_name", "target") if name in header]
    text.seek(0)  # pandas counts the columns by the header, since the first row may be short or blank
    table = pd.read_csv(
        text,
        skiprows=line - 2,
        header=0,
        names=range(len(header)),
        usecols=columns,
        index_col=False,
        dtype=object,
        na_filter=False,  # an image may be called NA
        skip_blank_lines=False,  # row numbers must give line numbers
    )
    names, *words = (table[column].to_numpy() for column in columns)
    return names, words[0] if words else None


def _labels(file: Path, line: int, words: np.ndarray) -> np.ndarray:
    codes, kinds = pd.factorize(words)
    labels = np.array([_LABELS.get(kind.strip(), -1) for kind in kinds], np.int64)[codes]
    bad = np.flatnonzero(labels < 0)
    _refuse(file, line, bad, lambda row: f"target {words[row]!r} is not 0 (real) or 1 (fake)")
    return labels


def _refuse(file: Path, line: int, rows: np.ndarray, problem: Callable[[int], str]) -> None:
    """Raise for the first of `rows`, if any, with its line number."""
    if len(rows):
        row = int(rows[0])
        raise DataError(f"{file}: line {line + row}: {problem(row)}")


def _check_inside(file: Path, line: int, names: np.ndarray, root: str, folders: list[str]) -> None:
    leaving = {folder for folder in folders if _leaves(folder, root)}
    if leaving:
        bad = [row for row, name in enumerate(names) if name[: name.rfind("/") + 1] in leaving]
        cure = f"is not inside {root}; write names relative to that folder, without '..'"
        _refuse(file, line, np.array(bad), lambda row: f"{names[row]!r} {cure}")


def _leaves(folder: str, root: str) -> bool:
    inside = f"{os.path.join(root, folder)}/".startswith(f"{root.rstrip('/')}/")
    return not inside or ".." in folder.split("/")


def _check_present(file: Path, names: np.ndarray, wanted: set[str], root: str, folders: list[str]) -> None:
    given = len(wanted)
    for folder in folders:
        _remove_present(wanted, root, folder)
    if wanted:
        what = f"{len(wanted)} of {given} images are not in {root}"
        shown = first_three(name for name in names if name in wanted)
        raise DataError(f"{file}: {what} ({shown}); add them or delete their lines")


def _remove_present(wanted: set[str], root: str, folder: str) -> None:
    """Remove the names in `folder` from `wanted`; the listing is never held in memory."""
    place = os.path.join(root, folder)
    try:
        with os.scandir(place) as entries:
            wanted.difference_update(map(folder.__add__, map(attrgetter("name"), entries)))
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a NUL in the name
        pass
    except OSError as error:
        raise DataError(f"{place}: cannot be listed ({error.strerror}); check its permissions") from None
