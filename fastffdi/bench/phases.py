"""The time of a training step by phase."""

from __future__ import annotations

import itertools
import time
from typing import Any

import torch

from fastffdi.model.device import recorded_event

#: In the order of a step. data: waiting for the loader; copy: to the device, with what remains of the recipe,
#: and mixing; backward: with the loss; optimiser: with the learning rate and the sums for the log.
PHASES = ("data", "copy", "forward", "backward", "optimiser")


class PhaseTimer:
    """Time by phase: from the end of one to the end of the next.

    On the CPU by the clock. On CUDA by events on the device's current stream, which block nothing: time in
    which the device is idle belongs to the phase in which it occurs.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.begin()

    def begin(self) -> None:
        """Discard what was measured; the next phase begins."""
        self._marks: list[tuple[str, Any]] = [("", self._now())]

    def end(self, phase: str) -> None:
        """A phase has ended, the next begins. A phase may end several times in a step."""
        self._marks.append((phase, self._now()))

    def seconds(self) -> dict[str, float]:
        """Seconds by phase since `begin`, for all of PHASES; waits for the device."""
        cuda = self._device.type == "cuda"
        if cuda:
            torch.cuda.synchronize(self._device)
        sums = dict.fromkeys(PHASES, 0.0)
        for (_, before), (phase, now) in itertools.pairwise(self._marks):
            sums[phase] += before.elapsed_time(now) / 1000 if cuda else now - before
        return sums

    def _now(self) -> Any:
        if self._device.type != "cuda":
            return time.perf_counter()
        return recorded_event(self._device, timing=True)
