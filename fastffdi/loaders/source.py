"""Where the cpu loader's pictures come from, before the program is rendered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fastffdi.loaders.decode import Region, decode_file
from fastffdi.recipe.kernels import Kernel, Program, Resize


class Source(Protocol):
    """Opens pictures; called from many threads at once."""

    def __call__(self, row: int, path: str, program: Program, i: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB of the manifest's `row`, which is to become picture i of the program.

        It has those kernels behind it that the feed's `begun` says, none for files.
        It may be a view of memory that must not be written to. Raises UndecodablePicture.
        """


@dataclass(frozen=True)
class Files:
    """The pictures of the files themselves.

    scaled  decode JPEGs at 1/2, 1/4 or 1/8 where that is enough for the program's first kernel, a Resize
    """

    scaled: bool = False

    def __call__(self, row: int, path: str, program: Program, i: int) -> np.ndarray:
        """See Source."""
        return decode_file(path, _region(program.kernels[0], i) if self.scaled else None)


def _region(kernel: Kernel, i: int) -> Region:
    assert isinstance(kernel, Resize), "a recipe that does not begin with one is refused when it is read"
    top, left, bottom, right = kernel.roi[i].tolist()
    height, width = kernel.size[i].tolist()
    return Region(abs(bottom - top), abs(right - left), height, width)


FILES = Files()
