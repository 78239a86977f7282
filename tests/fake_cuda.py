"""A CUDA device on a machine without one, on which nothing may make the host wait.

By torch's FakeTensorMode: tensors have a device, a dtype, a shape and strides, but no values. Operations that
need values of the device on the host fail, and so do those whose operands are on different devices. Copies
between host and device are judged here, and so are operations that torch itself would copy an operand for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorDeviceMismatchError,
    FakeTensorMode,
)
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

aten = torch.ops.aten
_COPIES = aten._to_copy, aten.copy_
#: They move nothing: what device a tensor is on, and a new tensor's first wrapping.
_FREE = torch.ops.prim.device, aten.lift_fresh
#: A mask among their indices is made a list of places, which has as many as the mask has members.
_INDEXING = aten.index, aten._unsafe_index, aten.index_put, aten.index_put_, aten._unsafe_index_put
_FAILURES = DataDependentOutputException, DynamicOutputShapeException, FakeTensorDeviceMismatchError


class HostWaitsError(AssertionError):
    """On a GPU the host would wait for the device here, or operands are on different devices."""


@contextmanager
def fake_cuda() -> Iterator[torch.device]:
    """The device. Tensors made inside are fake; their numbers on the host, where code reads them, are 1.

    Raises HostWaitsError.
    """
    before = torch._C._only_lift_cpu_tensors()
    # Otherwise torch.tensor(…, device=…) makes its copy where no mode sees it.
    torch._C._set_only_lift_cpu_tensors(True)
    try:
        with FakeTensorMode(), _Arrays(), _NoWaits():
            yield torch.device("cuda", 0)
    finally:
        torch._C._set_only_lift_cpu_tensors(before)


class _Arrays(TorchFunctionMode):
    """Gives host tensors as arrays, which FakeTensorMode does not: what is written to them is forgotten."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is not torch.Tensor.numpy:
            return function(*args, **(kwargs or {}))
        if args[0].is_cuda:
            raise HostWaitsError("Tensor.numpy: of a tensor on the device")
        return np.ones(tuple(args[0].shape), str(args[0].dtype).removeprefix("torch."))


class _NoWaits(TorchDispatchMode):
    """Raises HostWaitsError; keeps which memory is page-locked, which FakeTensorMode does not know of."""

    def __init__(self) -> None:
        super().__init__()
        self._locked: list[torch.UntypedStorage] = []

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given, packet = kwargs or {}, operation.overloadpacket
        if packet is aten.is_pinned:
            return self._is_locked(args[0])
        if packet is aten._pin_memory:
            return self._lock(torch.empty_like(args[0]))
        if packet is aten._local_scalar_dense and not args[0].is_cuda:
            return 1
        if packet in _COPIES:
            self._check_copy(operation, args, given)
        elif packet not in _FREE:
            _check_operands(operation, args, given)
        try:
            out = operation(*args, **given)
        except _FAILURES as error:
            raise HostWaitsError(f"{operation}: {type(error).__name__} {error}") from error
        return self._lock(out) if given.get("pin_memory") else out

    def _lock(self, x: torch.Tensor) -> torch.Tensor:
        self._locked.append(x.untyped_storage())
        return x

    def _is_locked(self, x: torch.Tensor) -> bool:
        return x.untyped_storage()._cdata in {storage._cdata for storage in self._locked}

    def _check_copy(self, operation: Any, args: Any, given: dict[str, Any]) -> None:
        """Between host and device: in the background, out of page-locked memory or into it."""
        if operation.overloadpacket is aten.copy_:
            ends, background = args[:2], given.get("non_blocking", args[2:] == (True,))
            kinds = {x.device.type for x in ends}
        else:
            ends, background = args[:1], given.get("non_blocking", False)
            kinds = {ends[0].device.type, torch.device(given.get("device") or ends[0].device).type}
        if kinds != {"cpu", "cuda"}:
            return
        if not background:
            raise HostWaitsError(f"{operation}: a copy between host and device without non_blocking")
        # Of a copy down to new memory nobody could tell when it may be read.
        if not any(self._is_locked(x) for x in ends if not x.is_cuda):
            raise HostWaitsError(f"{operation}: a copy between the device and memory that is not page-locked")


def _check_operands(operation: Any, args: Any, given: dict[str, Any]) -> None:
    kinds = {x.device.type for x in tree_leaves((args, given)) if isinstance(x, torch.Tensor)}
    if kinds == {"cpu", "cuda"}:  # an index or a single number, which torch moves by itself, among them
        raise HostWaitsError(f"{operation}: operands on the host and on the device")
    if operation.overloadpacket in _INDEXING and "cuda" in kinds:
        masks = [x for x in args[1] if x is not None and x.dtype in (torch.bool, torch.uint8)]
        if masks:
            raise HostWaitsError(f"{operation}: indexed by a mask, whose members are counted")
