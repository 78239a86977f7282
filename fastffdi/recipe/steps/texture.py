"""Steps that blur, sharpen and add artefacts, as in torchvision.transforms.v2 unless a step says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastffdi.recipe.kernels import Blur, Erase, Jpeg, Kernel, Noise, Sharpen
from fastffdi.recipe.steps.base import (
    Draws,
    Only,
    P,
    Range,
    Step,
    between,
    known,
    param,
    probability,
    real,
    shown,
    whole,
)
from fastffdi.recipe.steps.forms import pixel_values, two
from fastffdi.recipe.steps.geometry import refuse_any

#: No filter reaches further than half of this, in pixels.
_WIDEST = 255


def one_or_range(least: float, most: float) -> Callable[[Any], Range]:
    """Reads `x` as exactly x, or [low, high], within least … most."""
    read = between(least, most)
    return lambda value: read(list(two(value if isinstance(value, list | tuple) else real(value))))


def width_height(value: Any) -> tuple[int, int]:
    """[along x, along y] in pixels, both odd, or one number for both."""
    pair = two(value)
    if len(pair) != 2 or any(not 1 <= whole(side) <= _WIDEST or side % 2 == 0 for side in pair):
        raise ValueError(f"{shown(value)} is not [x, y] in pixels, each odd, from 1 to {_WIDEST}")
    return pair


def factor(value: Any) -> float:
    """A number from 0 to 100."""
    number = real(value)
    if not 0 <= number <= 100:
        raise ValueError(f"{value} is not a factor between 0 and 100")
    return number


def shift(value: Any) -> float:
    """A number from -1 to 1."""
    number = real(value)
    if not -1 <= number <= 1:
        raise ValueError(f"{value} is not between -1 and 1")
    return number


def qualities(value: Any) -> Range:
    """A JPEG quality 1..100, or [low, high]."""
    pair = tuple(value) if isinstance(value, list | tuple) else (value, value)
    if len(pair) != 2 or not 1 <= whole(pair[0]) <= whole(pair[1]) <= 100:
        raise ValueError(f"{shown(value)} is neither a quality from 1 to 100 nor [low, high] of them")
    return Range(*pair)


def erased(value: Any) -> tuple[int, int, int]:
    """A pixel value 0..255, or one for each channel."""
    if value == "random":
        raise ValueError(
            "'random' is not offered, since renderers draw no random numbers; give one pixel value or three"
        )
    return pixel_values(value)


@dataclass(frozen=True)
class GaussianBlur(Step):
    """Blur by a Gaussian of `sigma` pixels (a number, or [low, high]) cut off to `kernel_size` pixels.

    `kernel_size` is odd: one number, or [along x, along y].
    """

    kernel_size: tuple[int, int] = param(width_height)
    sigma: Range = param(one_or_range(0.01, 100), Range(0.1, 2.0))
    draws = Draws(sigma=1)
    kernels = (Blur,)

    def lower(self, u: np.ndarray, size: np.ndarray | None) -> list[Kernel]:
        width, height = self.kernel_size
        if (
            size is not None
        ):  # edges are reflected, which needs enough of them; before the sizing point the size may be unknown
            short = size <= np.array([height // 2, width // 2])
            refuse_any(short, size, f"kernel_size [{width}, {height}] does not fit", "make it smaller")
        sigma = self.sigma.at(u[:, 0])
        return [Blur(gaussian(height, sigma), gaussian(width, sigma))]


@dataclass(frozen=True)
class RandomAdjustSharpness(Step):
    """Sharpen by `sharpness_factor` with probability `p`: 0 smooths, 1 changes nothing, 2 sharpens.

    Rounded, where torchvision truncates.
    """

    sharpness_factor: float = param(factor)
    p: float = param(probability, 0.5)
    draws = P
    kernels = (Sharpen,)

    def lower(self, u: np.ndarray, size: np.ndarray | None) -> list[Kernel]:
        amount = np.full(len(u), self.sharpness_factor, np.float32)
        return [Sharpen(amount).only(u[:, 0] < self.p, size)]


@dataclass(frozen=True)
class JpegCompression(Step):
    """Compress as JPEG of `quality` (1 to 100, or [low, high]) and decode again, with probability `p`.

    torchvision's JPEG, which has no `p`; chroma is halved.
    """

    quality: Range = param(qualities)
    p: float = param(probability, 1.0)
    draws = Draws(p=1, quality=1)
    kernels = (Jpeg,)

    def lower(self, u: np.ndarray, size: np.ndarray | None) -> list[Kernel]:
        drawn = self.draws.split(u)
        quality = self.quality.integers(drawn["quality"]).astype(np.int32)
        return [Jpeg(quality).only(drawn["p"] < self.p, size)]


@dataclass(frozen=True)
class RandomErasing(Step):
    """Fill a box with `value` with probability `p`: `scale` of the area, `ratio` height/width.

    `value` is one pixel value 0 … 255 or three; it is filled in before normalize. "random" is not offered.
    """

    p: float = param(probability, 0.5)
    scale: Range = param(between(0, 1), Range(0.02, 0.33))
    ratio: Range = param(between(0.01, 100), Range(0.3, 3.3))
    value: tuple[int, int, int] = param(erased, (0, 0, 0))
    draws = Draws(p=1, area=10, ratio=10, position=2)
    kernels = (Erase,)
    only = (Only("inplace", False, "every step makes images of its own"),)

    @property
    def needs_size(self) -> bool:
        return True

    def lower(self, u: np.ndarray, size: np.ndarray | None) -> list[Kernel]:
        """The first of ten drawn boxes that is smaller than the image, else none."""
        size, drawn = known(size), self.draws.split(u)
        area = size.astype(np.float64).prod(axis=1)[:, None] * self.scale.at(drawn["area"])
        ratio = np.exp(Range(np.log(self.ratio.low), np.log(self.ratio.high)).at(drawn["ratio"]))
        extents = np.round(np.sqrt(np.stack([area * ratio, area / ratio], axis=2)))
        fits = (extents < size[:, None]).all(axis=2)
        extent = extents[np.arange(len(u)), fits.argmax(axis=1)]
        start = np.floor(drawn["position"] * (size - extent + 1))
        box = np.concatenate([start, start + extent], axis=1).astype(np.int32)
        return [Erase(box, self.value).only(fits.any(axis=1) & (drawn["p"] < self.p), size)]


@dataclass(frozen=True)
class GaussianNoise(Step):
    """Add noise of `mean` and deviation `sigma` (or [low, high]), fractions of 255.

    Nearly normal, within 3.4 deviations: the sum of four hashed bytes. The mean and the sum are rounded,
    where torchvision truncates; the result is always clipped.
    """

    mean: float = param(shift, 0.0)
    sigma: Range = param(one_or_range(0, 1), Range(0.1, 0.1))
    draws = Draws(sigma=1, key=1)
    kernels = (Noise,)
    only = (Only("clip", True, "pixel values are from 0 to 255"),)

    def lower(self, u: np.ndarray, size: np.ndarray | None) -> list[Kernel]:
        # Keys that float32 represents exactly too.
        drawn = self.draws.split(u)
        key = np.floor(drawn["key"] * 2**24).astype(np.int64)
        offset = np.full(len(u), round(255 * self.mean), np.int32)
        return [Noise((255 * self.sigma.at(drawn["sigma"])).astype(np.float32), key, offset)]


def gaussian(width: int, sigma: np.ndarray) -> np.ndarray:
    """(N, width) float32 weights of Gaussians of deviations sigma (N,) pixels, scaled to sum 1."""
    x = (np.arange(width) - width // 2) / sigma[:, None]
    weights = np.exp(-(x**2) / 2)
    return np.asarray((weights / weights.sum(axis=1, keepdims=True)).astype(np.float32))
