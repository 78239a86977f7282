"""A decoder that decodes each image once for several users, which work through the same images in step."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any

import numpy as np

from fastffdi.recipe.program import EMPTY, Program
from fastffdi.render.cpu.decode import Decoder


class SharedDecoder:
    """Gives every image a fixed number of times, decoded whole at the first, and forgets it at the last.

    Args:
        decoder: decodes; nothing is applied yet to what it gives
        uses: how often each row is asked for
        most_bytes: what images may take that wait for their last use; those beyond it are decoded again
    """

    def __init__(self, decoder: Decoder, uses: int, most_bytes: float) -> None:
        self.decoder, self.uses, self.most_bytes = decoder, uses, most_bytes
        self._lock = threading.Lock()
        self._waiting: dict[int, _Image] = {}
        self._bytes = 0

    def __reduce__(self) -> tuple[Any, ...]:
        return SharedDecoder, (self.decoder, self.uses, self.most_bytes)

    def __call__(self, row: int, path: str, prefix: Program, program: Program, i: int) -> np.ndarray:
        """See Decoder."""
        with self._lock:
            first = row not in self._waiting
            image = self._waiting.setdefault(row, _Image(self.uses))
            decoded = image.decoded
            self._used(row, image)
        if first:
            return self._first(row, path, decoded)
        return self._whole(row, path) if image.given_up else decoded.result()

    def _first(self, row: int, path: str, decoded: Future[np.ndarray]) -> np.ndarray:
        try:
            found = self._whole(row, path)
        except BaseException as error:
            decoded.set_exception(error)
            raise
        with self._lock:
            self._keep(row, found)
        decoded.set_result(found)
        return found

    def _whole(self, row: int, path: str) -> np.ndarray:
        return self.decoder(row, path, EMPTY, EMPTY, 0)

    def _keep(self, row: int, found: np.ndarray) -> None:
        image = self._waiting.get(row)
        if image is None:  # all who wanted it wait for it
            return
        if self._bytes + found.nbytes > self.most_bytes:
            image.given_up = True
            image.decoded = Future()  # those who wait have the one that is about to be set
            return
        image.bytes = found.nbytes
        self._bytes += found.nbytes

    def _used(self, row: int, image: _Image) -> None:
        image.left -= 1
        if not image.left:
            del self._waiting[row]
            self._bytes -= image.bytes


class _Image:
    """An image that is asked for so many times more."""

    def __init__(self, uses: int) -> None:
        self.left, self.bytes, self.given_up = uses, 0, False
        self.decoded: Future[np.ndarray] = Future()
