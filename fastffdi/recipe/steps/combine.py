"""Steps made of other steps, and your own function as a step.

Combining needs no renderer: it lowers to the kernels of the inner steps, with identity parameters for the
images that a step is not applied to. Once all images have one size they must keep it, whichever step is
applied; before that their sizes must be known, since the identity of a crop or resize depends on them.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastffdi.recipe.kernels import Kernel, Normalize, Python, Resize, Window
from fastffdi.recipe.steps.base import Draws, Step, TooSmall, param, probability, real, shown

#: A random order of k steps takes k² times their kernels.
_LONGEST_ORDER = 4


def inner_steps(value: Any) -> tuple[Step, ...]:
    """Steps that another one is made of; the recipe's reader has parsed them."""
    if not isinstance(value, list | tuple) or not value or not all(isinstance(one, Step) for one in value):
        raise ValueError(f"{shown(value)} is not a list of steps")
    for step in value:
        if reason := barred(step):
            raise ValueError(f"{step.name()}: {reason}")
    return tuple(value)


def barred(step: Step) -> str:
    """Why a step may not be inside another; empty where it may."""
    if Normalize in step.kernels:
        return "cannot stand inside another step; it is the last of the recipe"
    if step.views > 1:
        return "cannot stand inside another step, since it makes several images of each"
    return ""


def weights(value: Any) -> tuple[float, ...] | None:
    """A number of at least 0 for each step, not all 0; null for equal ones."""
    if value is None:
        return None
    numbers = tuple(map(real, value)) if isinstance(value, list | tuple) else ()
    if not numbers or min(numbers) < 0 or not 0 < sum(numbers) < float("inf"):
        raise ValueError(f"{shown(value)} is not a list of weights, each at least 0 and not all 0")
    return numbers


def reference(value: Any) -> str:
    """module:function"""
    if not isinstance(value, str) or not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*", value):
        raise ValueError(f"{shown(value)} is not module:function")
    return value


@dataclass(frozen=True)
class Combined(Step):
    """Base of the steps made of others; the first number is its own, the others are theirs, in order."""

    transforms: tuple[Step, ...] = param(inner_steps)

    @property
    def draws(self) -> Draws:
        return Draws(own=1, inner=sum(step.draws.total for step in self.transforms))

    @property
    def kernels(self) -> tuple[type[Kernel], ...]:
        return tuple(kernel for step in self.transforms for kernel in step.kernels)

    @property
    def needs_size(self) -> bool:
        resizing = {Window, Resize} & set(self.kernels)
        return bool(resizing) or any(step.needs_size for step in self.transforms)

    def probe_draws(self, u: np.ndarray) -> np.ndarray:
        parts = [step.probe_draws(v) for step, v in zip(self.transforms, self._shares(u), strict=True)]
        return np.concatenate([self._even(self._own(u)[:, None]), *parts], axis=1)

    def _even(self, u: np.ndarray) -> np.ndarray:
        """Own numbers that produce every outcome equally often, from evenly distributed ones."""
        return u

    def _own(self, u: np.ndarray) -> np.ndarray:
        """The numbers (N,) that decide what is done with the inner steps."""
        return self.draws.split(u)["own"]

    def _shares(self, u: np.ndarray) -> list[np.ndarray]:
        """The numbers of each inner step."""
        ends = itertools.accumulate((step.draws.total for step in self.transforms), initial=1)
        return [u[:, begin:end] for begin, end in itertools.pairwise(ends)]

    def _inner(self, k: int, u: np.ndarray, size: np.ndarray | None) -> list[Kernel]:
        """Inner step k for all images, members or not; an image too small for it is always refused."""
        step = self.transforms[k]
        try:
            return step.lower(u, size)
        except TooSmall as error:
            raise TooSmall(error.index, f"[{k}] {step.name()}: {error}") from None
        except ValueError as error:
            raise ValueError(f"[{k}] {step.name()}: {error}") from None


@dataclass(frozen=True)
class RandomApply(Combined):
    """Do all of `transforms`, in order, with probability `p`."""

    p: float = param(probability, 0.5)

    def lower(self, u: np.ndarray, size: np.ndarray | None) -> list[Kernel]:
        members, chosen = self._own(u) < self.p, _Chosen(size)
        for k, numbers in enumerate(self._shares(u)):
            size = chosen.add(self._inner(k, numbers, size), members, size)
        return chosen.kernels

    def _even(self, u: np.ndarray) -> np.ndarray:
        return _evenly((self.p, 1 - self.p), u)


@dataclass(frozen=True)
class RandomChoice(Combined):
    """Do one of `transforms`, drawn with the weights `p`; without them each is equally likely."""

    p: tuple[float, ...] | None = param(weights, None)

    def __post_init__(self) -> None:
        if self.p is not None and len(self.p) != len(self.transforms):
            raise ValueError(
                f"{self.name()}: p: {len(self.p)} weights for {len(self.transforms)} steps; give one each"
            )

    def lower(self, u: np.ndarray, size: np.ndarray | None) -> list[Kernel]:
        choice = np.searchsorted(_ends(self._weights), self._own(u), side="right")
        chosen = _Chosen(size)
        for k, numbers in enumerate(self._shares(u)):
            chosen.add(self._inner(k, numbers, size), choice == k, size)
        return chosen.kernels

    def _even(self, u: np.ndarray) -> np.ndarray:
        return _evenly(self._weights, u)

    @property
    def _weights(self) -> Sequence[float]:
        return self.p or (1.0,) * len(self.transforms)


@dataclass(frozen=True)
class RandomOrder(Combined):
    """Do all of `transforms`, at most 4, in an order drawn for each image."""

    def __post_init__(self) -> None:
        if len(self.transforms) > _LONGEST_ORDER:
            raise ValueError(
                f"{self.name()}: transforms: {len(self.transforms)} steps are too many; give at most "
                f"{_LONGEST_ORDER}, since every step is prepared in every place"
            )

    def lower(self, u: np.ndarray, size: np.ndarray | None) -> list[Kernel]:
        orders = np.array(list(itertools.permutations(range(len(self.transforms)))))
        order = orders[np.floor(self._own(u) * len(orders)).astype(int)]
        chosen, first = _Chosen(size), size
        for place in range(len(self.transforms)):
            size = chosen.size
            for k, numbers in enumerate(self._shares(u)):
                members = order[:, place] == k
                # For the others any valid size will do, since their kernels become the identity.
                before = None if size is None or first is None else np.where(members[:, None], size, first)
                chosen.add(self._inner(k, numbers, before), members, before)
        return chosen.kernels


@dataclass(frozen=True)
class PythonStep(Step):
    """Call your own `function`, given as module:function, on batches (N, H, W, 3) of uint8 arrays.

    It gives back an array of the same shape and type, and is called once a batch, after all images have one
    size, on the host: slow. What it does is outside the promise that the same seed gives the same images.
    Only a recipe given by its path may have it: it runs code. The module is looked for beside the recipe
    first: `folder` is the recipe's, and is neither written in it nor kept in a checkpoint.
    """

    function: str = param(reference)
    folder: str = dataclasses.field(default="", compare=False)
    kernels = (Python,)

    @classmethod
    def name(cls) -> str:
        return "python"

    def lower(self, u: np.ndarray, size: np.ndarray | None) -> list[Kernel]:
        return [Python(self.function, np.ones(len(u), bool), self.folder)]


def functions(steps: Sequence[Step]) -> list[PythonStep]:
    """All steps that call a function of the user's, at any depth."""
    found = []
    for step in steps:
        if isinstance(step, PythonStep):
            found.append(step)
        elif isinstance(step, Combined):
            found += functions(step.transforms)
    return found


def placed(steps: Sequence[Step], folder: str) -> tuple[Step, ...]:
    """The steps of a recipe that lies in this folder."""
    return tuple(_placed(step, folder) for step in steps)


def _placed(step: Step, folder: str) -> Step:
    if isinstance(step, Combined):
        return dataclasses.replace(step, transforms=placed(step.transforms, folder))
    return dataclasses.replace(step, folder=folder) if isinstance(step, PythonStep) else step


class _Chosen:
    """Kernels for members only, and the size (N, 2) that images have after them."""

    def __init__(self, size: np.ndarray | None) -> None:
        self.kernels: list[Kernel] = []
        self.size = size

    def add(self, kernels: list[Kernel], members: np.ndarray, size: np.ndarray | None) -> np.ndarray | None:
        """Add a step's kernels for `members` (N,); gives the size after them if all were members."""
        for kernel in kernels:
            size = kernel.out_size(size)
            chosen = kernel.only(members, self.size)
            self.size = chosen.out_size(self.size)
            self.kernels.append(chosen)
        return size


def _ends(shares: Sequence[float]) -> np.ndarray:
    """Where in [0, 1] each of the shares ends; the last at exactly 1."""
    ends = np.cumsum(shares)
    return np.asarray(ends / ends[-1])


def _evenly(shares: Sequence[float], u: np.ndarray) -> np.ndarray:
    """Numbers from the middle of each share above 0, equally often for even u in [0, 1)."""
    ends = _ends(shares)
    middles = (ends + np.concatenate([[0.0], ends[:-1]])) / 2
    possible = middles[np.asarray(shares) > 0]
    return np.asarray(possible[np.floor(u * len(possible)).astype(int)])
