"""A decoder that keeps on disk what the deterministic beginning of a recipe makes of images.

Each time an image is served its identity is asked for. One that has changed, or is not stored, is decoded and
rendered as without a cache, and stored: images are the same bits with a cache and without.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager

import cv2
import numpy as np
import torch

from fastffdi.cache.folder import free_bytes, readable_bytes
from fastffdi.cache.store import Store
from fastffdi.data.manifest import Manifest
from fastffdi.data.readers import ReaderThreads
from fastffdi.data.source import Identity
from fastffdi.errors import UndecodableImage
from fastffdi.recipe.lowering import lower
from fastffdi.recipe.program import EMPTY, Program
from fastffdi.recipe.rng import CounterRNG
from fastffdi.recipe.steps.base import Step
from fastffdi.render.cpu.decode import SourceDecoder
from fastffdi.render.cpu.renderer import render

#: Images stored between two checks of how full the disk is.
_CHECK_EVERY = 256

#: Images a thread takes at a time when a store is filled beforehand: few, so that progress is seen.
_CHUNK = 16

_REPORTING = threading.Lock()


class CachedDecoder:
    """Takes images from a store, and puts there what is missing. May be pickled.

    Args:
        store: the images, with the prefix of their programs applied
        decoder: decodes what is not stored yet
        records: (rows,) int64: the number in the store of each of the manifest's rows
        sizes: (rows, 2) height, width that programs take the images to have; None: they do not depend on it
    """

    def __init__(
        self,
        store: Store,
        decoder: SourceDecoder,
        records: np.ndarray,
        sizes: np.ndarray | None = None,
    ) -> None:
        self.store, self.decoder = store, decoder
        self.records, self._sizes = records, sizes
        self._puts, self._filling = 0, True

    def __call__(self, row: int, path: str, prefix: Program, program: Program, i: int) -> np.ndarray:
        """See Decoder. Where the disk is full or fails it goes on without storing more, and warns once."""
        record, identity = int(self.records[row]), self.decoder.source.identity(path)
        try:
            image = self.store.get(record, identity)
        except OSError as error:
            self._stop_filling(error)
            image = None
        if image is None:
            image, lasting = self._made(row, path, identity, prefix, i)
            if lasting and self._filling:
                try:
                    self._put(record, identity, image)
                except OSError as error:
                    self._stop_filling(error)
        return image

    def fill(self, row: int, path: str, prefix: Program, i: int) -> bool:
        """Store the image if it is not stored; whether it is stored then.

        False where its file has changed to a size that does not fit. Raises UndecodableImage, and OSError on
        a full disk.
        """
        record, identity = int(self.records[row]), self.decoder.source.identity(path)
        if self.store.has(record, identity):
            return True
        image, lasting = self._made(row, path, identity, prefix, i)
        return lasting and self._put(record, identity, image)

    def rows(self) -> np.ndarray:
        """A row of each image, once."""
        return np.unique(self.records, return_index=True)[1]

    def _made(
        self, row: int, path: str, identity: Identity, prefix: Program, i: int
    ) -> tuple[np.ndarray, bool]:
        """The image, and whether every run would make the same of a file with that identity."""
        decoded = self.decoder(row, path, EMPTY, prefix, i)
        image = render(decoded, prefix, i)
        return image, self._as_expected(row, decoded) and self.decoder.source.identity(path) == identity

    def _as_expected(self, row: int, decoded: np.ndarray) -> bool:
        """Whether the image has the size that the programs were made for, and has not changed since."""
        if self._sizes is None:
            return True
        factors = (1, 2, 4, 8) if self.decoder.scaled else (1,)
        height, width = self._sizes[row].tolist()
        return decoded.shape[:2] in [(-(-height // factor), -(-width // factor)) for factor in factors]

    def _put(self, record: int, identity: Identity, image: np.ndarray) -> bool:
        if self._puts % _CHECK_EVERY == 0 and free_bytes(self.store.folder) < image.nbytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._puts += 1
        return self.store.put(record, identity, image)

    def _stop_filling(self, error: OSError) -> None:
        with _REPORTING:
            if self._filling:
                self._filling = False
                logging.getLogger(__name__).warning(
                    "--cache %s: %s; going on without storing more images, which need %s",
                    self.store.folder.parent,
                    error.strerror or error,
                    readable_bytes(self.store.missing_bytes(np.unique(self.records))),
                )


def fill(
    decoder: CachedDecoder,
    manifest: Manifest,
    steps: tuple[Step, ...],
    threads: int,
    progress: Callable[[int], None],
    skipped: list[UndecodableImage] | None = None,
) -> int:
    """Store what is missing of a manifest's images after some deterministic steps; how many do not fit.

    `progress` gets counts of images that are done, `skipped` the errors of those that cannot be decoded.
    Raises these without such a list, and OSError on a full disk. However it ends, no thread works on it any
    more, each stops at its next image; what has been stored stays.
    """
    rows, stopped = decoder.rows(), threading.Event()

    def stores(row: int, path: str, prefix: Program, i: int) -> bool:
        if stopped.is_set():
            raise CancelledError
        pool.begin(path)
        try:
            return decoder.fill(row, path, prefix, i)
        except UndecodableImage as error:
            if skipped is None:
                raise
            skipped.append(error)
            return True

    def chunk(first: int) -> tuple[int, int]:
        part = rows[first : first + _CHUNK]
        sizes = None if manifest.sizes is None else manifest.sizes[part]
        prefix = lower(steps, CounterRNG(0), 0, part, np.zeros_like(part), sizes)
        paths = manifest.paths(part)
        stored = [
            stores(row, path, prefix, i)
            for i, (row, path) in enumerate(zip(part.tolist(), paths, strict=True))
        ]
        return len(part), stored.count(False)

    misfits = 0
    cv2.setNumThreads(0)
    with _one_torch_thread(), ReaderThreads(threads, "fastffdi-cache") as pool:
        try:
            # An error of a chunk is raised here, and cancels the chunks not started.
            for count, unfit in pool.map(chunk, range(0, len(rows), _CHUNK)):
                progress(count)
                misfits += unfit
        except BaseException:  # Ctrl-C above all: a chunk of large images would take seconds more
            stopped.set()
            raise
    return misfits


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    """For threads that start meanwhile: one torch thread each."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
