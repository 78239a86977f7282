"""Measures of an epoch: means that stay on the device, and the time that the device waited for data."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from fastffdi.model.device import recorded_event


class RunningMeans:
    """Weighted means, summed on the device and read without making the host wait.

    Args:
        names: the quantities, in the order in which `add` takes them
    """

    def __init__(self, names: tuple[str, ...], device: torch.device) -> None:
        self._names, self._device = names, device
        self._sums = torch.zeros(len(names) + 1, device=device)
        self._snapshot = torch.zeros(len(names) + 1, pin_memory=device.type == "cuda")
        self._copied: torch.cuda.Event | None = None

    def add(self, *sums: torch.Tensor) -> torch.Tensor:
        """Add the sums over a batch, one scalar per name, and last the number of images they are over.

        Returns them in one tensor, on the device.
        """
        added = torch.stack([value.detach().float() for value in sums])
        self._sums += added
        return added

    def peek(self) -> dict[str, float] | None:
        """The means as of an earlier call, None at first: asks for the present ones, never waits for them."""
        seen = self._means(self._snapshot) if self._snapshot[-1] > 0 else None
        if self._copied is None or self._copied.query():  # type: ignore[no-untyped-call]
            self._snapshot.copy_(self._sums, non_blocking=True)
            if self._device.type == "cuda":
                self._copied = recorded_event(self._sums.device)
        return seen

    def means(self, total: Callable[[torch.Tensor], torch.Tensor] = torch.Tensor.detach) -> dict[str, float]:
        """The means so far; waits for the device. `total` makes the sums of all processes of this one's."""
        return self._means(total(self._sums).cpu())

    def sums(self) -> list[float]:
        """The sums so far, each a float32 that a float holds exactly; waits for the device."""
        sums: list[float] = self._sums.tolist()
        return sums

    def load_sums(self, sums: list[float]) -> None:
        """Go on from what `sums` gave."""
        self._sums.copy_(torch.tensor(sums))

    def _means(self, sums: torch.Tensor) -> dict[str, float]:
        *totals, count = sums.tolist()
        return {name: total / max(count, 1) for name, total in zip(self._names, totals, strict=True)}


class WaitClock:
    """Time spent waiting for data: on the CPU by the clock, on CUDA by events on the model's stream.

    It begins with so many `seconds`, of which so many were `waited`.
    """

    def __init__(self, device: torch.device, seconds: float = 0.0, waited: float = 0.0) -> None:
        self._device, self._cuda = device, device.type == "cuda"
        self._waited = waited
        self._events: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []
        self._began = time.perf_counter() - seconds

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Counts what happens inside as waiting."""
        if self._cuda:
            before = recorded_event(self._device, timing=True)
            yield
            self._events.append((before, recorded_event(self._device, timing=True)))
        else:
            began = time.perf_counter()
            yield
            self._waited += time.perf_counter() - began

    def read(self) -> tuple[float, float]:
        """Seconds, and how many of them were spent waiting; waits for the device."""
        if self._cuda:
            torch.cuda.synchronize(self._device)
        seconds = time.perf_counter() - self._began
        return seconds, self._waited + sum(a.elapsed_time(b) for a, b in self._events) / 1000
