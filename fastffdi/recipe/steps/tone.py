"""Steps that map levels, by a table or by what the image itself holds; as in torchvision.transforms.v2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastffdi.recipe.kernels import AUTOCONTRAST, EQUALIZE, Kernel, Stretch, Table
from fastffdi.recipe.steps.base import Step, param, probability, real, whole

_LEVELS = np.arange(256)


def bits(value: Any) -> int:
    """A number of bits 0..8."""
    number = whole(value)
    if not 0 <= number <= 8:
        raise ValueError(f"{value} is not a number of bits from 0 to 8")
    return number


def threshold(value: Any) -> float:
    """A level 0..255, perhaps between two."""
    number = real(value)
    if not 0 <= number <= 255:
        raise ValueError(f"{value} is not between 0 and 255")
    return number


@dataclass(frozen=True)
class RandomInvert(Step):
    """Turn levels into 255 − level with probability `p`."""

    p: float = param(probability, 0.5)
    draws = 1
    kernels = (Table,)

    def lower(self, u: np.ndarray, size: np.ndarray) -> list[Kernel]:
        return [tables(255 - _LEVELS, u[:, 0] < self.p, size)]


@dataclass(frozen=True)
class RandomPosterize(Step):
    """Keep the `bits` highest bits of every level (0 to 8) with probability `p`."""

    bits: int = param(bits)
    p: float = param(probability, 0.5)
    draws = 1
    kernels = (Table,)

    def lower(self, u: np.ndarray, size: np.ndarray) -> list[Kernel]:
        return [tables(posterized(self.bits), u[:, 0] < self.p, size)]


@dataclass(frozen=True)
class RandomSolarize(Step):
    """Invert the levels from `threshold` (0 to 255) on with probability `p`."""

    threshold: float = param(threshold)
    p: float = param(probability, 0.5)
    draws = 1
    kernels = (Table,)

    def lower(self, u: np.ndarray, size: np.ndarray) -> list[Kernel]:
        return [tables(solarized(self.threshold), u[:, 0] < self.p, size)]


@dataclass(frozen=True)
class RandomEqualize(Step):
    """Spread each channel's levels evenly over 0 … 255 with probability `p`."""

    p: float = param(probability, 0.5)
    draws = 1
    kernels = (Stretch,)

    def lower(self, u: np.ndarray, size: np.ndarray) -> list[Kernel]:
        return [_stretch(EQUALIZE, u[:, 0] < self.p, size)]


@dataclass(frozen=True)
class RandomAutocontrast(Step):
    """Widen each channel's levels to 0 … 255 with probability `p`."""

    p: float = param(probability, 0.5)
    draws = 1
    kernels = (Stretch,)

    def lower(self, u: np.ndarray, size: np.ndarray) -> list[Kernel]:
        return [_stretch(AUTOCONTRAST, u[:, 0] < self.p, size)]


def tables(table: np.ndarray, members: np.ndarray, size: np.ndarray) -> Table:
    """The levels `table` (256,) for the `members` (N,), nothing for the others."""
    return Table(np.tile(table.astype(np.uint8), (len(members), 1))).only(members, size)


def posterized(bits: int | np.ndarray) -> np.ndarray:
    """(256,) levels with only their highest `bits` bits; of bits (N, 1), (N, 256)."""
    return _LEVELS & (0xFF00 >> bits)


def solarized(threshold: float | np.ndarray) -> np.ndarray:
    """(256,) levels, inverted from `threshold` on; of thresholds (N, 1), (N, 256)."""
    return np.where(threshold <= _LEVELS, 255 - _LEVELS, _LEVELS)


def _stretch(how: int, members: np.ndarray, size: np.ndarray) -> Stretch:
    n = len(members)
    return Stretch(np.full(n, how, np.int32), np.ones(n, np.float32)).only(members, size)
