"""Steps that change colours in place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastffdi.recipe.kernels import Kernel, Matrix, Normalize
from fastffdi.recipe.steps.base import (
    Draws,
    Only,
    P,
    Range,
    Step,
    param,
    probability,
    span,
)
from fastffdi.recipe.steps.forms import or_null, three, three_positive

_LUMA = np.array([0.299, 0.587, 0.114])
_RGB_TO_YIQ = np.array([_LUMA, [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])
_YIQ_TO_RGB = np.linalg.inv(_RGB_TO_YIQ)
_MID_GREY = 128.0

_factor = or_null(span(1, 0, 100), Range(1, 1))


@dataclass(frozen=True)
class ColorJitter(Step):
    """Change brightness, contrast, saturation (factors 1 ± x, or [low, high]) and hue (± of the circle).

    One linear transform per image: contrast about mid-grey 128, then brightness, saturation, and hue as a
    rotation in YIQ. torchvision takes contrast about the image's mean, hue in HSV, and a random order.
    """

    brightness: Range = param(_factor, Range(1, 1))
    contrast: Range = param(_factor, Range(1, 1))
    saturation: Range = param(_factor, Range(1, 1))
    hue: Range = param(or_null(span(0, -0.5, 0.5), Range(0, 0)), Range(0, 0))
    draws = Draws(brightness=1, contrast=1, saturation=1, hue=1)
    kernels = (Matrix,)

    def lower(self, u: np.ndarray, size: np.ndarray | None) -> list[Kernel]:
        drawn = self.draws.split(u)
        brightness, contrast = self.brightness.at(drawn["brightness"]), self.contrast.at(drawn["contrast"])
        chroma = saturation_hue(self.saturation.at(drawn["saturation"]), self.hue.at(drawn["hue"]))
        scale = (brightness * contrast)[:, None, None]
        # Greys pass saturation and hue unchanged, so the offset stays equal in all channels.
        offset = (brightness * (1 - contrast) * _MID_GREY)[:, None, None] * np.ones((1, 3, 1))
        return [Matrix(np.concatenate([scale * chroma, offset], axis=2).astype(np.float32))]


@dataclass(frozen=True)
class Grayscale(Step):
    """Replace colours by their luma, in all three channels. Rounded, where torchvision truncates."""

    kernels = (Matrix,)
    only = (Only("num_output_channels", 3, "models take three channels"),)

    def lower(self, u: np.ndarray, size: np.ndarray | None) -> list[Kernel]:
        return [_lumas(len(u))]


@dataclass(frozen=True)
class RandomGrayscale(Step):
    """Replace colours by their luma with probability `p`. Rounded, where torchvision truncates."""

    p: float = param(probability, 0.1)
    draws = P
    kernels = (Matrix,)

    def lower(self, u: np.ndarray, size: np.ndarray | None) -> list[Kernel]:
        return [_lumas(len(u)).only(u[:, 0] < self.p, size)]


@dataclass(frozen=True)
class NormalizeStep(Step):
    """(pixel / 255 − mean) / std per channel; always last."""

    mean: tuple[float, float, float] | str = param(three, "backbone")
    std: tuple[float, float, float] | str = param(three_positive, "backbone")
    kernels = (Normalize,)
    only = (Only("inplace", False, "every step makes images of its own"),)

    @classmethod
    def name(cls) -> str:
        return "normalize"

    def lower(self, u: np.ndarray, size: np.ndarray | None) -> list[Kernel]:
        if isinstance(self.mean, str) or isinstance(self.std, str):
            raise ValueError(f"mean '{self.mean}' or std '{self.std}' has not been resolved")
        return [Normalize(self.mean, self.std)]


def saturation_hue(saturation: np.ndarray, hue: np.ndarray) -> np.ndarray:
    """(N, 3, 3) RGB matrices that scale and turn the IQ plane; hue is a fraction of the circle."""
    angle = 2 * np.pi * hue
    cos, sin = saturation * np.cos(angle), saturation * np.sin(angle)
    turn = np.zeros((len(hue), 3, 3))
    turn[:, 0, 0] = 1
    # Red to yellow, as a rising hue in HSV, is clockwise in the IQ plane.
    turn[:, 1, 1], turn[:, 1, 2] = cos, sin
    turn[:, 2, 1], turn[:, 2, 2] = -sin, cos
    return np.asarray(_YIQ_TO_RGB @ turn @ _RGB_TO_YIQ)


def _lumas(n: int) -> Matrix:
    return Matrix(np.tile(np.append(_LUMA, 0).astype(np.float32), (n, 3, 1)))
