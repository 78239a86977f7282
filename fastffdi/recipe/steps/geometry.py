"""Steps that move pixels. Their meaning is that of torchvision.transforms.v2 (bilinear, antialiased)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastffdi.recipe.kernels import Flip, Kernel, Resize, Warp, Window
from fastffdi.recipe.steps.base import (
    Range,
    Step,
    TooSmall,
    between,
    flag,
    height_width,
    level,
    one_of,
    param,
    probability,
    short_side_or_size,
    span,
)

_WHOLE = np.array([0, 0, 1, 1], np.float32)


@dataclass(frozen=True)
class ResizeStep(Step):
    """Resize to `size`: [height, width] in pixels, or one number for the shorter side (aspect kept)."""

    size: int | tuple[int, int] | str = param(short_side_or_size)
    kernels = (Resize,)

    @classmethod
    def name(cls) -> str:
        return "resize"

    @property
    def needs_size(self) -> bool:
        return isinstance(self.size, int)

    def lower(self, u: np.ndarray, size: np.ndarray) -> list[Kernel]:
        n = len(u)
        out = _short_side(size, self.size) if isinstance(self.size, int) else _same(self.size, n)
        return [Resize(np.tile(_WHOLE, (n, 1)), out)]


@dataclass(frozen=True)
class CenterCrop(Step):
    """Cut `size` out of the middle; a smaller picture is padded with 0."""

    size: tuple[int, int] | str = param(height_width)
    kernels = (Window,)

    @property
    def needs_size(self) -> bool:
        return True

    def lower(self, u: np.ndarray, size: np.ndarray) -> list[Kernel]:
        out = _same(self.size, len(u))
        spare = size - out
        # torchvision pads the smaller half of a lack to the left, and rounds a surplus half to even.
        start = np.where(spare < 0, -((-spare) // 2), np.round(spare / 2)).astype(np.int32)
        return [Window(start, out)]


@dataclass(frozen=True)
class RandomCrop(Step):
    """Cut `size` out at a random place; `pad_if_needed` pads smaller pictures with `fill`, on both sides."""

    size: tuple[int, int] | str = param(height_width)
    pad_if_needed: bool = param(flag, False)
    fill: int = param(level, 0)
    draws = 2
    kernels = (Window,)

    @property
    def needs_size(self) -> bool:
        return True

    def lower(self, u: np.ndarray, size: np.ndarray) -> list[Kernel]:
        out = _same(self.size, len(u))
        lack = np.maximum(out - size, 0)
        if not self.pad_if_needed and lack.any():
            first = int(lack.any(axis=1).argmax())
            height, width = size[first]
            raise TooSmall(
                first,
                f"{self.size[0]}×{self.size[1]} does not fit a picture of {height}×{width}; "
                "set pad_if_needed: true, or resize first",
            )
        # torchvision pads by the whole lack on either side and then draws; so do we.
        places = np.maximum(size + 2 * lack - out, 0) + 1
        start = np.floor(u * places).astype(np.int32) - lack.astype(np.int32)
        return [Window(start, out, self.fill)]


@dataclass(frozen=True)
class RandomResizedCrop(Step):
    """Cut out a random part (`scale` of the area, `ratio` width/height) and resize it to `size`."""

    size: tuple[int, int] | str = param(height_width)
    scale: Range = param(between(0, 1), Range(0.08, 1.0))
    ratio: Range = param(between(0.01, 100), Range(3 / 4, 4 / 3))
    draws = 22
    kernels = (Resize,)

    @property
    def needs_size(self) -> bool:
        return True

    def lower(self, u: np.ndarray, size: np.ndarray) -> list[Kernel]:
        window = self._attempts(u, size.astype(np.float64))
        top_left, extent = window[:, :2], window[:, 2:]
        whole = np.concatenate([size, size], axis=1)
        roi = np.concatenate([top_left, top_left + extent], axis=1) / whole
        return [Resize(roi.astype(np.float32), _same(self.size, len(u)))]

    def _attempts(self, u: np.ndarray, size: np.ndarray) -> np.ndarray:
        """The first of ten drawn windows that fits, else the largest central one: (N, 4) y, x, h, w."""
        area = size.prod(axis=1)[:, None] * self.scale.at(u[:, 0:10])
        ratio = np.exp(Range(np.log(self.ratio.low), np.log(self.ratio.high)).at(u[:, 10:20]))
        extents = np.round(np.sqrt(np.stack([area / ratio, area * ratio], axis=2)))
        fits = ((extents > 0) & (extents <= size[:, None])).all(axis=2)
        first = fits.argmax(axis=1)
        extent = extents[np.arange(len(u)), first]
        start = np.floor(u[:, 20:22] * (size - extent + 1))
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


@dataclass(frozen=True)
class HorizontalFlip(Step):
    """Mirror left-right with probability `p`."""

    p: float = param(probability, 0.5)
    draws = 1
    kernels = (Flip,)

    def lower(self, u: np.ndarray, size: np.ndarray) -> list[Kernel]:
        chosen = u[:, 0] < self.p
        return [Flip(chosen, np.zeros_like(chosen))]


@dataclass(frozen=True)
class VerticalFlip(Step):
    """Mirror upside down with probability `p`."""

    p: float = param(probability, 0.5)
    draws = 1
    kernels = (Flip,)

    def lower(self, u: np.ndarray, size: np.ndarray) -> list[Kernel]:
        chosen = u[:, 0] < self.p
        return [Flip(np.zeros_like(chosen), chosen)]


@dataclass(frozen=True)
class RandomRotation(Step):
    """Rotate by an angle drawn from `degrees` (counter-clockwise) about the middle, keeping the size."""

    degrees: Range = param(span(0, -360, 360))
    interpolation: str = param(one_of("nearest", "bilinear"), "bilinear")
    fill: int = param(level, 0)
    draws = 1
    kernels = (Warp,)

    @property
    def needs_size(self) -> bool:
        return True

    def lower(self, u: np.ndarray, size: np.ndarray) -> list[Kernel]:
        return [Warp(rotation(self.degrees.at(u[:, 0]), size), self.interpolation, self.fill)]


def rotation(degrees: np.ndarray, size: np.ndarray) -> np.ndarray:
    """(N, 3, 3) output-to-input matrices, pixel centres at integers, turning pictures counter-clockwise.

    degrees (N,), size (N, 2) height, width; the turning point is the middle of the picture.
    """
    angle = np.radians(degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    y, x = ((size - 1) / 2).T
    matrix = np.zeros((len(degrees), 3, 3))
    matrix[:, 0] = np.stack([cos, -sin, x - cos * x + sin * y], axis=1)
    matrix[:, 1] = np.stack([sin, cos, y - sin * x - cos * y], axis=1)
    matrix[:, 2, 2] = 1
    return matrix


def _same(size: tuple[int, int] | str, n: int) -> np.ndarray:
    if isinstance(size, str):
        raise ValueError(f"size '{size}' has not been resolved")
    return np.tile(np.array(size, np.int32), (n, 1))


def _short_side(size: np.ndarray, short: int) -> np.ndarray:
    """torchvision's rule: the longer side is int(short · long / short side)."""
    shorter, longer = size.min(axis=1), size.max(axis=1)
    scaled = (short * longer.astype(np.int64) / shorter).astype(np.int32)
    out = np.where(size == shorter[:, None], short, scaled[:, None])
    return out.astype(np.int32)
