"""What a step is, and how its parameters are read."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
import reprlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from fastffdi.errors import did_you_mean
from fastffdi.recipe.kernels import Kernel

#: Words in place of a value that is known at start: the ImageNet convention, or the backbone's own.
SYMBOLS = ("backbone", "imagenet")

#: Pixels a side; no image that a step asks for is larger.
LARGEST = 30_000


class TooSmall(ValueError):
    """An image whose size does not allow a step; `index` is its index in the batch."""

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(reason)
        self.index = index


class Draws:
    """The uniform random numbers that a step needs for each image, by name.

    >>> Draws(angle=1, center=2).split(np.array([[0.1, 0.2, 0.3]]))["center"]
    array([[0.2, 0.3]])
    """

    def __init__(self, **counts: int) -> None:
        """`counts` are how many numbers have each name."""
        self._counts = counts

    @property
    def total(self) -> int:
        """How many numbers each image needs."""
        return sum(self._counts.values())

    def split(self, u: np.ndarray) -> dict[str, np.ndarray]:
        """The columns of u (N, total) by name: (N,) where the count is 1, else (N, count)."""
        ends = itertools.accumulate(self._counts.values(), initial=0)
        spans = zip(self._counts, itertools.pairwise(ends), strict=True)
        return {name: u[:, first] if last == first + 1 else u[:, first:last] for name, (first, last) in spans}


NO_DRAWS = Draws()

#: One number, for a step that is applied with a probability.
P = Draws(p=1)


@dataclass(frozen=True)
class Only:
    """A parameter of torchvision's that has one value here: it may be given, but is not stored."""

    name: str
    value: bool | int
    why: str

    def check(self, value: Any) -> None:
        """Raise ValueError for any other value."""
        if type(value) is not type(self.value) or value != self.value:
            raise ValueError(
                f"{self.name}: {shown(value)} is not offered, only {json.dumps(self.value)}: {self.why}"
            )


@dataclass(frozen=True)
class Step:
    """One entry of a recipe: validates its parameters, and lowers random numbers to kernels.

    Attributes:
        draws: the uniform numbers that each image needs
        kernels: the types of kernel that `lower` gives, in order, whatever the numbers
        needs_size: whether `lower` reads the images' sizes
        views: how many images it makes of each
        only: parameters of torchvision's that have one value
    """

    only: ClassVar[tuple[Only, ...]] = ()

    @property
    def draws(self) -> Draws:
        return NO_DRAWS

    @property
    def kernels(self) -> tuple[type[Kernel], ...]:
        return ()

    @property
    def needs_size(self) -> bool:
        return False

    @property
    def views(self) -> int:
        return 1

    def lower(self, u: np.ndarray, size: np.ndarray | None) -> list[Kernel]:
        """Kernels for N images.

        Args:
            u: (N, draws.total) in [0, 1)
            size: (N, 2) int32 height, width; None where they are not known, which `needs_size` forbids

        Raises TooSmall where an image's size does not allow the step.
        """
        raise NotImplementedError

    def probe_draws(self, u: np.ndarray) -> np.ndarray:
        """From evenly distributed u (N, draws.total), numbers that produce every outcome, however rare."""
        return u

    @classmethod
    def name(cls) -> str:
        """The step's name in a recipe: the class name in snake case."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()

    @classmethod
    def read(cls, parameters: Mapping[str, Any]) -> Step:
        """The step with parameters as a recipe gives them; ValueError says which is wrong and why."""
        fields = {field.name: field for field in parameters_of(cls)}
        cls._check_names(parameters, fields)
        values = {}
        for name, field in fields.items():
            if name in parameters:
                values[name] = _converted(field, parameters[name], cls.name())
            elif field.default is dataclasses.MISSING:
                raise ValueError(
                    f"{cls.name()}: parameter '{name}' is missing; write {cls.name()}: {{{name}: …}}"
                )
        return cls(**values)

    @classmethod
    def _check_names(cls, parameters: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
        only = {one.name: one for one in cls.only}
        for name, value in parameters.items():
            if name in only:
                try:
                    only[name].check(value)
                except ValueError as error:
                    raise ValueError(f"{cls.name()}: {error}") from None
            elif name not in fields:
                nearest = did_you_mean(str(name), fields, only)
                raise ValueError(f"{cls.name()}: unknown parameter '{name}'{nearest}")

    def to_data(self) -> dict[str, Any]:
        """The step as a recipe file would write it."""
        return {self.name(): {f.name: _plain(getattr(self, f.name)) for f in parameters_of(type(self))}}


def known(size: np.ndarray | None) -> np.ndarray:
    """The sizes (N, 2), in a step whose `needs_size` is True."""
    assert size is not None, "needs_size has said that the sizes must be known"
    return size


def param(convert: Callable[[Any], Any], default: Any = dataclasses.MISSING) -> Any:
    """A dataclass field whose value in a recipe goes through `convert` (ValueError: what is allowed)."""
    return dataclasses.field(default=default, metadata={"convert": convert})


def parameters_of(kind: type) -> list[dataclasses.Field]:
    """The fields of a dataclass that a recipe gives, which are those made by `param`."""
    return [field for field in dataclasses.fields(kind) if "convert" in field.metadata]


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`."""

    low: float
    high: float

    def at(self, u: np.ndarray) -> np.ndarray:
        """The numbers at the fractions u of the range."""
        return self.low + (self.high - self.low) * u

    def integers(self, u: np.ndarray) -> np.ndarray:
        """Whole numbers, both ends included, equally likely: (N,) int64."""
        return (self.low + np.floor((self.high - self.low + 1) * u)).astype(np.int64)


def probability(value: Any) -> float:
    number = real(value)
    if not 0 <= number <= 1:
        raise ValueError(f"{value} is not a probability between 0 and 1")
    return number


def real(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
        raise ValueError(f"{shown(value)} is not a number")
    return float(value)


def whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{shown(value)} is not a whole number")
    return value


def flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{shown(value)} is neither true nor false")
    return value


def pixel_value(value: Any) -> int:
    """A pixel value 0..255, also as a float."""
    number = int(value) if isinstance(value, float) and value.is_integer() else whole(value)
    if not 0 <= number <= 255:
        raise ValueError(f"{value} is not a pixel value between 0 and 255")
    return number


def span(around: float, least: float, most: float) -> Callable[[Any], Range]:
    """A converter: `x` means around − x … around + x, or [low, high]; limited to least … most."""

    def read(value: Any) -> Range:
        if isinstance(value, list | tuple):
            if len(value) != 2:
                raise ValueError(f"{shown(value)} is not [low, high]")
            low, high = real(value[0]), real(value[1])
        elif real(value) < 0:
            raise ValueError(f"{value} is negative; give a number of at least 0, or [low, high]")
        else:
            low, high = max(around - value, least), around + real(value)
        if not least <= low <= high <= most:
            raise ValueError(f"{shown(value)} does not give a range within {least:g} … {most:g}")
        return Range(low, high)

    return read


def between(least: float, most: float) -> Callable[[Any], Range]:
    """A converter of [low, high] within least … most."""

    def read(value: Any) -> Range:
        if not isinstance(value, list | tuple):
            raise ValueError(f"{shown(value)} is not [low, high]")
        return span(0, least, most)(value)

    return read


def one_of(*words: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in words:
            raise ValueError(f"{shown(value)} is not one of {', '.join(words)}")
        return str(value)

    return read


def shown(value: Any) -> str:
    """A value from a recipe, for an error message: cut short, since YAML's aliases can make it endless."""
    brief = reprlib.Repr()
    brief.maxlevel = 2
    return brief.repr(value)


def _converted(field: dataclasses.Field, value: Any, step: str) -> Any:
    try:
        return field.metadata["convert"](value)
    except ValueError as error:
        raise ValueError(f"{step}: {field.name}: {error}") from None


def _plain(value: Any) -> Any:
    if isinstance(value, Range):
        return [value.low, value.high]
    if isinstance(value, Step):
        return value.to_data()
    return [_plain(part) for part in value] if isinstance(value, tuple) else value
