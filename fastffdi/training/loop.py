"""The training loop: epochs of mixed batches, an evaluation after each, the best and the last model kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from fastffdi.errors import RunError
from fastffdi.evaluation import metrics
from fastffdi.inference.scoring import Scorer
from fastffdi.loaders.batch import Batch, Loader
from fastffdi.model.precision import Precision
from fastffdi.render.device.stage import DeviceStage
from fastffdi.training.measures import RunningMeans, WaitClock
from fastffdi.training.mix import Mixer
from fastffdi.training.optimiser import Optimiser

#: Batches between two readings of the running means.
PEEK_EVERY = 10

#: Called after each batch with its number of images, and now and then with the means so far.
Progress = Callable[[int, dict[str, float] | None], None]


@dataclass(frozen=True)
class EpochResult:
    """One epoch's figures. Losses in nats; AUC None where one class is absent; wait_share of the seconds."""

    epoch: int
    train_loss: float
    train_accuracy: float
    images_per_second: float
    wait_share: float
    learning_rate: float
    validation: dict[str, float | None]


@dataclass(frozen=True)
class Trainer:
    """What an epoch needs besides its data. `mixer` is None where nothing is mixed."""

    model: nn.Module
    stage: DeviceStage
    precision: Precision
    optimiser: Optimiser
    mixer: Mixer | None

    def fit(
        self,
        train: Loader,
        val: Loader,
        labels: np.ndarray,
        epochs: int,
        progress: Progress,
    ) -> Iterator[EpochResult]:
        """Train for `epochs`, yielding after each; `labels` (n,) are those of the validation rows."""
        for epoch in range(epochs):
            yield self._epoch(train, val, labels, epoch, progress)

    def _epoch(
        self, train: Loader, val: Loader, labels: np.ndarray, epoch: int, progress: Progress
    ) -> EpochResult:
        rate = self.optimiser.learning_rate
        means, speed, wait_share = self.train_epoch(train, epoch, progress)
        scorer = Scorer(self.model, self.stage, self.precision)
        scores = scorer(val, len(labels), lambda seen: progress(seen, None))
        if not np.isfinite(scores).all():
            raise RunError(f"epoch {epoch + 1}: the model's scores are not finite; lower --lr")
        figures = metrics.summary(labels, scores)
        return EpochResult(epoch, means["loss"], means["accuracy"], speed, wait_share, rate, figures)

    def train_epoch(
        self, loader: Loader, epoch: int, progress: Progress
    ) -> tuple[dict[str, float], float, float]:
        """One pass over the training images: mean loss and accuracy, images/s, share of time waiting.

        Raises RunError where the mean loss is no finite number.
        """
        self.model.train()
        means, clock = RunningMeans(("loss", "accuracy"), self.stage.device), WaitClock(self.stage.device)
        seen, batches = 0, loader.epoch(epoch)
        for step in range(len(loader)):
            with clock.waiting():
                batch = next(batches)
            images = self.stage(batch)
            means.add(*self._step(images, batch))
            seen += len(batch)
            progress(len(batch), means.peek() if step % PEEK_EVERY == 0 else None)
        seconds, wait_share = clock.stop()
        figures = means.means()
        if not np.isfinite(figures["loss"]):
            raise RunError(f"epoch {epoch + 1}: the loss is {figures['loss']}; lower --lr or set --amp off")
        return figures, seen / seconds, wait_share

    def _step(self, images: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, ...]:
        """One update: summed loss, summed accuracy, and how many images they are over."""
        labels, valid = self._labels(batch)
        partners, share = labels, torch.ones_like(valid)
        if self.mixer is not None:
            images, partners, share = self.mixer(images, labels, batch)
        with self.precision.autocast(self.stage.device):
            logits = self.model(images)
        losses = soft_cross_entropy(logits.float(), labels, partners, share)
        total = (losses * valid).sum()
        self.optimiser.step(total / valid.sum().clamp(min=1))
        correct = mixed_accuracy(logits, labels, partners, share)
        return total, (correct * valid).sum(), valid.sum()

    def _labels(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Labels (N·views,) int64 and validity (N·views,) float32 on the device, in one copy."""
        both = torch.from_numpy(np.stack([batch.labels, batch.valid]).repeat(batch.views, axis=1))
        if self.stage.device.type == "cuda":
            both = both.pin_memory().to(self.stage.device, non_blocking=True)
        return both[0], both[1].float()


def soft_cross_entropy(
    logits: torch.Tensor, labels: torch.Tensor, partners: torch.Tensor, share: torch.Tensor
) -> torch.Tensor:
    """Cross-entropy (N,) of logits (N, 2) to `share` on the label and the rest on the partner's label."""
    own = F.cross_entropy(logits, labels, reduction="none")
    return torch.lerp(F.cross_entropy(logits, partners, reduction="none"), own, share)


def mixed_accuracy(
    logits: torch.Tensor, labels: torch.Tensor, partners: torch.Tensor, share: torch.Tensor
) -> torch.Tensor:
    """share · [prediction = label] + (1 − share) · [prediction = partner's label], (N,)."""
    predicted = logits.argmax(dim=1)
    return torch.lerp((predicted == partners).float(), (predicted == labels).float(), share)
