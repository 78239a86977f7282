"""What is looked at of every training batch in passing: whether its loss is a number, and the first batch."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from fastffdi.errors import RunError
from fastffdi.loaders.batch import Batch
from fastffdi.loaders.loader import Prepared

#: Batches between two readings of the running means.
PEEK_EVERY = 10

#: Batches that are remembered: the means that are read are up to two readings old.
REMEMBERED = 3 * PEEK_EVERY


@dataclass(frozen=True)
class Seen:
    """A batch that the run was trained on, without its images.

    Attributes:
        epoch, number: of the batch, both counted from 0
        rows, repeats: (N,) int64 as Batch has them, without placeholders
        sums: of the batch, on the device; its loss first
    """

    epoch: int
    number: int
    rows: np.ndarray
    repeats: np.ndarray
    sums: torch.Tensor


class NonFinite(RunError):
    """The loss of a batch is no finite number.

    Attributes:
        suspects: that batch last, and before it the one whose update may have spoilt the weights
    """

    def __init__(self, message: str, suspects: Sequence[Seen]) -> None:
        super().__init__(message)
        self.suspects = suspects


class Watch:
    """Sees every batch of training; it makes no device wait.

    Args:
        mixed: training is in mixed precision

    Attributes:
        first: called with the next batch, once, when its update has been made
    """

    def __init__(self, mixed: bool = True) -> None:
        self._mixed = mixed
        self._seen: deque[Seen] = deque(maxlen=REMEMBERED)
        self.first: Callable[[Batch, Prepared], None] | None = None

    def saw(
        self,
        batch: Batch,
        prepared: Prepared,
        number: int,
        sums: torch.Tensor,
        means: Mapping[str, float] | None,
    ) -> None:
        """A batch was trained on, the one of that number in its epoch.

        `sums` and `means` are what RunningMeans' `add` and `peek` gave; a mean that once was no number stays
        so. Raises NonFinite: on a CPU at once, else when `means` tell.
        """
        kept = batch.valid
        self._seen.append(Seen(batch.epoch, number, batch.rows[kept], batch.repeats[kept], sums))
        if self.first is not None:
            first, self.first = self.first, None
            first(batch, prepared)
        loss = sums[0].item() if sums.device.type == "cpu" else 0.0 if means is None else means["loss"]
        if not math.isfinite(loss):
            self.check()

    def check(self) -> None:
        """Raise NonFinite where the loss of a remembered batch is no finite number; waits for the device."""
        seen = [*self._seen]
        losses = torch.stack([one.sums[0] for one in seen]).tolist() if seen else []
        for k, loss in enumerate(losses):
            if not math.isfinite(loss):
                raise NonFinite(self._described(seen[k], loss), seen[max(0, k - 1) : k + 1])

    def _described(self, seen: Seen, loss: float) -> str:
        precision = "set --amp off, " * self._mixed
        where = f"epoch {seen.epoch + 1}, batch {seen.number + 1}"
        return f"{where}: the loss is {loss:g}; lower --lr, {precision}or set clip_gradient in --config"
