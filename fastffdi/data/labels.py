"""Label files: `img_name,target`, one image a line.

A million lines are read and checked in about two seconds, so everything here works on whole columns, and
images are checked by listing their folders, never one by one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from fastffdi.data.label_table import read_table, refuse
from fastffdi.data.links import Links
from fastffdi.data.listing import Listing, find_files
from fastffdi.data.manifest import Manifest
from fastffdi.errors import DataError
from fastffdi.escapes import escaped

_LABELS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1}  # the last two: what pandas writes of a float column
_WORDS = {"real": 0, "fake": 1}

Say = Callable[[str], None]


def read_labels(
    file: Path,
    images: Path | None,
    *,
    targets: Literal["required", "optional"],
    duplicates: bool,
    absent: bool = False,
    say: Say = lambda line: None,
    links: Links | None = None,
) -> Manifest:
    """Read the CSV `file` (columns `img_name`, `target`; 0 = real, 1 = fake) of images below `images`.

    Other columns are read when they are asked for; blank lines at the end are ignored. If `targets` is
    "optional" and there is no `target` column, labels are None. Without `images` they are beside the file, or
    in the folder that it is named after: those of valset_label.txt in valset/.

    What is written otherwise but can mean only one thing is understood, and said in one line through `say`:
    semicolons or tabs, columns in other letter case or the other way round, the targets real and fake, and
    names as `find_files` describes.

    No image is taken from outside of `links` (default: the folder of the images), whatever symbolic links are
    in it.

    Raises DataError, one line that says where, what and what to do: for a file or folder that is not
    there, a missing column, a file that lists nothing, the first line with an empty name, with a target
    other than 0 and 1, or with a name that leaves `images`, for names on several lines unless
    `duplicates`, for images that do not exist: with `absent` only where none does. And for images that lie
    behind links that lead out.
    """
    if not file.is_file():
        raise DataError(f"{file}: no such label file; give a CSV file with the header img_name,target")
    if images is not None and not images.is_dir():
        raise DataError(f"{images}: no such image folder; give the folder with the images {file} lists")
    table = read_table(file, targets)
    names, words, line, readings = table.names, table.words, table.line, table.readings
    refuse(file, line, np.flatnonzero(names == ""), lambda _: "the name is empty; add it or delete the line")
    labels = None if words is None else _labels(file, line, words, readings)
    roots = [os.path.abspath(place) for place in (_places(file) if images is None else [images])]
    # Each folder once, with its last slash; "" is the root, tested first since most names have no folder.
    folders = sorted({name[: name.rfind("/") + 1] if "/" in name else "" for name in names})
    _check_inside(file, line, names, roots[0], folders)
    wanted = set(names)
    if len(wanted) < len(names) and not duplicates:
        repeated = pd.unique(names[pd.Series(names, dtype=object).duplicated()])
        what = f"{len(repeated)} names stand on more than one line ({first_three(repeated)})"
        raise DataError(f"{file}: {what}; keep one line for each")
    links = links or Links(roots[0])
    root, found = _found(names, wanted, roots, folders, links)
    files = names if found.files is None else found.files
    places = folders if found.files is None else {name[: name.rfind("/") + 1] for name in files}
    links.check_rows(file, root or roots[0], files, places)
    if not absent or root is None:
        _check_present(file, names, found.missing, roots if root is None else [root])
    readings += [found.reading] * bool(found.reading)
    readings += [f"images from {root}"] * (root != roots[0])
    if readings:
        say(f"{file}: understood as {', '.join(readings)}")
    return Manifest(root or roots[0], names, labels, files=found.files, columns=table.columns)


def first_three(names: Iterable[str]) -> str:
    """`a.jpg, b.jpg, c.jpg, …`: enough of a list to know what is meant, on one line whatever is in a name."""
    shown = [escaped(name) for name in islice(names, 4)]
    return ", ".join([*shown[:3], "…"] if len(shown) > 3 else shown)


def _labels(file: Path, line: int, words: np.ndarray, readings: list[str]) -> np.ndarray:
    codes, kinds = pd.factorize(words)
    plain = [kind.strip().lower() for kind in kinds]
    named = all(kind in _WORDS for kind in plain)
    labels = np.array([(_WORDS if named else _LABELS).get(kind, -1) for kind in plain], np.int64)[codes]
    bad = np.flatnonzero(labels < 0)
    refuse(file, line, bad, lambda row: f"target {words[row]!r} is not 0 (real) or 1 (fake)")
    readings += ["real as 0 and fake as 1"] * named
    return labels


def _places(file: Path) -> list[Path]:
    """Where the images of a label file may be: beside it, or in valset/ or val/ for val(set)_label.txt."""
    stem = re.sub(r"_labels?$", "", file.stem)
    names = dict.fromkeys((f"{stem.removesuffix('set')}set", stem)) if stem != file.stem else ()
    return [file.parent, *(file.parent / name for name in names if (file.parent / name).is_dir())]


def _found(
    names: np.ndarray, wanted: set[str], roots: list[str], folders: list[str], links: Links
) -> tuple[str | None, Listing]:
    """The first root with any of the images, and their files; None where there are none."""
    count = len(wanted)
    for root in roots:
        found = find_files(names, wanted, root, folders, links)
        if len(found.missing) < count:
            return root, found
    return None, found


def _check_inside(file: Path, line: int, names: np.ndarray, root: str, folders: list[str]) -> None:
    leaving = {folder for folder in folders if _leaves(folder, root)}
    if leaving:
        bad = [row for row, name in enumerate(names) if name[: name.rfind("/") + 1] in leaving]
        cure = f"is not inside {root}; write names relative to that folder, without '..'"
        refuse(file, line, np.array(bad), lambda row: f"{names[row]!r} {cure}")


def _leaves(folder: str, root: str) -> bool:
    inside = f"{os.path.join(root, folder)}/".startswith(f"{root.rstrip('/')}/")
    return not inside or ".." in folder.split("/")


def _check_present(file: Path, names: np.ndarray, missing: set[str], roots: list[str]) -> None:
    if missing:
        given = len(set(names))
        shown = first_three(name for name in names if name in missing)
        what = f"{len(missing)} of {given} images are not in {' or '.join(roots)} ({shown})"
        cure = "add them or delete their lines"
        if len(missing) == given:
            cure = "name the folder that holds them, with --images (for train: --train-images, --val-images)"
        raise DataError(f"{file}: {what}; {cure}")
