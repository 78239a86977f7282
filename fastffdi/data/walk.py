"""Finding the images below a folder: by name where that is clear, else by the first bytes of a file."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from fastffdi.data.formats import EXTENSIONS, HEAD_BYTES, format_of
from fastffdi.data.links import Links
from fastffdi.errors import DataError

#: What often lies beside images, one for each of a million: not worth a look inside.
_BESIDE = (".txt", ".csv", ".json", ".npy", ".xml", ".md", ".py", ".yaml")

#: As many kinds of files are named in a message.
_MOST_KINDS = 5


def images_below(root: Path, below: str, left_out: Counter[str], links: Links) -> Iterator[str]:
    """Names, relative to `root`, of the images in `below` ("" or with a last slash), at any depth.

    Files and folders whose names begin with a dot are passed over. Other files that are no images are counted
    in `left_out` by their kind: the extension in lower case. Links that lead out, to images, folders or
    whatever has no known extension, are noted in `links` and neither read nor followed. Raises DataError for
    a folder it cannot list.
    """
    folders, seen = [], set()
    if not below or not links.note(root / below, below):
        folders.append(below)
    while folders:
        here = folders.pop()
        info = os.stat(root / here)
        if (info.st_dev, info.st_ino) in seen:  # a link back up would never end
            continue
        seen.add((info.st_dev, info.st_ino))
        with listing(root / here) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_symlink() and _leaves(entry, here, links):
                    continue
                if entry.name.lower().endswith(EXTENSIONS) and not entry.is_dir():
                    yield here + entry.name
                elif entry.is_dir():
                    folders.append(f"{here}{entry.name}/")
                elif looks_like_image(entry.path):
                    yield here + entry.name
                else:
                    left_out[kind_of(entry.name)] += 1


def told(left_out: Counter[str]) -> str:
    """What was left out, in one line; "" for nothing."""
    if not left_out:
        return ""
    kinds = sorted(left_out.items(), key=lambda item: (-item[1], item[0]))
    shown = [kind if count == 1 else f"{kind} ({count})" for kind, count in kinds[:_MOST_KINDS]]
    if kinds[_MOST_KINDS:]:
        shown.append(f"others ({sum(count for _, count in kinds[_MOST_KINDS:])})")
    total = left_out.total()
    files = "1 file left out that is no image" if total == 1 else f"{total} files left out that are no images"
    return f"{files}: {', '.join(shown)}"


@contextlib.contextmanager
def listing(folder: Path) -> Iterator[Iterator[os.DirEntry[str]]]:
    """A folder's entries. Raises DataError."""
    try:
        entries = os.scandir(folder)
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed ({error.strerror}); check its permissions") from None
    with entries:
        yield entries


def _leaves(entry: os.DirEntry[str], here: str, links: Links) -> bool:
    """Whether a link leads out, to something that would be looked into."""
    return not entry.name.lower().endswith(_BESIDE) and links.note(entry.path, here + entry.name)


def looks_like_image(path: str) -> bool:
    """Whether a file is taken for an image: by its name where that is clear, else by its first bytes."""
    name = path.lower()
    if name.endswith(EXTENSIONS):
        return True
    if name.endswith(_BESIDE) or not os.path.isfile(path):  # to open a pipe would wait for ever
        return False
    try:
        with open(path, "rb", buffering=0) as file:
            return format_of(file.read(HEAD_BYTES)) is not None
    except OSError:
        return False


def kind_of(name: str) -> str:
    """The kind of a file that is no image, by its name, for `told`."""
    extension = os.path.splitext(name)[1].lower()
    if not extension:
        return "without extension"
    # Whatever else stands behind the last dot is not fit for a terminal.
    return extension if extension[1:].isalnum() and len(extension) <= 12 else "others"
