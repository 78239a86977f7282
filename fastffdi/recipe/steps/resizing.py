"""Steps that resize, antialiased; as in torchvision.transforms.v2."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastffdi.recipe.kernels import Kernel, Resize
from fastffdi.recipe.steps.base import Draws, Only, Range, Step, between, known, param
from fastffdi.recipe.steps.forms import height_width, interpolation, or_null, pixels, short_side_or_size
from fastffdi.recipe.steps.geometry import everywhere

_WHOLE = np.array([0, 0, 1, 1], np.float32)
_ANTIALIAS = Only("antialias", True, "resizing is antialiased by every loader")
_interpolation = interpolation("bilinear", "bicubic")


@dataclass(frozen=True)
class ResizeStep(Step):
    """Resize to `size`: [height, width] in pixels, or one number for the shorter side (aspect kept).

    The longer side gets no more than `max_size` pixels, and just as many where `size` is null. Antialiased.
    """

    size: int | tuple[int, int] | str | None = param(or_null(short_side_or_size, None))
    interpolation: str = param(_interpolation, "bilinear")
    max_size: int | None = param(or_null(pixels, None), None)
    kernels = (Resize,)
    only = (_ANTIALIAS,)

    def __post_init__(self) -> None:
        if self.size is None and self.max_size is None:
            raise ValueError("resize: size: null needs a max_size; give one of the two")
        if self.max_size is None or self.size is None:
            return
        if not isinstance(self.size, int):
            raise ValueError("resize: max_size: size is both sides already; leave max_size out")
        if self.max_size <= self.size:
            raise ValueError(f"resize: max_size: {self.max_size} is not above size, {self.size}")

    @classmethod
    def name(cls) -> str:
        return "resize"

    @property
    def needs_size(self) -> bool:
        return self.size is None or isinstance(self.size, int)

    def lower(self, u: np.ndarray, size: np.ndarray | None) -> list[Kernel]:
        n = len(u)
        if self.size is None or isinstance(self.size, int):
            out = _scaled(known(size), self.size, self.max_size)
        else:
            out = everywhere(self.size, n)
        return [Resize(np.tile(_WHOLE, (n, 1)), out, self.interpolation)]


@dataclass(frozen=True)
class RandomResizedCrop(Step):
    """Cut out a random part (`scale` of the area, `ratio` width/height) and resize it to `size`."""

    size: tuple[int, int] | str = param(height_width)
    scale: Range = param(between(0, 1), Range(0.08, 1.0))
    ratio: Range = param(between(0.01, 100), Range(3 / 4, 4 / 3))
    interpolation: str = param(_interpolation, "bilinear")
    draws = Draws(area=10, ratio=10, position=2)
    kernels = (Resize,)
    only = (_ANTIALIAS,)

    @property
    def needs_size(self) -> bool:
        return True

    def lower(self, u: np.ndarray, size: np.ndarray | None) -> list[Kernel]:
        size = known(size)
        window = self._attempts(self.draws.split(u), size.astype(np.float64))
        top_left, extent = window[:, :2], window[:, 2:]
        whole = np.concatenate([size, size], axis=1)
        roi = np.concatenate([top_left, top_left + extent], axis=1) / whole
        return [Resize(roi.astype(np.float32), everywhere(self.size, len(u)), self.interpolation)]

    def _attempts(self, drawn: dict[str, np.ndarray], size: np.ndarray) -> np.ndarray:
        """The first of ten drawn windows that fits, else the largest central one: (N, 4) y, x, h, w."""
        area = size.prod(axis=1)[:, None] * self.scale.at(drawn["area"])
        ratio = np.exp(Range(np.log(self.ratio.low), np.log(self.ratio.high)).at(drawn["ratio"]))
        extents = np.round(np.sqrt(np.stack([area / ratio, area * ratio], axis=2)))
        fits = ((extents > 0) & (extents <= size[:, None])).all(axis=2)
        first = fits.argmax(axis=1)
        extent = extents[np.arange(len(size)), first]
        start = np.floor(drawn["position"] * (size - extent + 1))
        found = fits.any(axis=1)[:, None]
        return np.where(found, np.concatenate([start, extent], axis=1), self._central(size))

    def _central(self, size: np.ndarray) -> np.ndarray:
        height, width = size[:, 0], size[:, 1]
        ratio = np.clip(width / height, self.ratio.low, self.ratio.high)
        extent = np.stack(
            [np.minimum(height, np.round(width / ratio)), np.minimum(width, np.round(height * ratio))], 1
        )
        extent = np.maximum(extent, 1)
        return np.concatenate([(size - extent) // 2, extent], axis=1)


def _scaled(size: np.ndarray, short: int | None, most: int | None) -> np.ndarray:
    """torchvision's rule for sizes (N, 2): the shorter side is `short`, unless the longer exceeds `most`.

    The other side is what keeps the aspect ratio, truncated. Without `short`, the longer side is `most`.
    """
    shorter, longer = size.min(axis=1).astype(np.int64), size.max(axis=1).astype(np.int64)
    sides = shorter, longer
    if short is not None:
        sides = np.full_like(shorter, short), (short * longer / shorter).astype(np.int64)
    if most is not None:
        over = (sides[1] > most) | (short is None)
        limited = np.maximum((most * sides[0] / sides[1]).astype(np.int64), 1)
        sides = np.where(over, limited, sides[0]), np.where(over, most, sides[1])
    return np.where(size == shorter[:, None], sides[0][:, None], sides[1][:, None]).astype(np.int32)
