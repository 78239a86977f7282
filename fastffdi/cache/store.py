"""Images kept on disk as raw pixel values, each at an offset that is known before any is written.

A store is a folder:

    meta.json         what the images are, for people and for finding the store again
    index             eight int64 for each image, ROW below; a row of 64 bytes never lies across two sectors
    shard-00000.raw   pixel values (height, width, 3) uint8, image after image; sparse while it is filled

Nothing is locked, and nothing has to be closed. Processes that fill a store at once write the same bytes to
the same offsets. An image's row in the index is written after its pixel values, with their checksum. A
process verifies an image at its first read, so that what a power cut left half written does not count.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Mapping
from mmap import ACCESS_COPY, ACCESS_READ, mmap
from pathlib import Path
from typing import Any

import numpy as np

from fastffdi.data.source import Identity
from fastffdi.errors import SettingError
from fastffdi.files import atomic

#: A row of the index: where the image goes, and from `height` on what is stored there, 0 while nothing is.
ROW = ("shard", "offset", "capacity", "height", "width", "size_bytes", "mtime_ns", "checksum")
_SHARD, _OFFSET, _CAPACITY, _HEIGHT = range(4)
_ROW_BYTES = 8 * len(ROW)
_EMPTY = bytes(_ROW_BYTES - 8 * _HEIGHT)

#: Bytes in a shard; more in a large store, so that no process has more than about so many of them open.
SHARD_BYTES, SHARDS = 1 << 30, 256

#: Bytes to which the capacity for an image is rounded up: a cache line.
_ALIGNED = 64

#: In meta.json, by which a folder is known to be a store.
FORMAT = "fastffdi cache 1"


class Store:
    """The images of one folder, by their numbers. May be pickled, and used from many threads."""

    def __init__(self, folder: Path) -> None:
        """Open a store that `make` made. Raises SettingError where it is damaged."""
        self.folder = folder
        try:
            with open(folder / "index", "rb") as file:
                mapped = mmap(file.fileno(), 0, access=ACCESS_READ)
            self._index = np.frombuffer(mapped, np.int64).reshape(-1, len(ROW))
        except (OSError, ValueError) as error:
            raise SettingError(
                f"--cache {folder.parent}: the index of {folder.name} cannot be read ({error}); remove that "
                "folder, or name another one"
            ) from None
        last = np.append(np.flatnonzero(np.diff(self._index[:, _SHARD])), -1)
        self._ends = (
            self._index[last, _OFFSET] + self._index[last, _CAPACITY]
        ).tolist()  # bytes in each shard
        self._shards: dict[int, mmap] = {}
        self._seen = bytearray(len(self))  # which images this process has verified

    @classmethod
    def make(cls, folder: Path, description: Mapping[str, Any], sizes: np.ndarray) -> Store:
        """The store in a folder, created empty if it is not there, for images of sizes (N, 2).

        `description` is plain data. Raises SettingError where the folder cannot be made.
        """
        if not folder.is_dir():
            index = empty_index(sizes)
            meta = {
                "format": FORMAT,
                **description,
                "images": len(index),
                "bytes": int(index[:, _CAPACITY].sum()),
            }
            try:
                _make(folder, meta, index)
            except OSError as error:
                raise SettingError(
                    f"--cache {folder.parent}: cannot be written to ({error.strerror}); name another folder"
                ) from None
        return cls(folder)

    def __len__(self) -> int:
        return len(self._index)

    def __reduce__(self) -> tuple[type[Store], tuple[Path]]:
        return type(self), (self.folder,)

    def has(self, k: int, identity: Identity) -> bool:
        """Whether image k was made of a file with this identity."""
        row = self._index[k]
        return bool(row[_HEIGHT]) and (int(row[5]), int(row[6])) == identity

    def get(self, k: int, identity: Identity) -> np.ndarray | None:
        """Image k, (H, W, 3) uint8, a view of the store; None where it is not there, or of another identity.

        What is written to it does not reach the disk. Raises OSError.
        """
        shard, offset, _, height, width, size_bytes, mtime_ns, checksum = self._index[k].tolist()
        if not height or (size_bytes, mtime_ns) != identity:
            return None
        mapped = self._shards.get(shard) or self._mapped(shard)
        if mapped is None:
            return None
        image: np.ndarray = np.ndarray((height, width, 3), np.uint8, mapped, offset)
        if not self._seen[k]:
            if _checksum(image) != checksum:
                return None
            self._seen[k] = 1
        return image

    def put(self, k: int, identity: Identity, image: np.ndarray) -> bool:
        """Keep (H, W, 3) uint8 as image k, made of a file with this identity; False where it is too large.

        Raises OSError, on a full disk for one.
        """
        shard, offset, capacity, *held = self._index[k].tolist()
        if image.nbytes > capacity:
            return False
        image = np.ascontiguousarray(image)
        if held[0]:
            self._write_row(k, _EMPTY)
        self._seen[k] = 0
        handle = os.open(self._path(shard), os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if os.fstat(handle).st_size < self._ends[shard]:
                os.truncate(handle, self._ends[shard])
            _write(handle, image.reshape(-1), offset)
        finally:
            os.close(handle)
        self._write_row(k, np.array([*image.shape[:2], *identity, _checksum(image)], np.int64).tobytes())
        return True

    @property
    def stored(self) -> int:
        """How many images are there, also of files that have changed since."""
        return int(np.count_nonzero(self._index[:, _HEIGHT]))

    @property
    def missing_bytes(self) -> int:
        """Bytes on the disk that it will take in addition to what it takes now."""
        taken = sum(512 * path.stat().st_blocks for path in self.folder.glob("shard-*.raw"))
        return max(0, int(self._index[:, _CAPACITY].sum()) - taken)

    def _write_row(self, k: int, filled: bytes) -> None:
        handle = os.open(self.folder / "index", os.O_WRONLY)
        try:
            os.pwrite(handle, filled, k * _ROW_BYTES + 8 * _HEIGHT)
        finally:
            os.close(handle)

    def _path(self, shard: int) -> Path:
        return self.folder / f"shard-{shard:05d}.raw"

    def _mapped(self, shard: int) -> mmap | None:
        """The shard in memory; None where it is too short, and reading beyond its end would be SIGBUS."""
        try:
            with open(self._path(shard), "rb") as file:
                if os.fstat(file.fileno()).st_size < self._ends[shard]:
                    return None
                # Copy-on-write: torch wants writable arrays.
                mapped = self._shards[shard] = mmap(file.fileno(), 0, access=ACCESS_COPY)
        except FileNotFoundError:
            return None
        return mapped


def empty_index(sizes: np.ndarray) -> np.ndarray:
    """(N, 8) int64: the index of an empty store for images of sizes (N, 2) height, width."""
    index = np.zeros((len(sizes), len(ROW)), np.int64)
    capacity = -(-sizes.astype(np.int64).prod(axis=1) * 3 // _ALIGNED) * _ALIGNED
    ends = capacity.cumsum()
    index[:, _CAPACITY] = capacity
    most = max(SHARD_BYTES, int(capacity.sum()) // SHARDS)
    first = shard = 0
    while first < len(index):
        begin = ends[first] - capacity[first]
        last = max(first + 1, int(np.searchsorted(ends, begin + most, side="right")))
        index[first:last, _SHARD] = shard
        index[first:last, _OFFSET] = (ends - capacity)[first:last] - begin
        first, shard = last, shard + 1
    return index


def total_bytes(sizes: np.ndarray) -> int:
    """What a store for images of sizes (N, 2) takes when it is full."""
    index = empty_index(sizes)
    return int(index[:, _CAPACITY].sum()) + index.nbytes


def _make(folder: Path, meta: Mapping[str, Any], index: np.ndarray) -> None:
    """Create the folder under another name and rename it; the folder of a faster process is as good."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.part")
    part.mkdir()
    try:
        with atomic(part / "meta.json") as path:
            path.write_text(json.dumps(meta, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        with atomic(part / "index") as path:
            index.tofile(path)
        part.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _checksum(image: np.ndarray) -> int:
    """The sum of the pixel values, eight at a time, modulo 2⁶⁴: about 10 µs for 256 × 256."""
    flat = image.reshape(-1)
    words = flat[: flat.size // 8 * 8].view(np.int64)
    return int(words.sum()) ^ int(flat[words.nbytes :].sum())


def _write(handle: int, data: np.ndarray, offset: int) -> None:
    rest = memoryview(data.data)
    while rest:  # a nearly full disk writes a part, and only then raises
        written = os.pwrite(handle, rest, offset)
        rest, offset = rest[written:], offset + written
