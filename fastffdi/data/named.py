"""The images that a user named one by one: files, folders, patterns, and what a list on a pipe holds."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from fastffdi.data.labels import Say, first_three
from fastffdi.data.layout import column_of, folder_names
from fastffdi.data.links import Links
from fastffdi.data.manifest import Manifest
from fastffdi.data.walk import kind_of, looks_like_image, told
from fastffdi.errors import DataError

#: In place of a name: those that the list on standard input holds.
LIST = "-"

#: Files that are no images, by their kind, for each place where some were left out.
_LeftOut = dict[str, Counter[str]]


def image_files(
    files: Sequence[str],
    say: Say = lambda line: None,
    follow_symlinks: bool = False,
    patterns: bool = False,
    listed: Callable[[], Sequence[str]] | None = None,
) -> Manifest:
    """The files themselves, names exactly as typed, relative to the current folder, without labels.

    A folder stands for all images below it, as `plain_folder` finds them; what was typed is in front of their
    names. A file that was typed is read wherever it leads.

    Args:
        files: the names
        say: gets one line about all files in folders that are no images
        follow_symlinks: of folders and patterns, also take images by links that lead out of them
        patterns: a name with * ? or [ that is no file stands for the images it matches, sorted; ** for
            folders at any depth
        listed: gives the names that `-` stands for, which are never patterns

    Raises DataError for no files, names that are no files, a pattern that matches none, and folders as
    `plain_folder` does.
    """
    if not files:
        raise DataError("no images given; name at least one file or folder")
    left_out: _LeftOut = {}
    words = [word for file in files for word in _words(file, left_out, follow_symlinks, patterns, listed)]
    missing = [word for word in words if not os.path.isfile(word) and not os.path.isdir(word)]
    if missing:
        what = f"{len(missing)} of {len(words)} files do not exist ({first_three(missing)})"
        raise DataError(f"{what}; check the names, seen from {os.getcwd()}")
    names = [name for word in words for name in _files_of(word, left_out, follow_symlinks)]
    _tell(left_out, say)
    return Manifest(os.getcwd(), column_of(names))


def read_list(data: bytes) -> list[str]:
    """The names in a list: one a line, or, where it has NUL bytes, each ended by one, as `find -print0` does.

    Empty lines are passed over, and where all lines end as on Windows, so do the names before that. Raises
    DataError for a list without names.
    """
    if b"\0" in data:
        lines = data.split(b"\0")
    else:
        lines = data.split(b"\n")
        if all(line.endswith(b"\r") for line in lines if line):
            lines = [line[:-1] for line in lines]
    names = [os.fsdecode(line) for line in lines if line]
    if not names:
        raise DataError("standard input: lists no images; write one name a line, or as find -print0 does")
    return names


def _words(
    file: str,
    left_out: _LeftOut,
    follow: bool,
    patterns: bool,
    listed: Callable[[], Sequence[str]] | None,
) -> Iterable[str]:
    if file == LIST and listed is not None:
        return listed()
    if patterns and glob.has_magic(file) and not os.path.lexists(file):
        return _matches(file, left_out, follow)
    return [file]


def _matches(pattern: str, left_out: _LeftOut, follow: bool) -> list[str]:
    """The images that a pattern matches, sorted. Raises DataError for none, and for links that lead out."""
    folder = _fixed(pattern)
    links, kinds = Links(folder or ".", follow), Counter[str]()
    found = sorted(set(_images(glob.iglob(pattern, recursive=True), links, kinds)))
    links.refuse()
    if not found:
        others = f"; of what it matches, {told(kinds)}" if kinds else ""
        raise DataError(
            f"{pattern}: no image matches, seen from {os.getcwd()}{others}; as in 'DIR/**/*.jpg', * does not "
            "reach into folders, and ** does"
        )
    left_out[pattern] = kinds
    return found


def _images(paths: Iterable[str], links: Links, left_out: Counter[str]) -> Iterator[str]:
    for path in paths:
        if os.path.isdir(path) or links.note(path, path):
            continue
        if looks_like_image(path):
            yield path
        else:
            left_out[kind_of(path)] += 1


def _fixed(pattern: str) -> str:
    """The folders in front of a pattern that are none themselves."""
    parts = pattern.split("/")
    fixed = next(k for k, part in enumerate(parts) if glob.has_magic(part))
    return "/".join(parts[:fixed]) + "/" * (parts[:fixed] == [""])


def _files_of(word: str, left_out: _LeftOut, follow: bool) -> Iterable[str]:
    if not os.path.isdir(word):
        return [word]
    names, left_out[word] = folder_names(Path(word), follow)
    return [os.path.join(word, name) for name in names]


def _tell(left_out: _LeftOut, say: Say) -> None:
    """One line about all that was left out."""
    places = [place for place, kinds in left_out.items() if kinds]
    if places:
        others = f" and {len(places) - 1} more" * (len(places) > 1)
        say(f"{places[0]}{others}: {told(sum((left_out[place] for place in places), Counter()))}")
