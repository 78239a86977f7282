"""The parameters of a batch's kernels in one buffer, for one copy to a device: only those with work to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fastffdi.recipe.kernels import Blend, Kernel

#: Bytes; where a parameter begins in the buffer, since a view of another dtype must be aligned to it.
_ALIGNED = 8


@dataclass(frozen=True)
class ActiveKernel:
    """A kernel with work to do.

    Attributes:
        kernel: with the parameters of the images that it changes
        members: (M,) int64: the images' indices in the batch; None: all
        branches: the active kernels of each branch of a Blend
    """

    kernel: Kernel
    members: np.ndarray | None = None
    branches: tuple[tuple[ActiveKernel, ...], ...] = ()

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        """The per-image parameters by field name, in the dtypes they have on the device."""
        return {name: _plain(value) for name, value in self.kernel.arrays().items()}


@dataclass(frozen=True)
class Packed:
    """Kernels with work to do and their parameters.

    Attributes:
        kernels: in order
        sizes: bytes of each array of the kernels, in the order of `all_arrays`, alignment included
        buffer: (B,) uint8: these arrays, one after the other
    """

    kernels: tuple[ActiveKernel, ...]
    sizes: list[int]
    buffer: np.ndarray


def pack(kernels: Iterable[Kernel]) -> Packed:
    """The kernels that change an image, each with the parameters of those that it changes."""
    return packed(active_kernels(kernels))


def packed(active: tuple[ActiveKernel, ...]) -> Packed:
    """These kernels with their parameters in one buffer."""
    arrays = list(all_arrays(active))
    sizes = [-(-array.nbytes // _ALIGNED) * _ALIGNED for array in arrays]
    buffer, first = np.empty(sum(sizes), np.uint8), 0
    for array, size in zip(arrays, sizes, strict=True):
        buffer[first : first + array.nbytes] = array.reshape(-1).view(np.uint8)
        first += size
    return Packed(active, sizes, buffer)


def active_kernels(kernels: Iterable[Kernel]) -> tuple[ActiveKernel, ...]:
    """The kernels with work to do, each for the images that it changes."""
    return tuple(active for kernel in kernels if (active := _active(kernel)) is not None)


def all_arrays(kernels: Iterable[ActiveKernel]) -> Iterator[np.ndarray]:
    """The arrays of each kernel: its parameters, its members, and those of its branches."""
    for active in kernels:
        yield from active.arrays.values()
        if active.members is not None:
            yield active.members
        for branch in active.branches:
            yield from all_arrays(branch)


def _active(kernel: Kernel) -> ActiveKernel | None:
    # After Window and Resize there is one size, so that they have work with all images or with none.
    members = kernel.changed()
    if members is not None:
        if not len(members):
            return None
        kernel = kernel.take(members)
    branches = kernel.branches if isinstance(kernel, Blend) else ()
    return ActiveKernel(kernel, members, tuple(active_kernels(branch.kernels) for branch in branches))


def _plain(value: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(value, np.float32 if value.dtype == np.float64 else value.dtype)
