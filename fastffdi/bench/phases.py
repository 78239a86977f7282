"""Splitting a training step into its phases."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

#: In the order of a step. data: waiting for the loader; copy: to the device, with what is left of the recipe,
#: and mixing; backward: with the loss; optimiser: with the learning rate and the sums for the log.
PHASES = ("data", "copy", "forward", "backward", "optimiser")


class PhaseTimer:
    """Time by phase: from the end of one to the end of the next.

    On the CPU by the clock. On CUDA by events on the device's current stream, which make nobody wait: gaps in
    which the device has nothing to do belong to the phase in which they occur.
    """

    def __init__(self, device: torch.device) -> None:
        cuda = device.type == "cuda"
        self._device = device
        self._now: Callable[[], Any] = partial(_event, device) if cuda else time.perf_counter
        self._between: Callable[[Any, Any], float] = _seconds_between if cuda else _difference
        self._laps: list[tuple[str, Any, Any]] = []
        self._last = self._now()

    def begin(self) -> None:
        """Forget what was measured; the next phase begins."""
        self._laps.clear()
        self._last = self._now()

    def end(self, phase: str) -> None:
        """A phase has ended, the next begins. A phase may end several times in a step."""
        now = self._now()
        self._laps.append((phase, self._last, now))
        self._last = now

    def seconds(self) -> dict[str, float]:
        """Seconds by phase since `begin`, all of PHASES; waits for the device."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        sums: defaultdict[str, float] = defaultdict(float)
        for phase, before, after in self._laps:
            sums[phase] += self._between(before, after)
        return {phase: sums[phase] for phase in PHASES}


def _difference(before: float, after: float) -> float:
    return after - before


def _event(device: torch.device) -> torch.cuda.Event:
    with torch.cuda.device(device):  # an event belongs to the device that is current when it is recorded
        event: torch.cuda.Event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(device))
    return event


def _seconds_between(before: torch.cuda.Event, after: torch.cuda.Event) -> float:
    return float(before.elapsed_time(after)) / 1000
