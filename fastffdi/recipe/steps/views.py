"""Steps that make several views of each image; where torchvision.transforms.v2 has them, the meaning is its.

From such a step on there are N · views images, image 0's views first. It comes once in a recipe, after
all images have one size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastffdi.recipe.kernels import Flip, Kernel, Views, Window
from fastffdi.recipe.steps.base import Step, flag, known, param, shown, whole
from fastffdi.recipe.steps.forms import height_width
from fastffdi.recipe.steps.geometry import everywhere, refuse_any

#: A side; whoever wrote a checkpoint may have meant to fill the memory.
MOST_TILES = 8

_CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])


@dataclass(frozen=True)
class FiveCrop(Step):
    """Make five views: `size` cut out at the four corners and in the middle. Once, after sizing."""

    size: tuple[int, int] | str = param(height_width)
    kernels = (Views, Window)
    views = 5

    @property
    def needs_size(self) -> bool:
        return True

    def lower(self, u: np.ndarray, size: np.ndarray | None) -> list[Kernel]:
        out, spare = _spare(self.size, known(size))
        return [Views(5), _windows(_five(spare), out)]


@dataclass(frozen=True)
class TenCrop(Step):
    """Make ten views: those of five_crop, then those of the mirrored image. Once, after sizing.

    `vertical_flip` mirrors upside down instead of left-right.
    """

    size: tuple[int, int] | str = param(height_width)
    vertical_flip: bool = param(flag, False)
    kernels = (Views, Window, Flip)
    views = 10

    @property
    def needs_size(self) -> bool:
        return True

    def lower(self, u: np.ndarray, size: np.ndarray | None) -> list[Kernel]:
        out, spare = _spare(self.size, known(size))
        start = _five(spare)
        mirrored, axis = start.copy(), 0 if self.vertical_flip else 1
        # Cut first and mirrored afterwards, which is less work: the offsets swap left and right.
        mirrored[:, :, axis] = spare[:, None, axis] - start[:, :, axis]
        flipped = np.tile(np.repeat([False, True], 5), len(u))
        stays = np.zeros_like(flipped)
        flip = Flip(stays, flipped) if self.vertical_flip else Flip(flipped, stays)
        return [Views(10), _windows(np.concatenate([start, mirrored], axis=1), out), flip]


@dataclass(frozen=True)
class FlipViews(Step):
    """Make two views: the image, and the image mirrored left-right. Once, after sizing."""

    kernels = (Views, Flip)
    views = 2

    def lower(self, u: np.ndarray, size: np.ndarray | None) -> list[Kernel]:
        mirrored = np.tile([False, True], len(u))
        return [Views(2), Flip(mirrored, np.zeros_like(mirrored))]


def tiles_a_side(value: Any) -> int:
    """How many tiles lie in a row, and in a column."""
    if not 2 <= whole(value) <= MOST_TILES:
        raise ValueError(f"{shown(value)} is not from 2 to {MOST_TILES} tiles a side")
    return int(value)


@dataclass(frozen=True)
class Tiles(Step):
    """Make `grid` × `grid` views of `size`, row by row, spread evenly from edge to edge. Once, after sizing.

    They cover the image where it is at most `grid` times as large, and overlap where it is smaller.
    """

    size: tuple[int, int] | str = param(height_width)
    grid: int = param(tiles_a_side, 2)
    kernels = (Views, Window)

    @property
    def views(self) -> int:
        return self.grid**2

    @property
    def needs_size(self) -> bool:
        return True

    def lower(self, u: np.ndarray, size: np.ndarray | None) -> list[Kernel]:
        out, spare = _spare(self.size, known(size))
        places = np.stack(np.divmod(np.arange(self.views), self.grid), axis=1) / (self.grid - 1)
        start = np.round(spare[:, None] * places).astype(np.int32)
        return [Views(self.views), _windows(start, out)]


def _spare(size: tuple[int, int] | str, given: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The size to cut out, and what that leaves of each image: (N, 2) each."""
    out = everywhere(size, len(given))
    refuse_any(given < out, given, f"{size[0]}×{size[1]} does not fit", "cut out less")
    return out, given - out


def _five(spare: np.ndarray) -> np.ndarray:
    """Top and left of the views: (N, 5, 2) int32, the corners row by row, then the middle."""
    middle = np.round(spare / 2).astype(np.int32)
    return np.concatenate([_CORNERS * spare[:, None], middle[:, None]], axis=1).astype(np.int32)


def _windows(start: np.ndarray, out: np.ndarray) -> Window:
    return Window(start.reshape(-1, 2), np.repeat(out, start.shape[1], axis=0))
