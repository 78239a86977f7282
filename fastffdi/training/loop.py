"""The training loop: epochs of mixed batches, an evaluation after each, the best and the last model kept."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn

from fastffdi.errors import RunError
from fastffdi.evaluation import metrics
from fastffdi.inference.scoring import Scorer
from fastffdi.loaders.loader import DeviceLoader, Prepared
from fastffdi.model.compilation import explained
from fastffdi.model.precision import Precision
from fastffdi.training.measures import RunningMeans, WaitClock
from fastffdi.training.objective import CrossEntropy, Objective
from fastffdi.training.optimiser import Optimiser

#: Batches between two readings of the running means.
PEEK_EVERY = 10

#: Batches before the end at which the next loader begins: those that a loader makes ahead are rendered then.
LAST_BATCHES = 3

#: Called after each batch with its number of images, and now and then with the means so far.
Progress = Callable[[int, dict[str, float] | None], None]


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


@dataclass(frozen=True)
class Trainer:
    """What an epoch needs besides its data; `objective` is the compiled one where there is one."""

    model: nn.Module
    precision: Precision
    optimiser: Optimiser
    device: torch.device
    objective: Objective | None = None

    def fit(
        self,
        train: DeviceLoader,
        val: DeviceLoader,
        labels: np.ndarray,
        epochs: int,
        progress: Progress,
    ) -> Iterator[EpochResult]:
        """Train for `epochs`, yielding after each; `labels` (n,) are those of the validation rows.

        Neither loader stands still where the other one's turn comes: it has begun a few batches before.
        """
        for epoch in range(epochs):
            training = _begins(progress, len(train), partial(val.begin, 0))
            validating = progress
            if epoch + 1 < epochs:
                validating = _begins(progress, len(val), partial(train.begin, epoch + 1))
            yield self._epoch(train, val, labels, epoch, training, validating)

    def _epoch(
        self,
        train: DeviceLoader,
        val: DeviceLoader,
        labels: np.ndarray,
        epoch: int,
        training: Progress,
        validating: Progress,
    ) -> EpochResult:
        means, speed, wait_share = self.train_epoch(train, epoch, training)
        rate = self.optimiser.highest_rate()
        scores = Scorer(self.model, self.precision)(val, len(labels), lambda seen: validating(seen, None))
        skipped = len(train.corrupt) + len(val.corrupt)
        kept = np.setdiff1d(np.arange(len(labels)), list(val.corrupt))
        if not len(kept):
            raise RunError(f"epoch {epoch + 1}: no validation image can be decoded")
        scores, labels = scores[kept], labels[kept]
        if not np.isfinite(scores).all():
            raise RunError(f"epoch {epoch + 1}: the model's scores are not finite; lower --lr")
        figures = metrics.summary(labels, scores)
        return EpochResult(epoch, means["loss"], means["accuracy"], speed, wait_share, rate, figures, skipped)

    def train_epoch(
        self, loader: DeviceLoader, epoch: int, progress: Progress
    ) -> tuple[dict[str, float], float, float]:
        """One pass over the training images: mean loss and accuracy, images/s, share of time waiting.

        Raises RunError where the mean loss is no finite number.
        """
        self.model.train()
        means, clock = RunningMeans(("loss", "accuracy"), self.device), WaitClock(self.device)
        seen, batches = 0, loader.batches(epoch)
        for step in range(len(loader)):
            with clock.waiting():
                batch = next(batches)
            means.add(*self._step(loader.prepared(batch)))
            seen += len(batch)
            progress(len(batch), means.peek() if step % PEEK_EVERY == 0 else None)
        seconds, wait_share = clock.stop()
        figures = means.means()
        if not np.isfinite(figures["loss"]):
            raise RunError(f"epoch {epoch + 1}: the loss is {figures['loss']}; lower --lr or set --amp off")
        return figures, seen / seconds, wait_share

    def _step(self, batch: Prepared) -> tuple[torch.Tensor, ...]:
        """One update: summed loss, summed accuracy, and how many images they are over."""
        objective = self.objective or CrossEntropy(self.model, self.precision, self.device)
        with explained():
            mean, *sums = objective(*batch)
            self.optimiser.step(mean)
        return tuple(sums)


def _begins(progress: Progress, batches: int, begin: Callable[[], None]) -> Progress:
    """`progress` for so many batches, which calls `begin` once when the last ones are left."""
    done, last = itertools.count(1), max(1, batches - LAST_BATCHES)

    def called(images: int, means: dict[str, float] | None) -> None:
        if next(done) == last:
            begin()
        progress(images, means)

    return called
