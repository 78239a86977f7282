"""A source that keeps on disk what the deterministic beginning of a recipe makes of images.

Each time an image is served its file's length and time of change are asked for. One that differs, or is not
there, is opened and rendered as ever, and stored: images are the same bits with a store and without.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import cv2
import numpy as np
import torch

from fastffdi.cache.folder import free_bytes
from fastffdi.cache.store import Mark, Store
from fastffdi.data.source import Files
from fastffdi.errors import RunError, UndecodableImage
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.recipe.kernels import Program
from fastffdi.render.cpu.renderer import render

#: Images stored between two looks at how full the disk is.
_LOOK = 256

#: Images a thread takes at a time when a store is filled beforehand: few, so that Ctrl-C is soon obeyed.
_CHUNK = 16

_SAYING = threading.Lock()


class Cached:
    """Takes images from a store, and puts there what is missing. May be pickled.

    store    the images
    files    where they come from at first
    begun    how many kernels of a program the stored images have behind them
    records  (rows,) int64: the number in the store of each of the manifest's rows; None: the row itself
    sizes    (rows, 2) height, width that programs take the files' images to have; None: they do not care
    """

    def __init__(
        self,
        store: Store,
        files: Files,
        begun: int,
        records: np.ndarray | None = None,
        sizes: np.ndarray | None = None,
    ) -> None:
        self.store, self.files, self.begun = store, files, begun
        self._records, self._sizes = records, sizes
        self._puts, self._filling = 0, True

    def __call__(self, row: int, path: str, program: Program, i: int) -> np.ndarray:
        """See Source; with the program's first `begun` kernels done.

        Where the disk is full or fails it goes on without storing more, and says so once.
        """
        record, mark = self._record(row), _mark(path)
        try:
            image = self.store.get(record, mark)
        except OSError as error:
            self._give_up(error)
            image = None
        if image is None:
            image, lasting = self._made(row, path, mark, program, i)
            if lasting and self._filling:
                try:
                    self._put(record, mark, image)
                except OSError as error:
                    self._give_up(error)
        return image

    def fill(self, row: int, path: str, program: Program, i: int) -> bool:
        """Store the image if it is not there; whether it is there then.

        False where its file has changed to a size for which there is no place. Raises UndecodableImage, and
        OSError on a full disk.
        """
        record, mark = self._record(row), _mark(path)
        if self.store.has(record, mark):
            return True
        image, lasting = self._made(row, path, mark, program, i)
        return lasting and self._put(record, mark, image)

    def rows(self) -> np.ndarray:
        """A row of each image, once."""
        if self._records is None:
            return np.arange(len(self.store))
        return np.unique(self._records, return_index=True)[1]

    def _record(self, row: int) -> int:
        return row if self._records is None else int(self._records[row])

    def _made(self, row: int, path: str, mark: Mark, program: Program, i: int) -> tuple[np.ndarray, bool]:
        """The image, and whether it is what every run would make of a file with that mark."""
        opened = self.files(row, path, program, i)
        image = render(opened, Program(program.kernels[: self.begun]), i)
        return image, self._as_expected(row, opened) and _mark(path) == mark

    def _as_expected(self, row: int, opened: np.ndarray) -> bool:
        """Whether the file has the size that the programs were made for, and not one it has got since."""
        if self._sizes is None:
            return True
        factors = (1, 2, 4, 8) if self.files.scaled else (1,)
        height, width = self._sizes[row].tolist()
        return opened.shape[:2] in [(-(-height // factor), -(-width // factor)) for factor in factors]

    def _put(self, record: int, mark: Mark, image: np.ndarray) -> bool:
        if self._puts % _LOOK == 0 and free_bytes(self.store.folder) < image.nbytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._puts += 1
        return self.store.put(record, mark, image)

    def _give_up(self, error: OSError) -> None:
        with _SAYING:
            if self._filling:
                self._filling = False
                logging.getLogger(__name__).warning(
                    "--cache %s: %s; going on without storing more images",
                    self.store.folder.parent,
                    error.strerror or error,
                )


def fill(planner: BatchPlanner, threads: int, progress: Callable[[int], None]) -> int:
    """Store what is missing of a cached feed's images; how many have no place, as in Cached.fill.

    `progress` gets counts of images that are done. Raises UndecodableImage, and RunError on a full disk;
    what has been stored stays.
    """
    source = planner.source
    assert isinstance(source, Cached)
    rows = source.rows()

    def chunk(first: int) -> tuple[int, int]:
        part = rows[first : first + _CHUNK]
        program, paths = planner.work(0, part, np.zeros_like(part)).program, planner.manifest.paths(part)
        stored = [
            source.fill(row, path, program, i)
            for i, (row, path) in enumerate(zip(part.tolist(), paths, strict=True))
        ]
        return len(part), stored.count(False)

    without = 0
    cv2.setNumThreads(0)
    try:
        with _one_torch_thread(), ThreadPoolExecutor(threads) as pool:
            # An error of a chunk is raised here, and cancels the chunks not begun.
            for count, misfits in pool.map(chunk, range(0, len(rows), _CHUNK)):
                progress(count)
                without += misfits
    except OSError as error:
        raise RunError(
            f"--cache {source.store.folder.parent}: {error.strerror or error}; what was stored stays, make "
            "room and repeat the command"
        ) from None
    return without


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    """For threads that begin meanwhile: one torch thread each."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _mark(path: str) -> Mark:
    try:
        info = os.stat(path)
    except OSError as error:
        raise UndecodableImage(path, error.strerror or "cannot be read") from None
    return info.st_size, info.st_mtime_ns
