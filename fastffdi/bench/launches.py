"""How many kernels a step launches."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

#: What the host asks of a GPU: kernels, copies, fills, and whole CUDA graphs, each of which counts once.
_CALLS = ("cudaLaunchKernel", "cuLaunchKernel", "cudaMemcpy", "cudaMemset", "cudaGraphLaunch")

#: Operators that allocate or rename, and compute nothing.
_NO_WORK = ("empty", "new_empty", "resize_", "set_", "detach", "lift_fresh", "as_strided_", "resolve_conj")


def per_step(train: Callable[[int], object], device: torch.device) -> int:
    """Launches of one step of `train(steps)`: what two steps launch more than one does.

    - on CUDA, calls of the driver's interface that launch a kernel, a copy, a fill or a CUDA graph
    - on the CPU, operators that compute, as torch's dispatcher sees them (a convolution is one, views and
      allocations are none), and fused kernels of torch.compile

    Counted are those of the calling thread and of its backward passes, not those of a loader's threads.
    """
    return _launches(lambda: train(2), device) - _launches(lambda: train(1), device)


def _launches(run: Callable[[], object], device: torch.device) -> int:
    cuda = device.type == "cuda"
    # Else the profiler reports on itself in the middle of the output.
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]
    with profile(activities=activities) as profiler:
        run()
        if cuda:
            torch.cuda.synchronize(device)
    events: Any = profiler.events()
    if cuda:
        return sum(event.name.startswith(_CALLS) for event in events)
    return _computing(event for event in events if event.cpu_parent is None)


def _computing(events: Iterable[Any]) -> int:
    """Events that compute, in trees of events: the outermost on each branch."""
    return sum(1 if _computes(event.name) else _computing(_inner(event)) for event in events)


def _inner(event: Any) -> list[Any]:
    """What else an event is made of: nothing, for an operator that is not composite."""
    name: str = event.name
    return event.cpu_children if not name.startswith("aten::") or _composite(name) else []


@cache
def _computes(name: str) -> bool:
    if not name.startswith("aten::"):
        return "cpp_fused" in name
    idle = name.removeprefix("aten::").startswith(_NO_WORK) or any(op.is_view for op in _overloads(name))
    return not idle and not _composite(name)


@cache
def _composite(name: str) -> bool:
    """Whether the dispatcher sees other operators in this one's place."""
    keys, overloads = torch._C.DispatchKey, _overloads(name)
    own = any(
        op.has_kernel_for_dispatch_key(keys.CPU) for op in overloads
    )  # as native_batch_norm, which has both
    return not own and any(op.has_kernel_for_dispatch_key(keys.CompositeImplicitAutograd) for op in overloads)


@cache
def _overloads(name: str) -> list[Any]:
    known = _dispatched()
    packet = getattr(torch.ops.aten, name.removeprefix("aten::"))
    overloads = [getattr(packet, overload) for overload in packet.overloads()]
    return [op for op in overloads if op.name() in known]


@cache
def _dispatched() -> frozenset[str]:
    """Operators of the dispatcher; TorchScript has more."""
    return frozenset(torch._C._dispatch_get_all_op_names())
