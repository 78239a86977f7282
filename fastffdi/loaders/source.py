"""Where the cpu loader's pictures come from, before the program is rendered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fastffdi.loaders.decode import decode_file
from fastffdi.recipe.kernels import Program


class Source(Protocol):
    """Opens pictures; called from many threads at once."""

    def __call__(self, row: int, path: str, program: Program, i: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB of the manifest's `row`, which is to become picture i of the program.

        It may be a view of memory that must not be written to. Raises UndecodablePicture.
        """


@dataclass(frozen=True)
class Files:
    """The pictures as they are in their files."""

    def __call__(self, row: int, path: str, program: Program, i: int) -> np.ndarray:
        """See Source."""
        return decode_file(path)


FILES = Files()
