"""The index of a store: which images there are places for, where, and what is stored there.

The file is 64 bytes that name the format, then eight int64 for each image, ROW below, so that a row never
lies across two sectors. The first half of a row is appended when places are reserved, under a lock; the
second half is written when the image is.

A row that a power cut left incomplete or zero is passed over; any other that cannot be makes the index
damaged, and nothing is read by it.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from fastffdi.errors import SettingError

#: The digest of the path of the image's file, its place in the pixel values, and from `shape` on
#: (height · 2³² + width) what is stored there; 0 while nothing is.
ROW = ("path", "path", "offset", "capacity", "shape", "size_bytes", "mtime_ns", "checksum")
OFFSET, CAPACITY, SHAPE = 2, 3, 4
ROW_BYTES = 8 * len(ROW)

FORMAT = "fastffdi cache 2"
HEADER = FORMAT.encode().ljust(ROW_BYTES, b"\0")

#: Offsets and capacities are multiples of these bytes: a cache line.
ALIGNED = 64

#: Rows, bytes of one image, and bytes of all that no index can have: what is larger is damage.
_MOST_ROWS, _MOST_CAPACITY, _MOST_BYTES = 1 << 27, 1 << 40, 1 << 60


class Index:
    """The rows of one index file, as it was when it was loaded; the second halves as they are now.

    Attributes:
        path: the file
        rows: (N, 8) int64, ROW, mapped
    """

    def __init__(self, path: Path) -> None:
        """Open the file. Raises SettingError where it is damaged."""
        self.path = path
        self.load()

    def load(self) -> None:
        """Map the file again, with what others have appended. Raises SettingError where it is damaged."""
        try:
            if not self.path.is_file():  # opening a pipe would wait for ever
                raise ValueError("there is no such file")
            with open(self.path, "rb") as file:
                self.rows = _checked(file.fileno())
        except (OSError, ValueError) as error:
            store = self.path.parent
            raise SettingError(
                f"--cache {store.parent}: the index of {store.name} cannot be read ({error}); remove that "
                "folder, or name another one"
            ) from None

    def find(self, paths: np.ndarray) -> np.ndarray:
        """(N,) int64: the last row with a place for each of the digests of paths (N,) S16; -1 for none."""
        places = np.flatnonzero(self.rows[:, CAPACITY])
        if not len(places):
            return np.full(len(paths), -1)
        known = self.rows[places, :OFFSET].view("S16")[:, 0]
        order = np.argsort(known, kind="stable")
        last = order[np.searchsorted(known, paths, side="right", sorter=order) - 1]
        return np.where(known[last] == paths, places[last], -1)

    def capacity(self, paths: np.ndarray) -> np.ndarray:
        """(N,) int64: the bytes that are reserved for the images of some paths."""
        rows = self.find(paths)
        found = np.zeros(len(paths), np.int64)
        found[rows >= 0] = self.rows[rows[rows >= 0], CAPACITY]
        return found

    @property
    def end(self) -> int:
        """The offset behind all places."""
        return int((self.rows[:, OFFSET] + self.rows[:, CAPACITY]).max(initial=0))

    @contextmanager
    def locked(self) -> Iterator[int]:
        """The file, open for writing, while no other process has it so; waits for it. Raises OSError."""
        import fcntl  # not on Windows, where there is no cache

        handle = os.open(self.path, os.O_RDWR)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield handle
        finally:
            os.close(handle)

    def append(self, handle: int, paths: np.ndarray, capacity: np.ndarray) -> None:
        """Reserve places behind all others to a file that is locked and has been loaded since.

        `paths` are (N,) S16, none twice, and `capacity` (N,) int64 in bytes. Raises OSError.
        """
        rows = np.zeros((len(paths), len(ROW)), np.int64)
        rows[:, :OFFSET] = np.ascontiguousarray(paths).view(np.int64).reshape(-1, 2)
        rows[:, OFFSET] = self.end + capacity.cumsum() - capacity
        rows[:, CAPACITY] = capacity
        write(handle, rows.reshape(-1).view(np.uint8).data, ROW_BYTES * (1 + len(self.rows)))
        os.fsync(handle)  # no row may be lost that another process has found

    def fill(self, k: int, half: bytes) -> None:
        """Write the second half of a row, at once: readers see it whole or not at all. Raises OSError."""
        handle = os.open(self.path, os.O_WRONLY)
        try:
            os.pwrite(handle, half, ROW_BYTES * (1 + k) + 8 * SHAPE)
        finally:
            os.close(handle)


def write(handle: int, data: memoryview, offset: int) -> None:
    """Write bytes to an open file at an offset. Raises OSError."""
    while data:  # a nearly full disk writes a part, and only then raises
        written = os.pwrite(handle, data, offset)
        data, offset = data[written:], offset + written


def _checked(handle: int) -> np.ndarray:
    """(N, 8) int64: the rows of an open file, mapped. Raises OSError, and ValueError where it is damaged."""
    if os.pread(handle, ROW_BYTES, 0) != HEADER:
        raise ValueError(f"it does not begin with '{FORMAT}'")
    count = os.fstat(handle).st_size // ROW_BYTES
    if count > _MOST_ROWS:
        raise ValueError("it is too long")
    mapped = mmap.mmap(handle, count * ROW_BYTES, access=mmap.ACCESS_READ)
    rows = np.frombuffer(mapped, np.int64).reshape(-1, len(ROW))[1:]
    offset, capacity = rows[:, OFFSET], rows[:, CAPACITY]
    possible = (offset >= 0) & (offset < _MOST_BYTES) & (capacity >= 0) & (capacity < _MOST_CAPACITY)
    if not possible.all() or ((offset | capacity) % ALIGNED).any():
        raise ValueError("it has impossible places")
    ends, used = offset + capacity, np.flatnonzero(capacity)
    if (offset[used[1:]] < ends[used[:-1]]).any():
        raise ValueError("it has places that overlap")
    return rows
