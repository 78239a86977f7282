"""Where the bytes of images come from; decoding and probing are done elsewhere, on what a source gives."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, NamedTuple, Protocol, TypeVar

from fastffdi.data.retry import retried
from fastffdi.errors import UndecodableImage

T = TypeVar("T")


class Identity(NamedTuple):
    """What changes when the bytes of an image do: their number, and the time of change in ns."""

    size_bytes: int
    mtime_ns: int


class ImageSource(Protocol):
    """Gives encoded images by the path that `Manifest.paths` has for a row. Called from many threads.

    Files today; tar shards and object stores fit behind it. All methods raise UndecodableImage.
    """

    def read(self, path: str) -> bytes:
        """All bytes of an image."""

    def open(self, path: str) -> BinaryIO:
        """The same bytes as a file, for those who need only its header."""

    def identity(self, path: str) -> Identity:
        """The identity of the image as it is now, without reading it."""


@dataclass(frozen=True)
class FileSource:
    """Images that are files of their own. Errors that may pass are waited for; see `retried`."""

    def read(self, path: str) -> bytes:
        """See ImageSource."""
        return _read(path, partial(_content, path))

    def open(self, path: str) -> BinaryIO:
        """See ImageSource. What is read of it later is not tried again."""
        return _read(path, lambda: open(path, "rb"))

    def identity(self, path: str) -> Identity:
        """See ImageSource; only regular files have one, since opening a pipe would wait for ever."""
        info = _read(path, partial(os.stat, path))
        if not stat.S_ISREG(info.st_mode):
            raise UndecodableImage(path, "not a file")
        return Identity(info.st_size, info.st_mtime_ns)


FILES = FileSource()


def path_digest(path: str) -> bytes:
    """16 bytes that stand for a path where things are kept about images."""
    return hashlib.blake2b(os.fsencode(path), digest_size=16).digest()


def _content(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read()


def _read(path: str, read: Callable[[], T]) -> T:
    try:
        return retried(path, read)
    except OSError as error:
        raise UndecodableImage(path, error.strerror or "cannot be read") from None
