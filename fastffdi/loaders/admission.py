"""Which images DALI may be given, by their headers.

Those that have been seen are not read again while their files stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastffdi.data.refusal import checked_header
from fastffdi.errors import UndecodableImage
from fastffdi.loaders.corrupt import Corrupt
from fastffdi.render.cpu.decode import SourceDecoder


class Admission:
    """Looks at images before DALI does.

    Args:
        decoder: whose limits hold, and whose source has the images
        rows: how many images there are
    """

    def __init__(self, decoder: SourceDecoder, rows: int) -> None:
        self.decoder = decoder
        self._seen = np.zeros((rows, 2), np.int64)  # the identities of those admitted; no file is of 0 bytes

    def refused(self, rows: np.ndarray, paths: Sequence[str]) -> tuple[list[Corrupt], list[int]]:
        """Of these rows the places of those that are corrupt, and of those that only Pillow decodes."""
        corrupt: list[Corrupt] = []
        foreign: list[int] = []
        for place, (row, path) in enumerate(zip(rows.tolist(), paths, strict=True)):
            try:
                if self._only_pillow(row, path):
                    foreign.append(place)
            except UndecodableImage as error:
                corrupt.append(Corrupt(place, error))
        return corrupt, foreign

    def _only_pillow(self, row: int, path: str) -> bool:
        identity = self.decoder.source.identity(path)
        if (self._seen[row] == identity).all():
            return False
        header = checked_header(path, self.decoder.limits, self.decoder.source)
        if not header.only_pillow:
            self._seen[row] = identity
        return header.only_pillow
