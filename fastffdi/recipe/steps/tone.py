"""Steps that map pixel values, by a table or by the image's histogram; as in torchvision.transforms.v2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastffdi.recipe.kernels import AUTOCONTRAST, EQUALIZE, Kernel, Stretch, Table
from fastffdi.recipe.steps.base import P, Step, param, probability, real, whole

_VALUES = np.arange(256)


def bits(value: Any) -> int:
    """A number of bits 0..8."""
    number = whole(value)
    if not 0 <= number <= 8:
        raise ValueError(f"{value} is not a number of bits from 0 to 8")
    return number


def threshold(value: Any) -> float:
    """A pixel value 0..255, not necessarily whole."""
    number = real(value)
    if not 0 <= number <= 255:
        raise ValueError(f"{value} is not between 0 and 255")
    return number


@dataclass(frozen=True)
class RandomInvert(Step):
    """Replace pixel values v by 255 − v with probability `p`."""

    p: float = param(probability, 0.5)
    draws = P
    kernels = (Table,)

    def lower(self, u: np.ndarray, size: np.ndarray | None) -> list[Kernel]:
        return [tables(255 - _VALUES, u[:, 0] < self.p, size)]


@dataclass(frozen=True)
class RandomPosterize(Step):
    """Keep the `bits` highest bits (0 to 8) of every pixel value with probability `p`."""

    bits: int = param(bits)
    p: float = param(probability, 0.5)
    draws = P
    kernels = (Table,)

    def lower(self, u: np.ndarray, size: np.ndarray | None) -> list[Kernel]:
        return [tables(posterized(self.bits), u[:, 0] < self.p, size)]


@dataclass(frozen=True)
class RandomSolarize(Step):
    """Invert the pixel values from `threshold` (0 to 255) on with probability `p`."""

    threshold: float = param(threshold)
    p: float = param(probability, 0.5)
    draws = P
    kernels = (Table,)

    def lower(self, u: np.ndarray, size: np.ndarray | None) -> list[Kernel]:
        return [tables(solarized(self.threshold), u[:, 0] < self.p, size)]


@dataclass(frozen=True)
class RandomEqualize(Step):
    """Equalize each channel's histogram over 0 … 255 with probability `p`."""

    p: float = param(probability, 0.5)
    draws = P
    kernels = (Stretch,)

    def lower(self, u: np.ndarray, size: np.ndarray | None) -> list[Kernel]:
        return [_stretch(EQUALIZE, u[:, 0] < self.p, size)]


@dataclass(frozen=True)
class RandomAutocontrast(Step):
    """Stretch each channel's pixel values to 0 … 255 with probability `p`."""

    p: float = param(probability, 0.5)
    draws = P
    kernels = (Stretch,)

    def lower(self, u: np.ndarray, size: np.ndarray | None) -> list[Kernel]:
        return [_stretch(AUTOCONTRAST, u[:, 0] < self.p, size)]


def tables(table: np.ndarray, members: np.ndarray, size: np.ndarray | None) -> Table:
    """The `table` (256,) for the `members` (N,) bool, the identity for the others."""
    return Table(np.tile(table.astype(np.uint8), (len(members), 1))).only(members, size)


def posterized(bits: int | np.ndarray) -> np.ndarray:
    """(256,) pixel values with only their highest `bits` bits; of bits (N, 1), (N, 256)."""
    return _VALUES & (0xFF00 >> bits)


def solarized(threshold: float | np.ndarray) -> np.ndarray:
    """(256,) pixel values, inverted from `threshold` on; of thresholds (N, 1), (N, 256)."""
    return np.where(threshold <= _VALUES, 255 - _VALUES, _VALUES)


def _stretch(how: int, members: np.ndarray, size: np.ndarray | None) -> Stretch:
    n = len(members)
    return Stretch(np.full(n, how, np.int32), np.ones(n, np.float32)).only(members, size)
