"""A program: what a machine does to each image of a batch."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from fastffdi.recipe.kernels import Kernel, Normalize, Views
from fastffdi.recipe.packing import Packed, pack


@dataclass(frozen=True)
class Program:
    """What is to be done to N images: kernels in order, with their parameters, and then `normalize`.

    Attributes:
        kernels: uint8 images to uint8 images
        normalize: None where the images stay uint8, as in the branches of a Blend
    """

    kernels: tuple[Kernel, ...]
    normalize: Normalize | None = None

    @classmethod
    def of(cls, kernels: Iterable[Kernel]) -> Program:
        """The program of kernels of which a Normalize, if there is one, is the last."""
        *before, last = [*kernels, None]
        if before and isinstance(before[-1], Normalize):
            last = before.pop()
        assert last is None or isinstance(last, Normalize)
        return cls(tuple(before), last)

    def __len__(self) -> int:
        """How many kernels, Normalize not counted."""
        return len(self.kernels)

    @property
    def views(self) -> int:
        """Images made of each row."""
        return math.prod(kernel.count for kernel in self.kernels if isinstance(kernel, Views))

    @cached_property
    def packed(self) -> Packed:
        """The kernels' parameters for the DeviceStage; loaders compute it ahead of its use."""
        return pack(self.kernels)

    def take(self, rows: np.ndarray | slice) -> Program:
        """The same program for some of the images; not for several views of them."""
        assert self.views == 1
        return replace(self, kernels=tuple(kernel.take(rows) for kernel in self.kernels))

    def first(self, count: int) -> Program:
        """The program of the first `count` kernels, without normalising."""
        return Program(self.kernels[:count])

    def after(self, count: int) -> Program:
        """What remains when the first `count` kernels have been applied."""
        return replace(self, kernels=self.kernels[count:])


#: Nothing to do.
EMPTY = Program(())
