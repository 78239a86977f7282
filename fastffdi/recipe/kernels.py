"""The kernels that steps lower to: what a renderer does to a picture, with one row of parameters each.

A kernel is a frozen dataclass. Its array fields have one row per picture (N first); its other fields are the
same for every picture and are known from the recipe alone, so that a graph can be built before any data.
All kernels take and give uint8 (H, W, 3) pictures, except Normalize, which is always last.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

K = TypeVar("K", bound="Kernel")


@dataclass(frozen=True)
class Kernel:
    """Base of all kernels."""

    def take(self: K, rows: np.ndarray | slice) -> K:
        """The same kernel for some of the pictures."""
        return dataclasses.replace(self, **{name: value[rows] for name, value in self.arrays().items()})

    def arrays(self) -> dict[str, np.ndarray]:
        """The per-picture parameters by field name."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: value for name, value in fields.items() if isinstance(value, np.ndarray)}

    def out_size(self, size: np.ndarray) -> np.ndarray:
        """Height and width (N, 2) after this kernel, from those before it."""
        return size


@dataclass(frozen=True)
class Window(Kernel):
    """Cut out a window; what lies outside the picture is filled with the constant `fill`."""

    start: np.ndarray  # (N, 2) int32 top, left in pixels; may be negative
    size: np.ndarray  # (N, 2) int32 height, width
    fill: int = 0

    def out_size(self, size: np.ndarray) -> np.ndarray:
        return self.size


@dataclass(frozen=True)
class Resize(Kernel):
    """Resize a region by antialiased bilinear interpolation.

    `roi` (N, 4) float32 is top, left, bottom, right as fractions of the picture, so that a whole picture
    needs no known size; bottom < top or right < left flips. `size` (N, 2) int32 is the output.
    """

    roi: np.ndarray
    size: np.ndarray

    def out_size(self, size: np.ndarray) -> np.ndarray:
        return self.size


@dataclass(frozen=True)
class Flip(Kernel):
    """Mirror left-right where `horizontal` (N,) bool, upside down where `vertical` (N,) bool."""

    horizontal: np.ndarray
    vertical: np.ndarray


@dataclass(frozen=True)
class Warp(Kernel):
    """Resample through `matrix` (N, 3, 3) float64: output (x, y, 1) to input pixel, centres at integers.

    Outside the input lies the constant `fill`. `interpolation` is "nearest" or "bilinear".
    """

    matrix: np.ndarray
    interpolation: str = "bilinear"
    fill: int = 0


@dataclass(frozen=True)
class Matrix(Kernel):
    """Mix the channels: `matrix` (N, 3, 4) float32 maps levels (r, g, b, 1) to r, g, b; rounded, clamped."""

    matrix: np.ndarray


@dataclass(frozen=True)
class Normalize(Kernel):
    """(pixel / 255 − mean) / std per channel, in the model's precision; always the last kernel."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


@dataclass(frozen=True)
class Program:
    """Kernels in order, with the parameters of N pictures."""

    kernels: tuple[Kernel, ...]

    def __len__(self) -> int:
        return len(self.kernels)

    def take(self, rows: np.ndarray | slice) -> Program:
        """The same program for some of the pictures."""
        return Program(tuple(kernel.take(rows) for kernel in self.kernels))
