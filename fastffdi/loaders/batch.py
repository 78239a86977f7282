"""What backends give, and what a backend is: the part of a loader that decodes and renders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from fastffdi.loaders.corrupt import Corrupt
from fastffdi.recipe.program import Program

if TYPE_CHECKING:
    from fastffdi.loaders.planner import BatchPlanner


@dataclass(frozen=True)
class Batch:
    """One batch of images; it belongs to its consumer, and no loader writes to it again.

    Attributes:
        images: (N·views, H, W, 3) uint8, rows first; float32 and already normalised from torchvision
        labels: (N,) int64: 0 real, 1 fake, −1 unknown
        rows: (N,) int64 into the manifest
        repeats: (N,) int64: how often the row has come before in this epoch
        valid: (N,) bool: False where an image is a placeholder, a copy of one of the batch that is none
        epoch: the epoch the images were planned for
        remaining: what is still to be done to the images, with this batch's parameters; for the DeviceStage
        views: images per row, once nothing remains
        corrupt: why the placeholders are there, in the order of their places
    """

    images: torch.Tensor
    labels: np.ndarray
    rows: np.ndarray
    repeats: np.ndarray
    valid: np.ndarray
    epoch: int
    remaining: Program
    views: int = 1
    corrupt: tuple[Corrupt, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)


class Backend(Protocol):
    """Renders the batches of an epoch in order, ahead of their use."""

    @property
    def planner(self) -> BatchPlanner:
        """Which images come in which batch."""

    def __len__(self) -> int:
        """Batches in an epoch."""

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from number `start` on; the first are being rendered when this returns.

        Raises UndecodableImage, as the iteration does.
        """

    def close(self) -> None:
        """Free threads, processes and pipelines; the loader cannot be used again."""
