"""The kernels that steps lower to: what a renderer does to an image, with one row of parameters each.

A kernel is a frozen dataclass. Its array fields have one row per image (N first); its other fields are the
same for every image and are known from the recipe alone, so that a graph can be built before any data.
All kernels take and give uint8 (H, W, 3) images, except Normalize, which ends a program.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

if TYPE_CHECKING:
    from fastffdi.recipe.program import Program

K = TypeVar("K", bound="Kernel")


class Part(NamedTuple):
    """Rows `top` to `bottom` and columns `left` to `right` of an image, the last ones not included."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Of the image's rows and columns."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


#: A pixel value for all channels; one for each where they differ.
Fill = int | tuple[int, int, int]


@dataclass(frozen=True)
class Kernel:
    """Base of all kernels."""

    def take(self: K, rows: np.ndarray | slice) -> K:
        """The same kernel for some of the images."""
        return replace(self, **{name: value[rows] for name, value in self.arrays().items()})

    def only(self: K, members: np.ndarray, size: np.ndarray | None) -> K:
        """The same kernel with identity parameters for the images that are not `members` (N,) bool.

        Args:
            size: (N, 2) height, width of the images; only Window and Resize need it
        """
        neutral = self.neutral(size)
        chosen = {
            name: np.where(members.reshape(-1, *[1] * (value.ndim - 1)), value, neutral[name])
            for name, value in self.arrays().items()
        }
        return replace(self, **chosen)

    def neutral(self, size: np.ndarray | None) -> dict[str, np.ndarray]:
        """Identity parameters for images of height, width `size` (N, 2), by field name; (N, …) or (1, …)."""
        return {}

    def is_identity(self, i: int) -> bool:
        """Whether the kernel is known to leave image i as it is, from its parameters alone."""
        return self._identity[i]

    def changed(self) -> np.ndarray | None:
        """(M,) int64 indices of the images that it may change; None for all, however many there are."""
        same = np.array(self._identity, bool)
        return np.flatnonzero(~same) if same.any() else None

    def part(self, i: int, height: int, width: int) -> Part | None:
        """All that the kernel reads of image i, which is `height` × `width`; None where that is unknown."""
        return None

    @cached_property
    def _identity(self) -> list[bool]:
        neutral, arrays = self.neutral(None), self.arrays().items()
        same = [(value == neutral[name]).reshape(len(value), -1).all(axis=1) for name, value in arrays]
        return list(np.logical_and.reduce(same).tolist())

    def arrays(self) -> dict[str, np.ndarray]:
        """The per-image parameters by field name."""
        values = ((name, getattr(self, name)) for name in self.__dataclass_fields__)
        return {name: value for name, value in values if isinstance(value, np.ndarray)}

    def out_size(self, size: np.ndarray | None) -> np.ndarray | None:
        """Height, width (N, 2) after this kernel, from those before it; None where not known."""
        return size


@dataclass(frozen=True)
class Window(Kernel):
    """Cut out a window; what lies outside the image comes from `mode`, as in torchvision's pad.

    "constant" is `fill`, "edge" the nearest pixel, "reflect" mirrors without and "symmetric" with the edge.
    `inside` says that no window reaches outside, whatever the image. Mirrored afterwards, left-right where
    `horizontal` (N,) bool, upside down where `vertical` (N,) bool; None where nothing mirrors any image.
    """

    start: np.ndarray  # (N, 2) int32 top, left in pixels; may be negative
    size: np.ndarray  # (N, 2) int32 height, width
    fill: Fill = 0
    mode: str = "constant"
    inside: bool = False
    horizontal: np.ndarray | None = None
    vertical: np.ndarray | None = None

    def out_size(self, size: np.ndarray | None) -> np.ndarray:
        return self.size

    def part(self, i: int, height: int, width: int) -> Part | None:
        top, left = self.start[i].tolist()
        rows, columns = self.size[i].tolist()
        inside = 0 <= top <= height - rows and 0 <= left <= width - columns
        return Part(top, left, top + rows, left + columns) if inside else None

    def neutral(self, size: np.ndarray | None) -> dict[str, np.ndarray]:
        assert size is not None, "a step that may leave out a Window needs the sizes"
        still = np.zeros(1, bool)
        return {"start": np.zeros((1, 2), np.int32), "size": size, "horizontal": still, "vertical": still}

    @cached_property
    def _identity(self) -> list[bool]:
        return [False] * len(self.size)  # it depends on the image's size, which is not a parameter


@dataclass(frozen=True)
class Resize(Kernel):
    """Resize a region by antialiased interpolation.

    `roi` (N, 4) float32 is top, left, bottom, right as fractions of the image, so that a whole image
    needs no known size; bottom < top or right < left flips. `size` (N, 2) int32 is the output.
    `interpolation` is "bilinear" or "bicubic".
    """

    roi: np.ndarray
    size: np.ndarray
    interpolation: str = "bilinear"

    def out_size(self, size: np.ndarray | None) -> np.ndarray:
        return self.size

    def part(self, i: int, height: int, width: int) -> Part:
        top, left, bottom, right = self.roi[i].tolist()
        rows = sorted((round(top * height), round(bottom * height)))
        columns = sorted((round(left * width), round(right * width)))
        return Part(rows[0], columns[0], rows[1], columns[1])

    def neutral(self, size: np.ndarray | None) -> dict[str, np.ndarray]:
        assert size is not None, "a step that may leave out a Resize needs the sizes"
        return {"roi": np.array([[0, 0, 1, 1]], np.float32), "size": size}

    @cached_property
    def _identity(self) -> list[bool]:
        return [False] * len(self.size)  # it depends on the image's size, which is not a parameter


@dataclass(frozen=True)
class Flip(Kernel):
    """Mirror left-right where `horizontal` (N,) bool, upside down where `vertical` (N,) bool."""

    horizontal: np.ndarray
    vertical: np.ndarray

    def neutral(self, size: np.ndarray | None) -> dict[str, np.ndarray]:
        return {"horizontal": np.zeros(1, bool), "vertical": np.zeros(1, bool)}


@dataclass(frozen=True)
class Warp(Kernel):
    """Resample through `matrix` (N, 3, 3) float64: output (x, y, 1) to input pixel, centres at integers.

    Outside the input lies the constant `fill`. `interpolation` is "nearest" or "bilinear". Where not
    `projective`, the last row of every matrix is 0, 0, 1.
    """

    matrix: np.ndarray
    interpolation: str = "bilinear"
    fill: Fill = 0
    projective: bool = False

    def neutral(self, size: np.ndarray | None) -> dict[str, np.ndarray]:
        return {"matrix": np.eye(3)[None]}


@dataclass(frozen=True)
class Matrix(Kernel):
    """Mix the channels: `matrix` (N, 3, 4) float32 maps (r, g, b, 1) to r, g, b; rounded, clamped."""

    matrix: np.ndarray

    def neutral(self, size: np.ndarray | None) -> dict[str, np.ndarray]:
        return {"matrix": np.eye(3, 4, dtype=np.float32)[None]}


@dataclass(frozen=True)
class Table(Kernel):
    """Replace every pixel value by `table` (N, 256) uint8, the same in all channels."""

    table: np.ndarray

    def neutral(self, size: np.ndarray | None) -> dict[str, np.ndarray]:
        return {"table": np.arange(256, dtype=np.uint8)[None]}


#: What a Stretch does to an image.
NOTHING, EQUALIZE, AUTOCONTRAST, CONTRAST = range(4)


@dataclass(frozen=True)
class Stretch(Kernel):
    """Map pixel values by statistics of the image itself.

    `how` (N,) int32: EQUALIZE and AUTOCONTRAST by each channel's histogram, CONTRAST about the mean grey by
    the factor `amount` (N,) float32, which the others do not use.
    """

    how: np.ndarray
    amount: np.ndarray

    def neutral(self, size: np.ndarray | None) -> dict[str, np.ndarray]:
        return {"how": np.full(1, NOTHING, np.int32), "amount": np.ones(1, np.float32)}


@dataclass(frozen=True)
class Blur(Kernel):
    """Separable filter, edges reflected: `rows` (N, k) float32 along y, `columns` (N, l) along x."""

    rows: np.ndarray
    columns: np.ndarray

    def neutral(self, size: np.ndarray | None) -> dict[str, np.ndarray]:
        return {"rows": _impulse(self.rows), "columns": _impulse(self.columns)}


@dataclass(frozen=True)
class Sharpen(Kernel):
    """`amount` (N,) · image + (1 − amount) · the image smoothed 3 × 3; the outermost pixels stay."""

    amount: np.ndarray

    def neutral(self, size: np.ndarray | None) -> dict[str, np.ndarray]:
        return {"amount": np.ones(1, np.float32)}


@dataclass(frozen=True)
class Jpeg(Kernel):
    """Encode as JPEG of `quality` (N,) int32 1 … 100, chroma halved, and decode again; 0 leaves it out."""

    quality: np.ndarray

    def neutral(self, size: np.ndarray | None) -> dict[str, np.ndarray]:
        return {"quality": np.zeros(1, np.int32)}


@dataclass(frozen=True)
class Noise(Kernel):
    """Add `offset` (N,) int32 and noise of standard deviation `sigma` (N,) float32, both in pixel values.

    The noise is hashed from `key` (N,) int64 and the pixel.
    """

    sigma: np.ndarray
    key: np.ndarray
    offset: np.ndarray

    def neutral(self, size: np.ndarray | None) -> dict[str, np.ndarray]:
        return {"sigma": np.zeros(1, np.float32), "key": self.key, "offset": np.zeros(1, np.int32)}


@dataclass(frozen=True)
class Erase(Kernel):
    """Fill `box` (N, 4) int32 top, left, bottom, right with `fill`; an empty box changes nothing."""

    box: np.ndarray
    fill: tuple[int, int, int] = (0, 0, 0)

    def neutral(self, size: np.ndarray | None) -> dict[str, np.ndarray]:
        return {"box": np.zeros((1, 4), np.int32)}


@dataclass(frozen=True)
class Blend(Kernel):
    """Mix the image with the results of the `branches`, by `weights` (N, 1 + branches) float32.

    The first weight is the image's own. Branches keep the size; the mean is truncated to an integer.
    """

    branches: tuple[Program, ...]
    weights: np.ndarray

    def take(self, rows: np.ndarray | slice) -> Blend:
        return Blend(tuple(branch.take(rows) for branch in self.branches), self.weights[rows])

    def neutral(self, size: np.ndarray | None) -> dict[str, np.ndarray]:
        own = np.zeros((1, self.weights.shape[1]), np.float32)
        own[:, 0] = 1
        return {"weights": own}


@dataclass(frozen=True)
class Views(Kernel):
    """Repeat every image `count` times in a row: after it there are N · count images.

    All images have one size before it. Only the DeviceStage renders it.
    """

    count: int

    def is_identity(self, i: int) -> bool:
        return self.count == 1

    def changed(self) -> np.ndarray | None:
        return np.zeros(0, np.int64) if self.count == 1 else None

    def out_size(self, size: np.ndarray | None) -> np.ndarray | None:
        return None if size is None else np.repeat(size, self.count, axis=0)


@dataclass(frozen=True)
class Python(Kernel):
    """Call `function`, module:function, on the `chosen` (N,) bool images, (M, H, W, 3) uint8 together.

    The module is looked for in `folder` first, the recipe's, where there is one. All images have one size
    before it. Only the DeviceStage renders it.
    """

    function: str
    chosen: np.ndarray
    folder: str = ""

    def neutral(self, size: np.ndarray | None) -> dict[str, np.ndarray]:
        return {"chosen": np.zeros(1, bool)}


@dataclass(frozen=True)
class Normalize(Kernel):
    """(pixel value / 255 − mean) / std per channel, in the model's precision: a program's end.

    Only the DeviceStage renders it. It is never the identity, since it leaves uint8.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def is_identity(self, i: int) -> bool:
        return False

    def changed(self) -> np.ndarray | None:
        return None


def _impulse(weights: np.ndarray) -> np.ndarray:
    middle = np.zeros((1, weights.shape[1]), weights.dtype)
    middle[:, weights.shape[1] // 2] = 1
    return middle
