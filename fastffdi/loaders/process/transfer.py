"""Copies batches out of the ring to the device, and releases slots whose copy has completed."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch

from fastffdi.render.memory import Pool


class Event(Protocol):
    """The completion of a copy; torch.cuda.Event is one."""

    def query(self) -> bool: ...

    def synchronize(self) -> None: ...


#: Starts a copy of images: the copy, which may be used on the current stream, and its completion.
Copy = Callable[[torch.Tensor], tuple[torch.Tensor, Event]]


def copying(device: torch.device) -> Copy:
    """How images in host memory are copied for a model on `device`."""
    return ToCuda(device) if device.type == "cuda" else ToCpu()


class _Completed:
    def query(self) -> bool:
        return True

    def synchronize(self) -> None:
        pass


class ToCpu:
    """Copies that are complete when the call returns."""

    def __init__(self) -> None:
        self._memory = Pool(spare=2)

    def __call__(self, images: torch.Tensor) -> tuple[torch.Tensor, Event]:
        copy = self._memory.empty(images.shape, images.dtype)
        # By numpy: torch would share it out, and its threads spin on cores that the child process needs.
        np.copyto(copy.numpy(), images.numpy())
        return copy, _Completed()


class ToCuda:
    """Copies on a stream of its own; the current stream waits for the copy, the host does not."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def __call__(self, images: torch.Tensor) -> tuple[torch.Tensor, Event]:
        with torch.cuda.stream(self._stream):
            copy = images.to(self._device, non_blocking=True)
            event = self._stream.record_event()
        current = torch.cuda.current_stream(self._device)
        current.wait_event(event)
        # Its memory is the side stream's, which must not reuse it before the current stream has used it.
        copy.record_stream(current)
        return copy, event


class Transfer:
    """The slots being copied from; a slot is released only when its copy has completed."""

    def __init__(self, copy: Copy) -> None:
        self._copy = copy
        self._in_flight: deque[tuple[int, Event]] = deque()

    def take(self, slot: int, images: torch.Tensor) -> torch.Tensor:
        """Start a copy of the slot's images."""
        copy, event = self._copy(images)
        self._in_flight.append((slot, event))
        return copy

    def completed(self) -> list[int]:
        """Slots that may be written again, each reported once; without a wait."""
        slots = []
        while self._in_flight and self._in_flight[0][1].query():
            slots.append(self._in_flight.popleft()[0])
        return slots

    def all_but_one(self) -> list[int]:
        """The same, after a wait until at most one copy is in flight."""
        for _, event in list(self._in_flight)[:-1]:
            event.synchronize()
        return self.completed()

    def close(self) -> None:
        """Wait for the copies in flight."""
        # A failed device raises at every call; that error surfaces elsewhere.
        with contextlib.suppress(RuntimeError):
            while self._in_flight:
                self._in_flight.popleft()[1].synchronize()
