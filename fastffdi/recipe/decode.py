"""The decode block of a recipe: how image files become pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastffdi.errors import RecipeError
from fastffdi.recipe.block import read_block
from fastffdi.recipe.kernels import Resize
from fastffdi.recipe.lowering import template
from fastffdi.recipe.steps.base import Step, flag, param


@dataclass(frozen=True)
class Decode:
    """How image files become pixels, in training and evaluation.

    Attributes:
        scaled: the cpu loader may decode JPEGs at 1/2, 1/4 or 1/8 of their size where that still is at least
            what the resize asks for: several times faster for camera images, but not the same pixels
    """

    scaled: bool = param(flag, False)


def read_decode(data: Any, source: str) -> Decode:
    """The block from plain data; `source` names it in errors. Raises RecipeError."""
    return read_block(Decode, data, source, "decode: {scaled: true}")


def check_decode(decode: Decode, steps: tuple[Step, ...], source: str) -> None:
    """Raise RecipeError where resolved steps, named by `source`, do not say how large an image has to be."""
    if decode.scaled and not isinstance(template(steps).kernels[0], Resize):
        raise RecipeError(
            f"{source}[0]: {steps[0].name()}: decode: {{scaled: true}} needs a first step that says how "
            "large an image has to be; begin with resize or random_resized_crop, or take the block out"
        )
