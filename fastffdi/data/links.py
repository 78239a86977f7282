"""Symbolic links that lead out of the folder that the user named."""

from __future__ import annotations

import os
from collections.abc import Iterable

import numpy as np

from fastffdi.errors import DataError
from fastffdi.escapes import escaped

#: Links in a row, as many as Linux follows.
_MOST_HOPS = 40

CURE = "give --follow-symlinks if that is meant"


class Links:
    """What lies inside a folder once all links are followed, and what does not.

    A link costs two system calls; a folder one, the first time. Nothing is opened.

    Args:
        folder: the boundary; it may be a link itself, which was the user's own word
        follow: nothing leaves, and nothing is looked at

    Attributes:
        leaving: names of what was found to lead out, as they were given to `note`
        linked: for `check_rows`, names below its root that may be those of links; all others are not
    """

    def __init__(self, folder: str | os.PathLike[str], follow: bool = False) -> None:
        self.folder, self.follow = os.fspath(folder), follow
        self.leaving: list[str] = []
        self.linked: set[str] = set()
        self._real: dict[str, str] = {"": ""}
        self._inside = "" if follow else self._folder(os.path.abspath(folder))

    def leaves(self, path: str | os.PathLike[str]) -> bool:
        """Whether a path, absolute or from the current folder, ends outside; it need not be there."""
        if self.follow:
            return False
        whole = os.fspath(path)
        if not os.path.isabs(whole):
            whole = os.path.join(os.getcwd(), whole)
        folder, _, name = whole.rstrip("/").rpartition("/")
        return not f"{self._followed(self._folder(folder), name)}/".startswith(f"{self._inside}/")

    def note(self, path: str | os.PathLike[str], name: str) -> bool:
        """As `leaves`; the name of what does is kept for `refuse`."""
        if leaves := self.leaves(path):
            self.leaving.append(name)
        return leaves

    def refuse(self) -> None:
        """Raise DataError where something was noted: how many, the first of them, and the option to give."""
        if self.leaving:
            count, first = len(self.leaving), escaped(min(self.leaving))
            what = f"the link {first} leads out of it"
            if count > 1:
                what = f"{count:,} links lead out of it, the first is {first}"
            raise DataError(f"{self.folder}: {what}; {CURE}")

    def check_file(self, path: str | os.PathLike[str]) -> None:
        """Raise DataError for a file, found in the folder, that leads out of it."""
        if self.leaves(path):
            raise DataError(f"{os.fspath(path)}: is a link that leads out of {self.folder}; {CURE}")

    def check_rows(self, source: object, root: str, files: np.ndarray, folders: Iterable[str]) -> None:
        """Raise DataError where some of `files` (N,), named below `root`, lead out.

        Args:
            source: what lists them, for the message
            folders: theirs, each once, with its last slash; "" is the root
        """
        if self.follow:
            return
        outside = {folder for folder in folders if self.leaves(os.path.join(root, folder))}
        linked = self.linked.intersection(files) if self.linked else ()
        out = {file for file in linked if self.leaves(os.path.join(root, file))}
        if outside or out:
            leaving = [file for file in files if file in out or file[: file.rfind("/") + 1] in outside]
            what = (
                f"{len(leaving):,} of {len(files):,} images lie behind links that lead out of {self.folder}"
            )
            raise DataError(f"{source}: {what}, the first is {escaped(leaving[0])}; {CURE}")

    def _folder(self, path: str, hops: int = 0) -> str:
        """Where the folder at an absolute path is, without its last slash; each is looked up once."""
        below, at = [], path
        while at not in self._real:
            at, _, name = at.rpartition("/")
            below.append(name)
        real = self._real[at]
        for name in reversed(below):
            at = f"{at}/{name}"
            self._real[at] = f"{real}/{name}"  # a link to itself, by whatever way, ends here
            self._real[at] = real = self._followed(real, name, hops)
        return real

    def _followed(self, folder: str, name: str, hops: int = 0) -> str:
        """Where `name` in a folder without links ends; what cannot be looked at counts as no link."""
        if name in ("", "."):
            return folder
        if name == "..":
            return folder.rpartition("/")[0]
        try:
            target = os.readlink(f"{folder}/{name}")
        except (OSError, ValueError):  # the last: a NUL in the name
            return f"{folder}/{name}"
        if hops == _MOST_HOPS:
            return f"{folder}/{name}"
        path = target if target.startswith("/") else f"{folder}/{target}"
        parent, _, last = path.rstrip("/").rpartition("/")
        return self._followed(self._folder(parent, hops + 1), last, hops + 1)
