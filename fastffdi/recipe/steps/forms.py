"""Converters for values in the forms that torchvision takes: sizes, numbers for each channel, null."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from fastffdi.recipe.kernels import Fill
from fastffdi.recipe.steps.base import LARGEST, SYMBOLS, one_of, pixel_value, real, shown, whole

V = TypeVar("V")

#: Pillow's constants for what interpolates, which torchvision takes for the words.
_PILLOW = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}


def or_null(convert: Callable[[Any], V], null: V) -> Callable[[Any], V]:
    """A converter that reads null as the value `null`, and everything else by `convert`."""
    return lambda value: null if value is None else convert(value)


def two(value: Any) -> tuple[Any, ...]:
    """The members of a list; one number, alone or in a list, is meant twice."""
    given = tuple(value) if isinstance(value, list | tuple) else (value,)
    return given * 2 if len(given) == 1 else given


def pixels(value: Any) -> int:
    """Pixels a side."""
    if not 1 <= whole(value) <= LARGEST:
        raise ValueError(f"{value} is not from 1 to {LARGEST} pixels")
    return int(value)


def height_width(value: Any) -> tuple[int, int] | str:
    """[height, width], one number for a square, or a symbol."""
    if value in SYMBOLS:
        return str(value)
    pair = two(value)
    if len(pair) != 2 or any(not 1 <= whole(side) <= LARGEST for side in pair):
        raise ValueError(f"{shown(value)} is not [height, width] in pixels, each from 1 to {LARGEST}")
    return pair


def short_side_or_size(value: Any) -> int | tuple[int, int] | str:
    """One number for the shorter side, [height, width], or a symbol (which means [height, width])."""
    size = height_width(value)
    alone = not isinstance(value, list | tuple) or len(value) == 1
    return size[0] if alone and isinstance(size, tuple) else size


def interpolation(*words: str) -> Callable[[Any], str]:
    """A converter for one of the words, or Pillow's constant for it."""
    read = one_of(*words)
    return lambda value: read(_PILLOW.get(value, value) if type(value) is int else value)


def pixel_values(value: Any) -> tuple[int, int, int]:
    """A pixel value 0..255, or one for each channel."""
    given = tuple(value) if isinstance(value, list | tuple) else (value,)
    if len(given) not in (1, 3):
        raise ValueError(f"{shown(value)} is neither a pixel value nor three")
    red, green, blue = map(pixel_value, given * (3 // len(given)))
    return red, green, blue


def fill(value: Any) -> Fill:
    """A pixel value, or one for each channel; null is 0."""
    values = pixel_values(0 if value is None else value)
    return values[0] if len(set(values)) == 1 else values


def three(value: Any) -> tuple[float, float, float] | str:
    """One number per channel, or a symbol."""
    if value in SYMBOLS:
        return str(value)
    if not isinstance(value, list | tuple) or len(value) not in (1, 3):
        raise ValueError(f"{shown(value)} is neither three numbers nor one of {', '.join(SYMBOLS)}")
    return real(value[0]), real(value[len(value) // 2]), real(value[-1])


def three_positive(value: Any) -> tuple[float, float, float] | str:
    """As `three`, each above 0."""
    numbers = three(value)
    if not isinstance(numbers, str) and min(numbers) <= 0:
        raise ValueError(f"{shown(value)} are to divide by: each must be above 0")
    return numbers
