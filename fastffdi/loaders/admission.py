"""Which images DALI may be given: those about which it and Pillow agree.

Those that have been seen are not read again while their files stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastffdi.data.patience import READ_SECONDS
from fastffdi.data.readers import ReaderThreads
from fastffdi.data.refusal import checked_header
from fastffdi.data.soundness import is_sound
from fastffdi.errors import UndecodableImage
from fastffdi.loaders.corrupt import Corrupt
from fastffdi.render.cpu.decode import SourceDecoder, decode_path


class Admission:
    """Looks at images before DALI does.

    Args:
        decoder: whose limits hold, and whose source has the images
        rows: how many images there are
        threads: that look; on a network mount most of the time is waiting
        seconds: how long one image may take, before all that reads it here raises Stalled
    """

    def __init__(
        self, decoder: SourceDecoder, rows: int, threads: int = 1, seconds: float = READ_SECONDS
    ) -> None:
        self.decoder, self._count = decoder, threads
        self._seen = np.zeros((rows, 2), np.int64)  # the identities of those admitted; no file is of 0 bytes
        self._threads = ReaderThreads(threads, "fastffdi-admission", seconds)

    def refused(self, rows: np.ndarray, paths: Sequence[str]) -> tuple[list[Corrupt], list[int]]:
        """Of these rows the places of those that are corrupt, and of those that Pillow has to decode."""
        span = max(1, -(-len(paths) // self._count))
        spans = [slice(first, first + span) for first in range(0, len(paths), span)]
        looked = self._threads.map(lambda span: self._look(rows[span].tolist(), paths[span]), spans)
        found = list(enumerate(one for part in looked for one in part))
        corrupt = [Corrupt(place, error) for place, error in found if isinstance(error, UndecodableImage)]
        return corrupt, [place for place, admitted in found if admitted is False]

    def decoded(self, path: str) -> np.ndarray:
        """The image (H, W, 3) uint8 as Pillow decodes it. Raises UndecodableImage."""
        return self._threads.result(self._threads.submit(self._decode, path))

    def close(self) -> None:
        """End the threads."""
        self._threads.close(waits=False)

    def _decode(self, path: str) -> np.ndarray:
        self._threads.begin(path)
        return decode_path(path, source=self.decoder.source, limits=self.decoder.limits)

    def _look(self, rows: list[int], paths: Sequence[str]) -> list[bool | UndecodableImage]:
        found: list[bool | UndecodableImage] = []
        for row, path in zip(rows, paths, strict=True):
            self._threads.begin(path)
            try:
                found.append(self._admits(row, path))
            except UndecodableImage as error:
                found.append(error)
        return found

    def _admits(self, row: int, path: str) -> bool:
        identity = self.decoder.source.identity(path)
        if (self._seen[row] == identity).all():
            return True
        header = checked_header(path, self.decoder.limits, self.decoder.source)
        if header.only_pillow or not is_sound(self.decoder.source.read(path), header.format):
            return False
        self._seen[row] = identity
        return True
