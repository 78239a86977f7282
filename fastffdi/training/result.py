"""The figures of an epoch."""

from __future__ import annotations

from dataclasses import dataclass, field

#: Of which weights a result is: those that are trained, or their moving average.
RAW, EMA = "raw", "ema"


@dataclass(frozen=True)
class EpochResult:
    """One epoch's figures. Losses in nats; AUC None where one class is absent; wait_share of the seconds.

    `learning_rate` is the highest of its updates. `corrupt` counts images that were skipped, in training and
    validation. `gradient_norm` is the mean over the training images. `weights` says of which weights the
    validation is: raw, or ema, their moving average; `aucs` has that of both, where there is an average.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    images_per_second: float
    wait_share: float
    learning_rate: float
    validation: dict[str, float | None]
    corrupt: int = 0
    gradient_norm: float | None = None
    weights: str = RAW
    aucs: dict[str, float | None] = field(default_factory=dict)
