"""Images kept on disk as raw pixel values, each found by the path of its file.

A store is a folder:

    meta.json    what the images are, for people and for listing stores
    index        where each image is, and of which file it was made: see cache/index.py
    pixels.raw   pixel values (height, width, 3) uint8, at the offsets in the index; sparse while it is filled

Places are reserved for all images of a list before any is written: a row is appended to the index for each
that has none, and `pixels.raw` is extended. Only this is done under a lock. Another list reserves what it has
in addition. From then on nothing is locked, and nothing has to be closed: processes that fill a store at once
write the same bytes to the same offsets.

What is stored in a place is written to the index after the pixel values, with a checksum of both. A process
verifies an image at its first read, so that what a power cut left half written does not count.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import secrets
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from fastffdi.cache.index import ALIGNED, CAPACITY, FORMAT, HEADER, OFFSET, ROW_BYTES, SHAPE, Index, write
from fastffdi.data.source import Identity
from fastffdi.errors import RunError, SettingError
from fastffdi.files import FULL, atomic

_EMPTY = bytes(ROW_BYTES - 8 * SHAPE)

#: Private pages are counted against the system's memory as soon as they are mapped, without this flag: no
#: store larger than that could be mapped. Python names it from 3.13 on.
_NO_RESERVE: int = getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0)


class Store:
    """The images of one folder, by their numbers. May be pickled, and used from many threads."""

    def __init__(self, folder: Path) -> None:
        """Open a store that `make` made. Raises SettingError where it is damaged."""
        self.folder, self._index = folder, Index(folder / "index")
        self._pixels: mmap.mmap | bytes = b""
        self._seen = bytearray(len(self))  # which images this process has verified

    @classmethod
    def make(cls, folder: Path, description: Mapping[str, Any]) -> Store:
        """The store in a folder, created empty if it is not there.

        `description` is plain data. Raises SettingError where the folder cannot be made, RunError on a full
        disk.
        """
        if not folder.is_dir():
            with _writing(folder):
                _make(folder, {"format": FORMAT, **description})
        return cls(folder)

    def __len__(self) -> int:
        return len(self._index.rows)

    def __reduce__(self) -> tuple[type[Store], tuple[Path]]:
        return type(self), (self.folder,)

    @property
    def stored(self) -> int:
        """How many images are there, also of files that have changed since."""
        return int(np.count_nonzero(self._index.rows[:, SHAPE]))

    def holds(self, paths: np.ndarray) -> np.ndarray:
        """(N,) bool: which images of these digests of paths (N,) S16 are there, also of changed files."""
        found = self._index.find(paths)
        return (found >= 0) & (self._index.rows[found, SHAPE] != 0) if len(self) else found >= 0

    def missing_bytes(self, records: np.ndarray) -> int:
        """What the images of these numbers will take that are not there; they are (N,) int64, none twice."""
        rows = self._index.rows[records]
        return int(rows[rows[:, SHAPE] == 0, CAPACITY].sum())

    def reserve(self, paths: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """(N,) int64: the number of each image; places are made for those that have none large enough.

        `paths` (N,) S16 are digests of paths, `sizes` (N, 2) height, width. Not to be called while other
        threads use the store. Raises SettingError where the folder cannot be written to, RunError on a full
        disk.
        """
        index, capacity = self._index, capacities(sizes)
        if (index.capacity(paths) < capacity).any():
            first = np.unique(paths, return_index=True)[1]
            with _writing(self.folder), index.locked() as handle:
                index.load()
                lacking = np.sort(first[index.capacity(paths[first]) < capacity[first]])
                self._extend(index.end + int(capacity[lacking].sum()))
                index.append(handle, paths[lacking], capacity[lacking])
            index.load()
            self._seen = bytearray(len(self))
        return index.find(paths)

    def has(self, k: int, identity: Identity) -> bool:
        """Whether image k was made of a file with this identity."""
        shape, size_bytes, mtime_ns, _ = self._index.rows[k, SHAPE:].tolist()
        return bool(shape) and (size_bytes, mtime_ns) == identity

    def get(self, k: int, identity: Identity) -> np.ndarray | None:
        """Image k, (H, W, 3) uint8, a view of the store; None where it is not there, or of another identity.

        What is written to it does not reach the disk. Raises OSError.
        """
        row = self._index.rows[k].tolist()
        _, _, offset, capacity, shape, size_bytes, mtime_ns, checksum = row
        if not shape or (size_bytes, mtime_ns) != identity:
            return None
        height, width = shape >> 32, shape & 0xFFFFFFFF
        size = 3 * height * width
        if not 0 < size <= capacity or offset < 0:
            return None
        pixels = self._pixels
        if len(pixels) < offset + size:
            pixels = self._pixels = self._mapped()
            if len(pixels) < offset + size:  # reading beyond the end would be SIGBUS
                return None
        image: np.ndarray = np.ndarray((height, width, 3), np.uint8, pixels, offset)
        if not self._seen[k]:
            if _checksum(image, row[:-1]) != checksum:
                return None
            self._seen[k] = 1
        return image

    def put(self, k: int, identity: Identity, image: np.ndarray) -> bool:
        """Keep (H, W, 3) uint8 as image k, made of a file with this identity; False where it does not fit.

        That is where it is too large, or its file was changed after the year 2262. Raises OSError, on a full
        disk for one.
        """
        row = self._index.rows[k].tolist()
        if image.nbytes > row[CAPACITY] or max(identity) >= 1 << 63:
            return False
        image = np.ascontiguousarray(image)
        if row[SHAPE]:
            self._index.fill(k, _EMPTY)
        self._seen[k] = 0
        handle = os.open(self.folder / "pixels.raw", os.O_WRONLY | os.O_CREAT, 0o666)
        try:
            write(handle, image.reshape(-1).data, row[OFFSET])
        finally:
            os.close(handle)
        row[SHAPE:] = image.shape[0] << 32 | image.shape[1], *identity
        self._index.fill(k, np.array([*row[SHAPE:], _checksum(image, row)], np.int64).tobytes())
        return True

    def _extend(self, end: int) -> None:
        """Make the file of pixel values as long as that, if it is shorter, without writing any."""
        handle = os.open(self.folder / "pixels.raw", os.O_WRONLY | os.O_CREAT, 0o666)
        try:
            if os.fstat(handle).st_size < end:
                os.truncate(handle, end)
        finally:
            os.close(handle)

    def _mapped(self) -> mmap.mmap | bytes:
        """The pixel values in memory, as many as there are; copy-on-write, as torch wants it writable."""
        try:
            with open(self.folder / "pixels.raw", "rb") as file:
                if not os.fstat(file.fileno()).st_size:
                    return b""
                access = mmap.PROT_READ | mmap.PROT_WRITE
                return mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE | _NO_RESERVE, access)
        except FileNotFoundError:
            return b""


def capacities(sizes: np.ndarray) -> np.ndarray:
    """(N,) int64: the bytes that are reserved for images of sizes (N, 2) height, width."""
    return np.asarray(-(-sizes.astype(np.int64).prod(axis=1) * 3 // ALIGNED) * ALIGNED)


def _make(folder: Path, meta: Mapping[str, Any]) -> None:
    """Create the folder under another name and rename it; the folder of a faster process is as good."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.part")
    part.mkdir()
    try:
        with atomic(part / "meta.json") as path:
            path.write_text(json.dumps(meta, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        with atomic(part / "index") as path:
            path.write_bytes(HEADER)
        part.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """What the system says against writing to a store, as SettingError; a full disk as RunError."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise RunError(
                f"--cache {folder.parent}: {error.strerror}; make room, or name another folder"
            ) from None
        raise SettingError(
            f"--cache {folder.parent}: cannot be written to ({error.strerror}); name another folder"
        ) from None


def _checksum(image: np.ndarray, row: list[int]) -> int:
    """The sum of the pixel values, eight at a time, modulo 2⁶⁴, with the row of the index up to the checksum.

    About 10 µs for 256 × 256.
    """
    flat = image.reshape(-1)
    words = flat[: flat.size // 8 * 8].view(np.int64)
    digest = hashlib.blake2b(np.array(row, np.int64).tobytes(), digest_size=8).digest()
    pixels = int(words.sum()) ^ int(flat[words.nbytes :].sum())
    return pixels ^ int.from_bytes(digest, "little", signed=True)
