"""The operations that the automatic policies choose from, as kernels, and how strong they are.

All are torchvision's (torchvision.transforms.v2, class _AutoAugmentBase). A slot, the place of one operation,
always lowers to the same five kernels, whatever operation each image has there: those of other families
get parameters that change nothing.

Shapes: S slots of N images; `chosen` (S, N) int are operations, `magnitude` (S, N) float64 what
torchvision calls so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastffdi.recipe.kernels import (
    AUTOCONTRAST,
    CONTRAST,
    EQUALIZE,
    NOTHING,
    Fill,
    Kernel,
    Matrix,
    Sharpen,
    Stretch,
    Table,
    Warp,
)
from fastffdi.recipe.steps.tone import posterized, solarized
from fastffdi.recipe.steps.warps import rotation

#: torchvision's names of the operations; an operation is an index into them.
NAMES = (
    "Identity",
    "ShearX",
    "ShearY",
    "TranslateX",
    "TranslateY",
    "Rotate",
    "Brightness",
    "Color",
    "Contrast",
    "Sharpness",
    "Posterize",
    "Solarize",
    "AutoContrast",
    "Equalize",
    "Invert",
)
_IDENTITY, _SHEAR_X, _SHEAR_Y, _TRANSLATE_X, _TRANSLATE_Y, _ROTATE = range(6)
_BRIGHTNESS, _COLOR, _CONTRAST, _SHARPNESS, _POSTERIZE, _SOLARIZE = range(6, 12)
_AUTOCONTRAST, _EQUALIZE, _INVERT = range(12, 15)

#: The kernels of a slot.
KINDS: tuple[type[Kernel], ...] = (Warp, Matrix, Table, Stretch, Sharpen)

_GREY = np.array([0.2989, 0.587, 0.114])
_VALUES = np.arange(256, dtype=np.uint8)


@dataclass(frozen=True)
class Space:
    """The operations a policy draws from, and their magnitudes from the weakest to the strongest.

    Attributes:
        operations: which ones, equally likely
        shear: strongest shear, in pixels per pixel
        translate: strongest shift: a share of the image's side, or pixels if `in_pixels`
        rotate: strongest turn, in degrees
        factor: strongest change of brightness, colour, contrast and sharpness, as a factor off 1
        bits: how many bits posterize keeps, at the weakest and at the strongest
    """

    operations: tuple[int, ...]
    shear: float
    translate: float
    rotate: float
    factor: float
    bits: tuple[int, int]
    in_pixels: bool = False

    def choose(self, u: np.ndarray) -> np.ndarray:
        """Operations from numbers in [0, 1)."""
        return np.array(self.operations)[np.floor(u * len(self.operations)).astype(np.int64)]

    def magnitude(self, chosen: np.ndarray, place: np.ndarray, bins: int, size: np.ndarray) -> np.ndarray:
        """Magnitudes without sign at `place` (S, N) of `bins`, for images of size (N, 2); to the last bit.

        0 for operations without a magnitude.
        """
        strongest = self._strongest()[chosen]
        if not self.in_pixels:
            strongest = np.where(chosen == _TRANSLATE_X, strongest * size[:, 1], strongest)
            strongest = np.where(chosen == _TRANSLATE_Y, strongest * size[:, 0], strongest)
        weakest = np.where(chosen == _SOLARIZE, 1.0, 0.0)
        most, least = self.bits
        kept = np.float32(most) - place.astype(np.float32) / np.float32((bins - 1) / (most - least))
        return np.where(chosen == _POSTERIZE, np.round(kept), _linspace(weakest, strongest, place, bins))

    def _strongest(self) -> np.ndarray:
        """(15,) float64 by operation, posterize left out."""
        of_all = np.zeros(len(NAMES))
        of_all[[_SHEAR_X, _SHEAR_Y]] = self.shear
        of_all[[_TRANSLATE_X, _TRANSLATE_Y]] = self.translate
        of_all[_ROTATE] = self.rotate
        of_all[_BRIGHTNESS : _SHARPNESS + 1] = self.factor
        return of_all


#: RandAugment's; AutoAugment's magnitudes are the same.
STANDARD = Space(tuple(range(_INVERT)), 0.3, 150 / 331, 30, 0.9, (8, 4))
#: TrivialAugment's wide space.
WIDE = Space(tuple(range(_INVERT)), 0.99, 32, 135, 0.99, (8, 2), in_pixels=True)
#: AugMix's with all operations, and without brightness, colour, contrast and sharpness.
MIXED = Space(tuple(range(_SHEAR_X, _INVERT)), 0.3, 1 / 3, 30, 0.9, (4, 0))
MIXED_PARTLY = Space(
    tuple(k for k in MIXED.operations if not _BRIGHTNESS <= k <= _SHARPNESS), 0.3, 1 / 3, 30, 0.9, (4, 0)
)


def signed(chosen: np.ndarray, magnitude: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Magnitudes, negated where u < 0.5 for the operations that have a sign."""
    negative = (u < 0.5) & (chosen >= _SHEAR_X) & (chosen <= _SHARPNESS)
    return np.where(negative, -magnitude, magnitude)


def lowered(
    chosen: np.ndarray, magnitude: np.ndarray, size: np.ndarray, interpolation: str, fill: Fill
) -> list[list[Kernel]]:
    """For each slot its five kernels, for images of size (N, 2) height, width."""
    columns = (
        _warps(chosen, magnitude, size),
        _matrices(chosen, magnitude),
        _tables(chosen, magnitude),
        *_stretches(chosen, magnitude),
        np.where(chosen == _SHARPNESS, 1 + magnitude, 1).astype(np.float32),
    )
    return [
        [Warp(warp, interpolation, fill), Matrix(matrix), Table(table), Stretch(how, amount), Sharpen(sharp)]
        for warp, matrix, table, how, amount, sharp in zip(*columns, strict=True)
    ]


def _warps(chosen: np.ndarray, magnitude: np.ndarray, size: np.ndarray) -> np.ndarray:
    """(S, N, 3, 3) output to input, pixel centres at integers."""
    shear_x, shear_y, right, down = (
        np.where(chosen == k, magnitude, 0) for k in (_SHEAR_X, _SHEAR_Y, _TRANSLATE_X, _TRANSLATE_Y)
    )
    matrix = np.tile(np.eye(3), (*chosen.shape, 1, 1))
    # The corner of the corner pixel, at −½, is the fixed point of a shear.
    matrix[..., 0, 1], matrix[..., 0, 2] = shear_x, shear_x / 2 - np.trunc(right)
    matrix[..., 1, 0], matrix[..., 1, 2] = shear_y, shear_y / 2 - np.trunc(down)
    turned = chosen == _ROTATE
    matrix[turned] = rotation(magnitude[turned], size[turned.nonzero()[1]])
    return matrix


def _matrices(chosen: np.ndarray, magnitude: np.ndarray) -> np.ndarray:
    """(S, N, 3, 4) float32."""
    bright, colour = (1 + np.where(chosen == k, magnitude, 0) for k in (_BRIGHTNESS, _COLOR))
    matrix = np.zeros((*chosen.shape, 3, 4), np.float32)
    matrix[..., :3] = (bright * colour)[..., None, None] * np.eye(3) + (1 - colour)[..., None, None] * _GREY
    # torchvision floors each pixel's grey; on average that subtracts 0.5.
    matrix[..., 3] = (colour - 1)[..., None] / 2
    return matrix


def _tables(chosen: np.ndarray, magnitude: np.ndarray) -> np.ndarray:
    """(S, N, 256) uint8."""
    table = np.tile(_VALUES, (*chosen.shape, 1))
    table[chosen == _POSTERIZE] = posterized(magnitude[chosen == _POSTERIZE].astype(np.int64)[:, None])
    # In single precision, as torch compares.
    threshold = (255 * magnitude[chosen == _SOLARIZE]).astype(np.float32)
    table[chosen == _SOLARIZE] = solarized(threshold[:, None])
    table[chosen == _INVERT] = 255 - _VALUES
    return table


def _stretches(chosen: np.ndarray, magnitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`how` (S, N) int32 and `amount` (S, N) float32."""
    ways = np.full(len(NAMES), NOTHING, np.int32)
    ways[[_CONTRAST, _AUTOCONTRAST, _EQUALIZE]] = CONTRAST, AUTOCONTRAST, EQUALIZE
    return ways[chosen], np.where(chosen == _CONTRAST, 1 + magnitude, 1).astype(np.float32)


def _linspace(start: np.ndarray, end: np.ndarray, place: np.ndarray, count: int) -> np.ndarray:
    """Number `place` of torch.linspace(start, end, count), to the last bit: shifts are cut to whole pixels.

    torch steps in single precision, from the nearer end, and rounds once.
    """
    start, end = start.astype(np.float32), end.astype(np.float32)
    step = ((end - start) / np.float32(count - 1)).astype(np.float64)
    rising, falling = start + step * place, end - step * (count - 1 - place)
    return np.where(place < count // 2, rising, falling).astype(np.float32).astype(np.float64)
