"""Bringing the packed parameters of a batch's kernels to the device, in one copy."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from fastffdi.recipe.packing import ActiveKernel, Packed
from fastffdi.render.device.tensors import DeviceKernel, Parameters, to_device

_DTYPES = {
    "bool": torch.bool,
    "uint8": torch.uint8,
    "int32": torch.int32,
    "int64": torch.int64,
    "float32": torch.float32,
}


def upload(packed: Packed, device: torch.device) -> tuple[DeviceKernel, ...]:
    """The kernels on the device."""
    pieces = iter(torch.split(to_device(torch.from_numpy(packed.buffer), device), packed.sizes))
    return tuple(_on_device(kernel, pieces) for kernel in packed.kernels)


def _on_device(active: ActiveKernel, pieces: Iterator[torch.Tensor]) -> DeviceKernel:
    parameters = {name: _like(array, next(pieces)) for name, array in active.arrays.items()}
    members = None if active.members is None else _like(active.members, next(pieces))
    branches = tuple(tuple(_on_device(kernel, pieces) for kernel in branch) for branch in active.branches)
    return DeviceKernel(active.kernel, Parameters(parameters), members, branches)


def _like(value: np.ndarray, piece: torch.Tensor) -> torch.Tensor:
    """The array whose bytes a piece of the buffer holds."""
    return piece[: value.nbytes].view(_DTYPES[value.dtype.name]).view(value.shape)
