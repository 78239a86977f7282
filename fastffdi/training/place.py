"""Where a run is: its epoch, and the sums over the images of it that it has been trained on."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from fastffdi.training.measures import RunningMeans, WaitClock


class Place:
    """Where a run is; between two updates `state_dict` has all of it.

    Attributes:
        epoch: the present one, counted from 0
        images: of this epoch, that the run has been trained on
        means: of the loss, the accuracy and the norm of the gradient, in this epoch
        highest_rate: the highest learning rate of the updates in this epoch
        corrupt: rows that were skipped in this epoch's training
        fresh: this process has not made an update yet
        pending: the last batches are in no update yet, whose gradients a state would lack
    """

    def __init__(self, device: torch.device) -> None:
        self._device, self.fresh, self.pending = device, True, False
        self.begin(0)

    def begin(self, epoch: int) -> None:
        """Be at the beginning of an epoch."""
        self.epoch, self.images, self.highest_rate = epoch, 0, 0.0
        self.means = RunningMeans(("loss", "accuracy", "gradient_norm"), self._device)
        self.corrupt: set[int] = set()
        self._seconds = self._waited = self._saved = self._between = 0.0
        self._clock: WaitClock | None = None

    def start_clock(self) -> WaitClock:
        """A clock that goes on where the epoch's time stands, until `stop_clock`."""
        self._clock = WaitClock(self._device, self._seconds, self._waited)
        return self._clock

    def stop_clock(self) -> None:
        """The epoch's training is over; waits for the device."""
        assert self._clock is not None, "start_clock comes first"
        (self._seconds, self._waited), self._clock = self._clock.read(), None

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Counts what happens inside as saving, which training stands still for."""
        began = time.perf_counter()
        yield
        seconds = time.perf_counter() - began
        self._saved += seconds
        if self._clock is None:
            self._between += seconds

    def add(
        self, images: int, sums: tuple[torch.Tensor, ...], rate: float, pending: bool = False
    ) -> torch.Tensor:
        """A batch of so many images was used; `sums` and the result as RunningMeans.add, `rate` that of its
        update, which is `pending` where it needs another batch.
        """
        added = self.means.add(*sums)
        self.images += images
        self.highest_rate = max(self.highest_rate, rate)
        self.fresh, self.pending = False, pending
        return added

    @property
    def images_per_second(self) -> float:
        """The epoch's speed, when its clock is stopped."""
        return self.images / self._seconds

    @property
    def wait_share(self) -> float:
        """The share of the time that was spent waiting for images, when the clock is stopped."""
        return self._waited / self._seconds

    @property
    def save_share(self) -> float:
        """The share of the time that was spent saving, from the end of the epoch before on."""
        return self._saved / (self._seconds + self._between)

    def state_dict(self) -> dict[str, Any]:
        """The place as plain numbers; waits for the device."""
        seconds, waited = (self._seconds, self._waited) if self._clock is None else self._clock.read()
        return {
            "epoch": self.epoch,
            "images": self.images,
            "highest_rate": self.highest_rate,
            "sums": self.means.sums(),
            "corrupt": sorted(self.corrupt),
            "seconds": seconds,
            "waited": waited,
            "saved": self._saved,
            "between": self._between,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Be where `state_dict` was called."""
        self.begin(state["epoch"])
        self.images, self.highest_rate = state["images"], state["highest_rate"]
        self.means.load_sums(state["sums"])
        self.corrupt.update(state["corrupt"])
        self._seconds, self._waited = state["seconds"], state["waited"]
        self._saved, self._between = state["saved"], state["between"]
