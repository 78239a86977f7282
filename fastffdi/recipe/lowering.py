"""From steps to a program: numbers from the plan, kernels from the steps, fused where that is exact."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from fastffdi.recipe.kernels import Flip, Kernel, Program, Resize, Warp
from fastffdi.recipe.plan import Plan
from fastffdi.recipe.steps.base import Step, TooSmall

#: Two pictures that no step brings to one size by accident, large enough for any crop.
_PRETEND = np.array([[40_961, 30_011], [31_013, 42_017]], np.int32)


def lower(
    steps: Sequence[Step],
    plan: Plan,
    epoch: int,
    rows: np.ndarray,
    repeats: np.ndarray,
    sizes: np.ndarray | None,
) -> Program:
    """The program for the pictures (rows, repeats), both (N,), of an epoch.

    `sizes` (N, 2) height, width may be None where `needs_sizes(steps)` is False.
    Raises TooSmall, naming the step, where a picture's size does not allow it.
    """
    numbers = plan.steps(epoch, rows, repeats, [step.draws for step in steps])
    return _lowered(steps, numbers, np.full((len(rows), 2), -1, np.int32) if sizes is None else sizes)


def check_sizes(steps: Sequence[Step], sizes: np.ndarray) -> None:
    """Raise TooSmall for the first picture, of sizes (N, 2), that some step does not allow."""
    distinct, first = np.unique(sizes, axis=0, return_index=True)
    try:
        _lowered(steps, [np.full((len(distinct), step.draws), 0.5) for step in steps], distinct)
    except TooSmall as error:
        raise TooSmall(int(first[error.picture]), str(error)) from None


def outline(steps: Sequence[Step]) -> Program:
    """The program of two pretend pictures: the kernels and fixed parameters that hold for all pictures."""
    return _lowered(steps, [np.full((2, step.draws), 0.5) for step in steps], _PRETEND)


def needs_sizes(steps: Sequence[Step]) -> bool:
    """Whether the sizes of the pictures must be known before they are decoded."""
    size = _PRETEND
    for step in steps:
        if step.needs_size and (size[0] != size[1]).any():
            return True
        for kernel in step.lower(np.full((2, step.draws), 0.5), size):
            size = kernel.out_size(size)
    return False


def sizing_point(program: Program) -> int | None:
    """How many kernels of an outline it takes until all pictures have one size; None if they never do."""
    size, point = _PRETEND, None
    for k, kernel in enumerate(program.kernels):
        size = kernel.out_size(size)
        if (size[0] != size[1]).any():
            point = None
        elif point is None:
            point = k + 1
    return point


def picture_size(program: Program) -> tuple[int, int]:
    """Height and width of the pictures after an outline's kernels, which reach the sizing point."""
    size = _PRETEND
    for kernel in program.kernels:
        size = kernel.out_size(size)
    return int(size[0, 0]), int(size[0, 1])


def _lowered(steps: Sequence[Step], numbers: Iterable[np.ndarray], size: np.ndarray) -> Program:
    kernels: list[Kernel] = []
    for step, u in zip(steps, numbers, strict=True):
        try:
            lowered = step.lower(u, size)
        except TooSmall as error:
            raise TooSmall(error.picture, f"{step.name()}: {error}") from None
        except ValueError as error:
            raise ValueError(f"{step.name()}: {error}") from None
        for kernel in lowered:
            size = kernel.out_size(size)
            _append(kernels, kernel)
    return Program(tuple(kernels))


def _append(kernels: list[Kernel], kernel: Kernel) -> None:
    fused = _fused(kernels[-1], kernel) if kernels else None
    if fused is None:
        kernels.append(kernel)
    else:
        kernels[-1] = fused


def _fused(first: Kernel, then: Kernel) -> Kernel | None:
    """One kernel that does both, where that changes no pixel or is what two mean by definition."""
    match first, then:
        case Resize(), Flip():
            return dataclasses.replace(first, roi=_turned(first.roi, then))
        case Flip(), Flip():
            return Flip(first.horizontal ^ then.horizontal, first.vertical ^ then.vertical)
        case Warp(), Warp() if (first.interpolation, first.fill) == (then.interpolation, then.fill):
            # Consecutive warps are defined as one interpolation.
            return dataclasses.replace(first, matrix=first.matrix @ then.matrix)
    return None


def _turned(roi: np.ndarray, flip: Flip) -> np.ndarray:
    """The regions with their ends swapped where the result is to be flipped."""
    top, left, bottom, right = roi.T
    columns = [
        np.where(flip.vertical, bottom, top),
        np.where(flip.horizontal, right, left),
        np.where(flip.vertical, top, bottom),
        np.where(flip.horizontal, left, right),
    ]
    return np.stack(columns, axis=1)
