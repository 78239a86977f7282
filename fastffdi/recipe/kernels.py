"""The kernels that steps lower to: what a renderer does to an image, with one row of parameters each.

A kernel is a frozen dataclass. Its array fields have one row per image (N first); its other fields are the
same for every image and are known from the recipe alone, so that a graph can be built before any data.
All kernels take and give uint8 (H, W, 3) images, except Normalize, which is always last.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np

K = TypeVar("K", bound="Kernel")


@dataclass(frozen=True)
class Kernel:
    """Base of all kernels."""

    def take(self: K, rows: np.ndarray | slice) -> K:
        """The same kernel for some of the images."""
        return dataclasses.replace(self, **{name: value[rows] for name, value in self.arrays().items()})

    def only(self: K, members: np.ndarray, size: np.ndarray) -> K:
        """The same kernel, doing nothing to the images, of size (N, 2), that are not `members` (N,)."""
        neutral = self.neutral(size)
        chosen = {
            name: np.where(members.reshape(-1, *[1] * (value.ndim - 1)), value, neutral[name])
            for name, value in self.arrays().items()
        }
        return dataclasses.replace(self, **chosen)

    def neutral(self, size: np.ndarray) -> dict[str, np.ndarray]:
        """Parameters that leave images of size (N, 2) as they are, by field name; each (N, …) or (1, …)."""
        raise NotImplementedError

    @cached_property
    def is_identity(self) -> list[bool]:
        """For each image, whether the kernel certainly leaves it as it is."""
        n = len(next(iter(self.arrays().values())))
        neutral = self.neutral(np.full((n, 2), -1, np.int32))
        same = [(value == neutral[name]).reshape(n, -1).all(axis=1) for name, value in self.arrays().items()]
        return list(np.logical_and.reduce(same).tolist())

    def arrays(self) -> dict[str, np.ndarray]:
        """The per-image parameters by field name."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: value for name, value in fields.items() if isinstance(value, np.ndarray)}

    def out_size(self, size: np.ndarray) -> np.ndarray:
        """Height and width (N, 2) after this kernel, from those before it."""
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
    fill: int = 0
    mode: str = "constant"
    inside: bool = False
    horizontal: np.ndarray | None = None
    vertical: np.ndarray | None = None

    def out_size(self, size: np.ndarray) -> np.ndarray:
        return self.size

    def neutral(self, size: np.ndarray) -> dict[str, np.ndarray]:
        still = np.zeros(1, bool)
        return {"start": np.zeros((1, 2), np.int32), "size": size, "horizontal": still, "vertical": still}


@dataclass(frozen=True)
class Resize(Kernel):
    """Resize a region by antialiased bilinear interpolation.

    `roi` (N, 4) float32 is top, left, bottom, right as fractions of the image, so that a whole image
    needs no known size; bottom < top or right < left flips. `size` (N, 2) int32 is the output.
    """

    roi: np.ndarray
    size: np.ndarray

    def out_size(self, size: np.ndarray) -> np.ndarray:
        return self.size

    def neutral(self, size: np.ndarray) -> dict[str, np.ndarray]:
        return {"roi": np.array([[0, 0, 1, 1]], np.float32), "size": size}


@dataclass(frozen=True)
class Flip(Kernel):
    """Mirror left-right where `horizontal` (N,) bool, upside down where `vertical` (N,) bool."""

    horizontal: np.ndarray
    vertical: np.ndarray

    def neutral(self, size: np.ndarray) -> dict[str, np.ndarray]:
        return {"horizontal": np.zeros(1, bool), "vertical": np.zeros(1, bool)}


@dataclass(frozen=True)
class Warp(Kernel):
    """Resample through `matrix` (N, 3, 3) float64: output (x, y, 1) to input pixel, centres at integers.

    Outside the input lies the constant `fill`. `interpolation` is "nearest" or "bilinear". Where not
    `projective`, the last row of every matrix is 0, 0, 1.
    """

    matrix: np.ndarray
    interpolation: str = "bilinear"
    fill: int = 0
    projective: bool = False

    def neutral(self, size: np.ndarray) -> dict[str, np.ndarray]:
        return {"matrix": np.eye(3)[None]}


@dataclass(frozen=True)
class Matrix(Kernel):
    """Mix the channels: `matrix` (N, 3, 4) float32 maps levels (r, g, b, 1) to r, g, b; rounded, clamped."""

    matrix: np.ndarray

    def neutral(self, size: np.ndarray) -> dict[str, np.ndarray]:
        return {"matrix": np.eye(3, 4, dtype=np.float32)[None]}


@dataclass(frozen=True)
class Table(Kernel):
    """Replace every level by `table` (N, 256) uint8, the same in all channels."""

    table: np.ndarray

    def neutral(self, size: np.ndarray) -> dict[str, np.ndarray]:
        return {"table": np.arange(256, dtype=np.uint8)[None]}


#: What a Stretch does to an image.
NOTHING, EQUALIZE, AUTOCONTRAST, CONTRAST = range(4)


@dataclass(frozen=True)
class Stretch(Kernel):
    """Map levels by what the image itself holds.

    `how` (N,) int32: EQUALIZE and AUTOCONTRAST by each channel's levels, CONTRAST about the mean grey by the
    factor `amount` (N,) float32, which the others do not use.
    """

    how: np.ndarray
    amount: np.ndarray

    def neutral(self, size: np.ndarray) -> dict[str, np.ndarray]:
        return {"how": np.full(1, NOTHING, np.int32), "amount": np.ones(1, np.float32)}


@dataclass(frozen=True)
class Blur(Kernel):
    """Separable filter, edges reflected: `rows` (N, k) float32 along y, `columns` (N, l) along x."""

    rows: np.ndarray
    columns: np.ndarray

    def neutral(self, size: np.ndarray) -> dict[str, np.ndarray]:
        return {"rows": _impulse(self.rows), "columns": _impulse(self.columns)}


@dataclass(frozen=True)
class Sharpen(Kernel):
    """`amount` (N,) · image + (1 − amount) · the image smoothed 3 × 3; the outermost pixels stay."""

    amount: np.ndarray

    def neutral(self, size: np.ndarray) -> dict[str, np.ndarray]:
        return {"amount": np.ones(1, np.float32)}


@dataclass(frozen=True)
class Jpeg(Kernel):
    """Encode as JPEG of `quality` (N,) int32 1 … 100, chroma halved, and decode again; 0 leaves it out."""

    quality: np.ndarray

    def neutral(self, size: np.ndarray) -> dict[str, np.ndarray]:
        return {"quality": np.zeros(1, np.int32)}


@dataclass(frozen=True)
class Noise(Kernel):
    """Add `offset` (N,) int32 levels and noise of deviation `sigma` (N,) float32 levels about it.

    The noise is hashed from `key` (N,) int64 and the pixel.
    """

    sigma: np.ndarray
    key: np.ndarray
    offset: np.ndarray

    def neutral(self, size: np.ndarray) -> dict[str, np.ndarray]:
        return {"sigma": np.zeros(1, np.float32), "key": self.key, "offset": np.zeros(1, np.int32)}


@dataclass(frozen=True)
class Erase(Kernel):
    """Fill `box` (N, 4) int32 top, left, bottom, right with the levels `fill`; an empty box leaves all."""

    box: np.ndarray
    fill: tuple[int, int, int] = (0, 0, 0)

    def neutral(self, size: np.ndarray) -> dict[str, np.ndarray]:
        return {"box": np.zeros((1, 4), np.int32)}


@dataclass(frozen=True)
class Blend(Kernel):
    """Mix the image with what the `branches` make of it, by `weights` (N, 1 + branches) float32.

    The first weight is the image's own. Branches keep the size; the mean is cut off to whole levels.
    """

    branches: tuple[Program, ...]
    weights: np.ndarray

    def take(self, rows: np.ndarray | slice) -> Blend:
        return Blend(tuple(branch.take(rows) for branch in self.branches), self.weights[rows])

    def neutral(self, size: np.ndarray) -> dict[str, np.ndarray]:
        own = np.zeros((1, self.weights.shape[1]), np.float32)
        own[:, 0] = 1
        return {"weights": own}


@dataclass(frozen=True)
class Views(Kernel):
    """Repeat every image `count` times in a row: from here on there are N · count images.

    All images have one size before it. Only the DeviceStage renders it.
    """

    count: int

    def out_size(self, size: np.ndarray) -> np.ndarray:
        return np.repeat(size, self.count, axis=0)


@dataclass(frozen=True)
class Python(Kernel):
    """Call `function`, module:function, on the `chosen` (N,) bool images, (M, H, W, 3) uint8 together.

    All images have one size before it. Only the DeviceStage renders it.
    """

    function: str
    chosen: np.ndarray

    def neutral(self, size: np.ndarray) -> dict[str, np.ndarray]:
        return {"chosen": np.zeros(1, bool)}


@dataclass(frozen=True)
class Normalize(Kernel):
    """(pixel / 255 − mean) / std per channel, in the model's precision; always the last kernel."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


@dataclass(frozen=True)
class Program:
    """Kernels in order, with the parameters of N images."""

    kernels: tuple[Kernel, ...]

    def __len__(self) -> int:
        return len(self.kernels)

    @property
    def views(self) -> int:
        """Images made of each row."""
        return math.prod(kernel.count for kernel in self.kernels if isinstance(kernel, Views))

    def take(self, rows: np.ndarray | slice) -> Program:
        """The same program for some of the images; not for several views of them."""
        assert self.views == 1
        return Program(tuple(kernel.take(rows) for kernel in self.kernels))


def _impulse(weights: np.ndarray) -> np.ndarray:
    middle = np.zeros((1, weights.shape[1]), weights.dtype)
    middle[:, weights.shape[1] // 2] = 1
    return middle
