"""Where the cpu loader's images come from, before the program is rendered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fastffdi.recipe.kernels import Kernel, Program, Resize
from fastffdi.render.cpu.decode import Region, decode_file


class Source(Protocol):
    """Opens images; called from many threads at once."""

    def __call__(self, row: int, path: str, program: Program, i: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB of the manifest's `row`, which is to become image i of the program.

        It has those kernels behind it that the feed's `begun` says, none for files.
        It may be a view of memory that must not be written to. Raises UndecodableImage.
        """


@dataclass(frozen=True)
class Files:
    """The images of the files themselves.

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
