"""Sizes of many images, each header read once and kept in the cache folder."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from fastffdi.data.headers import image_size
from fastffdi.data.patience import READ_SECONDS
from fastffdi.data.readers import ReaderThreads
from fastffdi.data.source import FILES, ImageSource, path_digest
from fastffdi.errors import UndecodableImage
from fastffdi.files import atomic, cache_folder

_CHUNK = 256  # images per task: long enough to hide the pool's cost, short enough to stop soon
_ROW = np.dtype([("path", "S16"), ("identity", "<i8", 2), ("size", "<i4", 2)])


def image_sizes(
    paths: Sequence[str],
    threads: int,
    root: str | None = None,
    source: ImageSource = FILES,
    guess: bool = False,
    seconds: float = READ_SECONDS,
) -> np.ndarray:
    """(N, 2) int32 height, width of each image after EXIF orientation, by `threads` threads.

    Kept in the cache folder, one file for each `root` (default: the deepest folder above all `paths`);
    an image is read again when its length in bytes or its time of change differs.
    Raises UndecodableImage for the first one without a valid header; with `guess` only where none has one,
    and those without count as large as the largest. Raises Stalled where one takes more `seconds`.
    """
    if not len(paths):
        return np.zeros((0, 2), np.int32)
    if root is None:
        paths = [os.path.abspath(path) for path in paths]
        root = os.path.commonpath([os.path.dirname(path) for path in paths])
    cache = cache_folder() / "sizes" / f"{path_digest(root).hex()}.npz"
    known = _load(cache)
    rows, fresh = np.zeros(len(paths), _ROW), np.zeros(len(paths), bool)

    failed: list[UndecodableImage] = []

    def fill(at: int) -> None:
        part = slice(at, at + _CHUNK)
        failed.extend(_fill(rows[part], fresh[part], paths[part], known, source, guess))

    try:
        with warnings.catch_warnings(), ReaderThreads(threads, "fastffdi-sizes", seconds) as pool:
            # Pillow's, about odd headers; here, since the filters are the whole process's.
            warnings.simplefilter("ignore")
            source = pool.noting(source)
            for _ in pool.map(fill, range(0, len(paths), _CHUNK)):
                pass  # an error of a chunk is raised here, and cancels the chunks not started
    finally:
        # Also after an error: what was read once need not be read again when the bad file is gone.
        if fresh.any():
            _save(cache, rows[fresh], known)
    sizes = np.ascontiguousarray(rows["size"], np.int32)
    if len(failed) == len(paths):
        raise failed[0]
    if failed:
        sizes[sizes[:, 0] == 0] = sizes[sizes.prod(axis=1, dtype=np.int64).argmax()]
    return sizes


def _fill(
    rows: np.ndarray,
    fresh: np.ndarray,
    paths: Sequence[str],
    known: np.ndarray,
    source: ImageSource,
    guess: bool,
) -> list[UndecodableImage]:
    """Fill `rows` from what is known, else from the headers; `fresh` marks those.

    Returns the errors of the images whose size stays 0, which are raised unless `guess`.
    """
    failed: dict[int, UndecodableImage] = {}

    def tried(function: Callable[[str, ImageSource], tuple[int, int]], row: int) -> tuple[int, int]:
        try:
            return function(paths[row], source)
        except UndecodableImage as error:
            if not guess:
                raise
            failed[row] = error
            return 0, 0

    rows["path"] = [path_digest(path) for path in paths]
    rows["identity"] = [tried(_identity, row) for row in range(len(paths))]
    if len(known):
        near = known[np.searchsorted(known["path"], rows["path"]).clip(max=len(known) - 1)]
        same = (near["path"] == rows["path"]) & (near["identity"] == rows["identity"]).all(axis=1)
        rows["size"] = np.where(same[:, None], near["size"], 0)
    for row in np.flatnonzero(rows["size"][:, 0] == 0).tolist():
        if row not in failed:
            rows["size"][row] = tried(image_size, row)
            fresh[row] = row not in failed
    return list(failed.values())


def _identity(path: str, source: ImageSource) -> tuple[int, int]:
    return source.identity(path)


def _load(cache: Path) -> np.ndarray:
    try:
        with cache.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            table: np.ndarray = stored["table"]
        whole = table.dtype == _ROW and table.ndim == 1 and (table["size"] > 0).all()
    except Exception:  # a damaged cache breaks in many ways, and all mean: read the images
        whole = False
    return table if whole else np.zeros(0, _ROW)


def _save(cache: Path, rows: np.ndarray, known: np.ndarray) -> None:
    """Write `rows` and what else is known, sorted by path."""
    both = np.concatenate([rows, known])
    table = both[np.unique(both["path"], return_index=True)[1]]  # the first of a path: the newer
    # A cache that cannot be written costs time at the next run, never this one.
    with contextlib.suppress(OSError):
        cache.parent.mkdir(parents=True, exist_ok=True)
        with atomic(cache) as part, part.open("wb") as file:
            np.savez(file, table=table)
