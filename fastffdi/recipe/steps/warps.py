"""Steps that turn, shear and tilt images, and the matrices for it; as in torchvision.transforms.v2.

A matrix (3, 3) float64 takes output (x, y, 1) to input, in pixels whose centres are at integers. Into the
outermost pixels of a moved image `fill` is blended once, by its share; torchvision does so twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastffdi.recipe.kernels import Fill, Kernel, Warp
from fastffdi.recipe.steps.base import (
    Draws,
    Only,
    Range,
    Step,
    between,
    known,
    param,
    probability,
    real,
    shown,
    span,
)
from fastffdi.recipe.steps.forms import fill, interpolation, or_null

_interpolation = interpolation("nearest", "bilinear")
_turn = span(0, -360, 360)
_UNSHEARED = (0.0, 0.0, 0.0, 0.0)
_shear = span(0, -89, 89)


def fractions(value: Any) -> tuple[float, float]:
    """[x, y], each from 0 to 1."""
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError(f"{shown(value)} is not [x, y], fractions of width and height")
    return share(value[0]), share(value[1])


def share(value: Any) -> float:
    """A number from 0 to 1."""
    number = real(value)
    if not 0 <= number <= 1:
        raise ValueError(f"{value} is not between 0 and 1")
    return number


def shears(value: Any) -> tuple[float, float, float, float]:
    """Degrees along x from … to, along y from … to; of x or [low, high], y is not sheared."""
    four = isinstance(value, list | tuple) and len(value) == 4
    x, y = (_shear(value[:2]), _shear(value[2:])) if four else (_shear(value), Range(0, 0))
    return x.low, x.high, y.low, y.high


def point(value: Any) -> tuple[float, float] | None:
    """[x, y] in pixels from the upper left corner, or null for the middle."""
    if value is None:
        return None
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError(f"{shown(value)} is neither [x, y] in pixels nor null for the middle")
    return real(value[0]), real(value[1])


@dataclass(frozen=True)
class RandomRotation(Step):
    """Rotate by an angle drawn from `degrees` (counter-clockwise) about the middle, keeping the size.

    Or about `center`, [x, y] in pixels. Bilinear unless said otherwise; torchvision's default is nearest.
    """

    degrees: Range = param(_turn)
    interpolation: str = param(_interpolation, "bilinear")
    center: tuple[float, float] | None = param(point, None)
    fill: Fill = param(fill, 0)
    draws = Draws(angle=1)
    kernels = (Warp,)
    only = (Only("expand", False, "images keep their size"),)

    @property
    def needs_size(self) -> bool:
        return True

    def lower(self, u: np.ndarray, size: np.ndarray | None) -> list[Kernel]:
        matrix = rotation(self.degrees.at(u[:, 0]), known(size), self.center)
        return [Warp(matrix, self.interpolation, self.fill)]


@dataclass(frozen=True)
class RandomAffine(Step):
    """Rotate by `degrees` (clockwise), shift by up to `translate` of each side, scale and shear (degrees).

    `shear` is a number or [low, high] along x, or [x low, x high, y low, y high]; `center` [x, y] in pixels.
    Bilinear unless said otherwise; torchvision's default is nearest.
    """

    degrees: Range = param(_turn)
    translate: tuple[float, float] = param(or_null(fractions, (0.0, 0.0)), (0.0, 0.0))
    scale: Range = param(or_null(between(0.01, 100), Range(1, 1)), Range(1, 1))
    shear: tuple[float, float, float, float] = param(or_null(shears, _UNSHEARED), _UNSHEARED)
    interpolation: str = param(_interpolation, "bilinear")
    fill: Fill = param(fill, 0)
    center: tuple[float, float] | None = param(point, None)
    draws = Draws(angle=1, shift=2, scale=1, shear_x=1, shear_y=1)
    kernels = (Warp,)

    @property
    def needs_size(self) -> bool:
        return True

    def lower(self, u: np.ndarray, size: np.ndarray | None) -> list[Kernel]:
        size, drawn = known(size), self.draws.split(u)
        reach = np.array(self.translate) * size[:, ::-1]
        shift = np.round(reach * (2 * drawn["shift"] - 1))
        along_x, along_y = Range(*self.shear[:2]), Range(*self.shear[2:])
        matrix = affine(
            size,
            degrees=self.degrees.at(drawn["angle"]),
            shift=shift,
            scale=self.scale.at(drawn["scale"]),
            shear=np.stack([along_x.at(drawn["shear_x"]), along_y.at(drawn["shear_y"])], axis=1),
            center=self.center,
        )
        return [Warp(matrix, self.interpolation, self.fill)]


@dataclass(frozen=True)
class RandomPerspective(Step):
    """With probability `p`, tilt: each corner moves inwards by up to `distortion_scale` of half the side.

    Corners that fall together, as in images of one pixel a side, leave the image as it is.
    """

    distortion_scale: float = param(share, 0.5)
    p: float = param(probability, 0.5)
    interpolation: str = param(_interpolation, "bilinear")
    fill: Fill = param(fill, 0)
    draws = Draws(p=1, corners=8)
    kernels = (Warp,)

    @property
    def needs_size(self) -> bool:
        return True

    def lower(self, u: np.ndarray, size: np.ndarray | None) -> list[Kernel]:
        size, drawn = known(size), self.draws.split(u)
        reach = (self.distortion_scale * (size // 2)).astype(np.int64)
        # Whole places, equally likely, as torchvision draws them: x and y, clockwise from the upper left.
        steps = np.floor(drawn["corners"].reshape(-1, 4, 2) * (reach[:, None, ::-1] + 1))
        far = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
        corners = steps + far * (size - 1 - reach)[:, None, ::-1]
        warp = Warp(perspective(corners, size), self.interpolation, self.fill, projective=True)
        return [warp.only(drawn["p"] < self.p, size)]


def rotation(degrees: np.ndarray, size: np.ndarray, center: tuple[float, float] | None = None) -> np.ndarray:
    """(N, 3, 3) matrices that turn by degrees (N,), counter-clockwise, about the middle of size (N, 2).

    Or about `center` x, y.
    """
    return affine(size, degrees=-degrees, center=center)


def affine(
    size: np.ndarray,
    degrees: np.ndarray | float = 0.0,
    shift: np.ndarray | float = 0.0,
    scale: np.ndarray | float = 1.0,
    shear: np.ndarray | float = 0.0,
    center: tuple[float, float] | None = None,
) -> np.ndarray:
    """(N, 3, 3) matrices of torchvision's affine for images of size (N, 2) height, width.

    degrees (N,) clockwise, shift (N, 2) x, y in pixels, scale (N,), shear (N, 2) degrees along x, y; of all,
    one number does for all images. center is x, y in pixels from the upper left corner.
    """
    n = len(size)
    angle = np.broadcast_to(np.radians(degrees), n)
    along_x, along_y = np.broadcast_to(np.radians(shear), (n, 2)).T
    # The inverse of rotation · shear along y · shear along x, whose determinant is 1.
    a, c = np.cos(angle - along_y) / np.cos(along_y), np.sin(angle - along_y) / np.cos(along_y)
    b, d = -(a * np.tan(along_x) + np.sin(angle)), np.cos(angle) - c * np.tan(along_x)
    linear = np.stack([d, -b, -c, a], axis=1).reshape(n, 2, 2) / np.reshape(scale, (-1, 1, 1))
    middle = (size[:, ::-1] - 1) / 2 if center is None else np.tile(np.array(center) - 0.5, (n, 1))
    matrix = np.tile(np.eye(3), (n, 1, 1))
    matrix[:, :2, :2] = linear
    matrix[:, :2, 2] = middle - (linear @ (middle + shift)[:, :, None])[:, :, 0]
    return matrix


def perspective(corners: np.ndarray, size: np.ndarray) -> np.ndarray:
    """(N, 3, 3) matrices that take the corners of images of size (N, 2) to `corners` (N, 4, 2) whole x, y.

    Clockwise from the upper left; where three of `corners` lie on a line, the identity. The unit square is
    mapped as in Heckbert, "Fundamentals of Texture Mapping and Image Warping", Berkeley 1989.
    """
    first, second, third, fourth = np.moveaxis(corners.astype(np.float64), 1, 0)
    across, down, surplus = second - third, fourth - third, first - second + third - fourth
    w, g, h = (_cross(a, b)[:, None] for a, b in ((across, down), (surplus, down), (across, surplus)))
    x = np.concatenate([w * (second - first) + g * second, g], axis=1)
    y = np.concatenate([w * (fourth - first) + h * fourth, h], axis=1)
    origin = np.concatenate([w * first, w], axis=1)
    inverse = np.stack([np.cross(y, origin), np.cross(origin, x), np.cross(x, y)], axis=1)
    inverse[:, :2] *= size[:, ::-1, None] - 1
    # torchvision's corners are those of the corner pixels' centres, but counted from the image's edge.
    matrix = _shift(-0.5) @ inverse @ _shift(0.5)
    sides = corners - np.roll(corners, 1, axis=1)
    flat = (_cross(sides, np.roll(sides, -1, axis=1)) == 0).any(axis=1) | (matrix[:, 2, 2] == 0)
    matrix[flat] = np.eye(3)
    return np.asarray(matrix / matrix[:, 2:, 2:])


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])


def _shift(by: float) -> np.ndarray:
    return np.array([[1, 0, by], [0, 1, by], [0, 0, 1]])
