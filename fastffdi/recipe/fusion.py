"""Fusion: two consecutive kernels as one, where no rounding lies between them.

Window and Flip are index maps: they fuse with each other and into the region of a Resize without changing a
pixel, except that resizing a mirrored image may round differently from mirroring a resized one. Tables fuse
exactly. Consecutive warps are defined as one interpolation. A Matrix fuses with nothing, not even with
Normalize: every kernel before Normalize rounds and clamps to uint8, which one product would not do.
"""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Sequence

import numpy as np

from fastffdi.recipe.kernels import Flip, Kernel, Resize, Table, Warp, Window


def fuse(kernels: Sequence[Kernel], size: np.ndarray | None) -> tuple[Kernel, ...]:
    """The kernels, each fused with the next where they can be.

    Args:
        size: (N, 2) height, width of the images; None where they are not known
    """
    return fuse_around(kernels, size, 0)[1]


def fuse_around(
    kernels: Sequence[Kernel], size: np.ndarray | None, barrier: int
) -> tuple[tuple[Kernel, ...], tuple[Kernel, ...]]:
    """As `fuse`, in two parts: of the first `barrier` kernels, and of the others.

    A fused kernel that would reach across the barrier is left in two, and every other one is as without it.
    No pixel depends on where the barrier is, unless it divides consecutive warps, which are defined as one
    interpolation, or a flip from the resize after it, by rounding.
    """
    whole: list[Kernel] = []
    firsts: list[int] = []  # of each fused kernel, the index of its first part
    sizes = [size]  # before each kernel
    for index, kernel in enumerate(kernels):
        both = fuse_pair(whole[-1], kernel, sizes[firsts[-1]]) if whole else None
        if both is None:
            whole.append(kernel)
            firsts.append(index)
        else:
            whole[-1] = both
        sizes.append(kernel.out_size(sizes[-1]))
    if barrier in (*firsts, 0, len(kernels)):
        place = bisect.bisect_left(firsts, barrier)
        return tuple(whole[:place]), tuple(whole[place:])
    place = bisect.bisect(firsts, barrier) - 1
    first, last = [*firsts, len(kernels)][place : place + 2]
    before = fuse(kernels[first:barrier], sizes[first])
    after = fuse(kernels[barrier:last], sizes[barrier])
    return (*whole[:place], *before), (*after, *whole[place + 1 :])


def fuse_pair(first: Kernel, then: Kernel, size: np.ndarray | None) -> Kernel | None:
    """One kernel that does both to images of height, width `size` (N, 2), or None where there is none.

    Which kernels fuse does not depend on the parameters of single images.
    """
    match first, then:
        case Flip(), Flip():
            return Flip(first.horizontal ^ then.horizontal, first.vertical ^ then.vertical)
        case Flip(), Window():
            return _flipped(dataclasses.replace(then, start=_mirrored(then, first, size)), first)
        case Window(), Flip():
            return _flipped(first, then)
        case Window(), Window() if then.inside:
            start = first.start + _mirrored(then, _flip_of(first), first.size)
            cut = dataclasses.replace(first, start=start, size=then.size)
            return cut if then.horizontal is None else _flipped(cut, _flip_of(then))
        case Window(), Resize() if first.inside:
            region = _region(first, size)
            return dataclasses.replace(then, roi=_within(region, then.roi))
        case Flip(), Resize():
            whole = np.tile(np.array([[0, 0, 1, 1]], np.float32), (len(then.roi), 1))
            return dataclasses.replace(then, roi=_within(_turned(whole, first), then.roi))
        case Resize(), Flip():
            return dataclasses.replace(first, roi=_turned(first.roi, then))
        case Table(), Table():
            return Table(np.take_along_axis(then.table, first.table.astype(np.intp), axis=1))
        case Warp(), Warp() if (first.interpolation, first.fill) == (then.interpolation, then.fill):
            projective = first.projective or then.projective
            return dataclasses.replace(first, matrix=first.matrix @ then.matrix, projective=projective)
    return None


def _flip_of(window: Window) -> Flip:
    """The flip that a window ends with; one that does nothing where it has none."""
    still = np.zeros(len(window.start), bool)
    return Flip(
        still if window.horizontal is None else window.horizontal,
        still if window.vertical is None else window.vertical,
    )


def _flipped(window: Window, flip: Flip) -> Window:
    own = _flip_of(window)
    return dataclasses.replace(
        window, horizontal=own.horizontal ^ flip.horizontal, vertical=own.vertical ^ flip.vertical
    )


def _mirrored(window: Window, flip: Flip, size: np.ndarray | None) -> np.ndarray:
    """Where the window begins (N, 2) in images of `size` that are not flipped yet."""
    assert size is not None, "steps that lower to a Window need the sizes"
    turned = np.stack([flip.vertical, flip.horizontal], axis=1)
    return np.where(turned, size - window.start - window.size, window.start).astype(np.int32)


def _region(window: Window, size: np.ndarray | None) -> np.ndarray:
    """The window as a region (N, 4) float64, fractions of the image, with its ends swapped for flips."""
    assert size is not None, "steps that lower to a Window need the sizes"
    ends = np.concatenate([window.start, window.start + window.size], axis=1) / np.tile(size, (1, 2))
    return _turned(ends, _flip_of(window))


def _within(outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """The region (N, 4) float32 that is `inner` in the image that `outer` is in a larger one."""
    start, extent = outer[:, :2], outer[:, 2:] - outer[:, :2]
    return (np.tile(start, (1, 2)) + inner * np.tile(extent, (1, 2))).astype(np.float32)


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
