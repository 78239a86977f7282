"""The figures of an epoch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EpochResult:
    """One epoch's figures. Losses in nats; AUC None where one class is absent; wait_share of the seconds.

    `learning_rate` is the highest of its updates. `corrupt` counts images that were skipped, in training and
    validation.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    images_per_second: float
    wait_share: float
    learning_rate: float
    validation: dict[str, float | None]
    corrupt: int = 0
