"""Which files the names of a label file mean, found by listing folders, never file by file.

Names are looked for as they are written. Only where that finds none at all are two other readings tried: with
the last folders of the root in front of them (`trainset/x.jpg` in `trainset/`), and without the extension.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fastffdi.data.formats import EXTENSIONS
from fastffdi.data.links import Links
from fastffdi.errors import DataError


@dataclass(frozen=True)
class Listing:
    """The files that were found.

    Attributes:
        missing: the names that no file was found for
        files: (N,) the files' names below the root; None where they are as written
        reading: how the names were understood, for the user; empty where they are as written
    """

    missing: set[str]
    files: np.ndarray | None = None
    reading: str = ""


def find_files(names: np.ndarray, wanted: set[str], root: str, folders: list[str], links: Links) -> Listing:
    """The files of `names` (N,) below `root`.

    `wanted` is the set of the names, from which those found are taken; `folders` are theirs, each once, with
    its last slash, or "". Folders that lead out of `links` are not listed, and what is a link is told to it.
    Raises DataError for a folder that may not be listed.
    """
    count = len(wanted)
    for folder in folders:
        wanted.difference_update(map(folder.__add__, _listed(root, folder, links)))
    if len(wanted) < count:
        return Listing(wanted)
    for prefix in ("", *_prefixes(root, folders)):
        for bare in (False, True):
            found = _found(wanted, root, folders, prefix, bare, links) if prefix or bare else {}
            if found:
                files = np.empty(len(names), object)
                files[:] = [found.get(name, name) for name in names]
                return Listing(wanted - found.keys(), files, _reading(prefix, bare))
    return Listing(wanted)


def _reading(prefix: str, bare: bool) -> str:
    parts = [f"names without {prefix}"] * bool(prefix)
    return ", ".join([*parts, *["names without their extension"] * bare])


def _prefixes(root: str, folders: list[str]) -> Iterator[str]:
    """The last folders of the root, as `trainset/`, `phase1/trainset/`, where all names begin with them."""
    parts = root.strip("/").split("/")
    for k in range(1, len(parts) + 1):
        prefix = "/".join(parts[-k:]) + "/"
        # Two slashes would make the rest a path from the root of the file system.
        if all(folder.startswith(prefix) and not folder.startswith(f"{prefix}/") for folder in folders):
            yield prefix


def _found(
    wanted: set[str], root: str, folders: list[str], prefix: str, bare: bool, links: Links
) -> dict[str, str]:
    """The files of those that are there; without extensions, of those that one image alone can be."""
    found: dict[str, str] = {}
    doubtful = set()
    for folder in folders:
        place = folder.removeprefix(prefix)
        for entry in _listed(root, place, links):
            stem, dot, ending = entry.rpartition(".")
            if bare and dot + ending.lower() not in EXTENSIONS:
                continue
            name = folder + (stem if bare else entry)
            if name in wanted:
                doubtful.update([name] if name in found else [])
                found[name] = place + entry
    return {name: file for name, file in found.items() if name not in doubtful}


def _listed(root: str, folder: str, links: Links) -> Iterator[str]:
    """The names in a folder, none where it is not there or leads out; never all at once in memory."""
    place = os.path.join(root, folder)
    if links.leaves(place):
        return
    try:
        with os.scandir(place) as entries:
            for entry in entries:
                if entry.is_symlink():
                    links.linked.add(folder + entry.name)
                yield entry.name
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a NUL in the name
        pass
    except OSError as error:
        raise DataError(f"{place}: cannot be listed ({error.strerror}); check its permissions") from None
