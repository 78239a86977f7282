"""Bringing the kernels of a batch to the device: only those with work to do, in one buffer and one copy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from fastffdi.recipe import kernels as k
from fastffdi.render.device.tensors import DeviceKernel, Parameters

#: Bytes; where a parameter begins in the buffer, since a view of another dtype must be aligned to it.
_ALIGNED = 8

_DTYPES = {
    "bool": torch.bool,
    "uint8": torch.uint8,
    "int32": torch.int32,
    "int64": torch.int64,
    "float32": torch.float32,
}


@dataclass(frozen=True)
class ActiveKernel:
    """A kernel with work to do.

    Attributes:
        kernel: with the parameters of the images that it changes
        members: (M,) int64: their indices in the batch; None: all
        branches: the active kernels of each branch of a Blend
    """

    kernel: k.Kernel
    members: np.ndarray | None = None
    branches: tuple[tuple[ActiveKernel, ...], ...] = ()

    def arrays(self) -> dict[str, np.ndarray]:
        """The per-image parameters by field name, in the dtypes they have on the device."""
        return {name: _plain(value) for name, value in self.kernel.arrays().items()}


def active_kernels(kernels: Iterable[k.Kernel]) -> tuple[ActiveKernel, ...]:
    """The kernels with work to do, each for the images that it changes."""
    return tuple(active for kernel in kernels if (active := _active(kernel)) is not None)


def _active(kernel: k.Kernel) -> ActiveKernel | None:
    # After Window and Resize there is one size, so that they have work with all images or with none.
    members = kernel.changed()
    if members is not None:
        if not len(members):
            return None
        kernel = kernel.take(members)
    branches = kernel.branches if isinstance(kernel, k.Blend) else ()
    return ActiveKernel(kernel, members, tuple(active_kernels(branch.kernels) for branch in branches))


def upload(kernels: Sequence[ActiveKernel], device: torch.device) -> tuple[DeviceKernel, ...]:
    """The kernels on the device."""
    arrays = list(_all_arrays(kernels))
    sizes = [-(-array.nbytes // _ALIGNED) * _ALIGNED for array in arrays]
    host = torch.empty(sum(sizes), dtype=torch.uint8, pin_memory=device.type == "cuda")
    for place, array in zip(torch.split(host, sizes), arrays, strict=True):
        place.numpy()[: array.nbytes] = array.reshape(-1).view(np.uint8)
    pieces = iter(torch.split(host.to(device, non_blocking=True), sizes))
    return tuple(_on_device(kernel, pieces) for kernel in kernels)


def _all_arrays(kernels: Iterable[ActiveKernel]) -> Iterator[np.ndarray]:
    """All arrays, in the order in which `_on_device` takes their pieces of the buffer."""
    for active in kernels:
        yield from active.arrays().values()
        if active.members is not None:
            yield active.members
        for branch in active.branches:
            yield from _all_arrays(branch)


def _on_device(active: ActiveKernel, pieces: Iterator[torch.Tensor]) -> DeviceKernel:
    parameters = {name: _like(array, next(pieces)) for name, array in active.arrays().items()}
    members = None if active.members is None else _like(active.members, next(pieces))
    branches = tuple(tuple(_on_device(kernel, pieces) for kernel in branch) for branch in active.branches)
    return DeviceKernel(active.kernel, Parameters(parameters), members, branches)


def _plain(value: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(value, np.float32 if value.dtype == np.float64 else value.dtype)


def _like(value: np.ndarray, piece: torch.Tensor) -> torch.Tensor:
    """The array whose bytes a piece of the buffer holds."""
    return piece[: value.nbytes].view(_DTYPES[value.dtype.name]).view(value.shape)
