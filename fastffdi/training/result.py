"""The figures of an epoch."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

#: Of which weights a result is: those that are trained, or their moving average.
RAW, EMA = "raw", "ema"


@dataclass(frozen=True)
class EpochResult:
    """One epoch's figures. Losses in nats; AUC None where one class is absent; shares of the seconds.

    `learning_rate` is the highest of its updates. `corrupt` counts images that were skipped, in training and
    validation. `gradient_norm` is the mean over the training images. `save_share` is the time that training
    stood still to be saved. `scores` (n,) float64 are those of the validation rows, NaN where they were
    skipped; a History does not keep them. `weights` says of which weights the validation is: raw, or ema,
    their moving average; `aucs` has that of both, where there is an average.
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
    save_share: float = 0.0
    scores: np.ndarray | None = field(default=None, compare=False, repr=False)
    weights: str = RAW
    aucs: dict[str, float | None] = field(default_factory=dict)
