"""Steps that cut out, pad and mirror; as in torchvision.transforms.v2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastffdi.recipe.kernels import Fill, Flip, Kernel, Window
from fastffdi.recipe.steps.base import (
    LARGEST,
    Draws,
    P,
    Step,
    TooSmall,
    flag,
    known,
    one_of,
    param,
    probability,
    shown,
    whole,
)
from fastffdi.recipe.steps.forms import fill, height_width, or_null

_padding_mode = one_of("constant", "edge", "reflect", "symmetric")


def margins(value: Any) -> tuple[int, int, int, int]:
    """Left, top, right, bottom from pixels for all sides, [left and right, top and bottom], or all four."""
    given = tuple(value) if isinstance(value, list | tuple) else (value,)
    if len(given) not in (1, 2, 4) or any(not 0 <= whole(side) <= LARGEST for side in given):
        raise ValueError(
            f"{shown(value)} is neither pixels for all sides, [left and right, top and bottom], nor "
            f"[left, top, right, bottom], each from 0 to {LARGEST}"
        )
    left, top, right, bottom = given * (4 // len(given))
    return left, top, right, bottom


@dataclass(frozen=True)
class CenterCrop(Step):
    """Cut `size` out of the middle; a smaller image is padded with 0."""

    size: tuple[int, int] | str = param(height_width)
    kernels = (Window,)

    @property
    def needs_size(self) -> bool:
        return True

    def lower(self, u: np.ndarray, size: np.ndarray | None) -> list[Kernel]:
        out = everywhere(self.size, len(u))
        spare = known(size) - out
        # torchvision puts the smaller half of the padding to the left, and rounds half a surplus to even.
        start = np.where(spare < 0, -((-spare) // 2), np.round(spare / 2)).astype(np.int32)
        return [Window(start, out)]


@dataclass(frozen=True)
class Pad(Step):
    """Add `padding` pixels on the sides: one number, [left and right, top and bottom], or [l, t, r, b].

    `padding_mode` is constant (`fill`), edge, reflect (without the edge) or symmetric (with it).
    """

    padding: tuple[int, int, int, int] = param(margins)
    fill: Fill = param(fill, 0)
    padding_mode: str = param(_padding_mode, "constant")
    kernels = (Window,)

    @property
    def needs_size(self) -> bool:
        return True

    def lower(self, u: np.ndarray, size: np.ndarray | None) -> list[Kernel]:
        size = known(size)
        before, after = _corners(self.padding, size)
        _refuse_wide(np.maximum(before, after), size, self.padding_mode)
        return [Window(-before, size + before + after, self.fill, self.padding_mode)]


@dataclass(frozen=True)
class RandomCrop(Step):
    """Cut `size` out at a random place, after padding; `pad_if_needed` pads more where that is too small.

    `padding`, `fill`, `padding_mode` are those of pad.
    """

    size: tuple[int, int] | str = param(height_width)
    padding: tuple[int, int, int, int] = param(or_null(margins, (0, 0, 0, 0)), (0, 0, 0, 0))
    pad_if_needed: bool = param(flag, False)
    fill: Fill = param(fill, 0)
    padding_mode: str = param(_padding_mode, "constant")
    draws = Draws(position=2)
    kernels = (Window,)

    @property
    def needs_size(self) -> bool:
        return True

    def lower(self, u: np.ndarray, size: np.ndarray | None) -> list[Kernel]:
        size, out = known(size), everywhere(self.size, len(u))
        before, after = _corners(self.padding, size)
        lack = np.maximum(out - size - before - after, 0)
        if not self.pad_if_needed:
            refuse_any(
                lack > 0, size, f"{self.size[0]}×{self.size[1]} does not fit", "set pad_if_needed: true"
            )
        # torchvision pads by all that is missing on both sides and then draws; so do we.
        before, after = before + lack, after + lack
        _refuse_wide(np.maximum(before, after), size, self.padding_mode)
        places = size + before + after - out + 1
        start = np.floor(u * places).astype(np.int32) - before
        inside = not self.pad_if_needed and not any(self.padding)
        return [Window(start, out, self.fill, self.padding_mode, inside)]


@dataclass(frozen=True)
class HorizontalFlip(Step):
    """Mirror left-right with probability `p`."""

    p: float = param(probability, 0.5)
    draws = P
    kernels = (Flip,)

    def lower(self, u: np.ndarray, size: np.ndarray | None) -> list[Kernel]:
        chosen = u[:, 0] < self.p
        return [Flip(chosen, np.zeros_like(chosen))]


@dataclass(frozen=True)
class VerticalFlip(Step):
    """Mirror upside down with probability `p`."""

    p: float = param(probability, 0.5)
    draws = P
    kernels = (Flip,)

    def lower(self, u: np.ndarray, size: np.ndarray | None) -> list[Kernel]:
        chosen = u[:, 0] < self.p
        return [Flip(np.zeros_like(chosen), chosen)]


def everywhere(size: tuple[int, int] | str, n: int) -> np.ndarray:
    """(N, 2) int32: the same height and width for all images."""
    if isinstance(size, str):
        raise ValueError(f"size '{size}' has not been resolved")
    return np.tile(np.array(size, np.int32), (n, 1))


def refuse_any(bad: np.ndarray, size: np.ndarray, what: str, cure: str) -> None:
    """Raise TooSmall for the first image that is `bad` (N, 2) in height or width."""
    if bad.any():
        first = int(bad.any(axis=1).argmax())
        height, width = size[first]
        raise TooSmall(first, f"{what} an image of {height}×{width}; {cure}, or resize first")


def _corners(padding: tuple[int, int, int, int], size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The padding at top and left, and at bottom and right, of every image: (N, 2) int32 each."""
    left, top, right, bottom = padding
    return everywhere((top, left), len(size)), everywhere((bottom, right), len(size))


def _refuse_wide(margin: np.ndarray, size: np.ndarray, mode: str) -> None:
    """As torchvision, refuse to mirror more than the image has."""
    if mode in ("reflect", "symmetric"):
        bad = margin > size - (mode == "reflect")
        reach = " and ".join(str(pixels) for pixels in margin[bad.any(axis=1).argmax()])
        refuse_any(bad, size, f"padding_mode {mode} cannot add {reach} pixels to", "take padding_mode: edge")
