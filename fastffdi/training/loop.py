"""The training loop: epochs of mixed batches, an evaluation after each, the best and the last model kept."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import nn

from fastffdi.errors import RunError
from fastffdi.evaluation import metrics
from fastffdi.inference.scoring import Scorer
from fastffdi.loaders.loader import DeviceLoader, Prepared
from fastffdi.model.compilation import explained
from fastffdi.model.group import Group
from fastffdi.model.precision import Precision
from fastffdi.training.interruption import Interruption
from fastffdi.training.objective import CrossEntropy, Objective
from fastffdi.training.optimiser import Optimiser
from fastffdi.training.place import Place
from fastffdi.training.result import EpochResult
from fastffdi.training.shared import meet, scored
from fastffdi.training.watch import PEEK_EVERY, Watch

#: Batches before the end at which the next loader begins: those that a loader makes ahead are rendered then.
LAST_BATCHES = 3

#: Called after each batch with its number of images, and now and then with the means so far.
Progress = Callable[[int, dict[str, float] | None], None]


@dataclass(frozen=True)
class Trainer:
    """What an epoch needs besides its data.

    Attributes:
        objective: the compiled one, where there is one
        stop: a request to end, which is heeded at once where nothing is lost by it
        watch: sees every batch of training
        group: the processes that share the run; `objective` is then one that brings them together
    """

    model: nn.Module
    precision: Precision
    optimiser: Optimiser
    device: torch.device
    objective: Objective | None = None
    stop: Interruption = field(default_factory=Interruption)
    watch: Watch = field(default_factory=Watch)
    group: Group = field(default_factory=Group)

    def fit(
        self,
        train: DeviceLoader,
        val: DeviceLoader,
        labels: np.ndarray,
        epochs: int,
        progress: Progress,
        place: Place | None = None,
    ) -> Iterator[EpochResult]:
        """Train until `epochs` are over, yielding after each; `labels` (n,) are those of the validation rows.

        `place` says where it begins, and where it is whenever `progress` is called and an epoch is yielded:
        then it is at the beginning of the next one. Neither loader stands still where the other one's turn
        comes: it has begun a few batches before. Raises Stopping where `stop` is requested.
        """
        place = Place(self.device) if place is None else place
        while place.epoch < epochs:
            left = len(train) - train.batches_in(place.images)
            training = _begins(progress, left, partial(val.begin, 0))
            validating = progress
            if place.epoch + 1 < epochs:
                validating = _begins(progress, len(val), partial(train.begin, place.epoch + 1))
            yield self._epoch(train, val, labels, place, training, validating)

    def _epoch(
        self,
        train: DeviceLoader,
        val: DeviceLoader,
        labels: np.ndarray,
        place: Place,
        training: Progress,
        validating: Progress,
    ) -> EpochResult:
        epoch, means = place.epoch, self.train_epoch(train, place, training)
        self.group.average_statistics(self.model)
        scorer = Scorer(self.model, self.precision)
        scores = scored(self.group, scorer, val, len(labels), lambda seen: validating(seen, None), self.stop)
        meet(self.group, place, train.quarantine)
        skipped = len(place.corrupt) + len(val.corrupt)
        every, kept = scores, np.setdiff1d(np.arange(len(labels)), list(val.corrupt))
        if not len(kept):
            raise RunError(f"epoch {epoch + 1}: no validation image can be decoded")
        scores, labels = scores[kept], labels[kept]
        if not np.isfinite(scores).all():
            raise RunError(f"epoch {epoch + 1}: the model's scores are not finite; lower --lr")
        result = EpochResult(
            epoch=epoch,
            train_loss=means["loss"],
            train_accuracy=means["accuracy"],
            images_per_second=place.images_per_second,
            wait_share=place.wait_share,
            learning_rate=place.highest_rate,
            validation=self.group.first(lambda: metrics.summary(labels, scores)),
            corrupt=skipped,
            gradient_norm=means.get("gradient_norm"),
            save_share=place.save_share,
            scores=every,
        )
        place.begin(epoch + 1)
        return result

    def train_epoch(self, loader: DeviceLoader, place: Place, progress: Progress) -> dict[str, float]:
        """The rest of a pass over the training images, from `place` on: mean loss and accuracy of all of it.

        Raises NonFinite where a loss is no finite number, and Stopping.
        """
        first = loader.batches_in(place.images)
        if first < len(loader):
            self._train(loader, place, range(first, len(loader)), progress)
        figures = place.means.means(self.group.sum)
        if not np.isfinite(figures["loss"]):
            self.watch.check()
            raise RunError(f"epoch {place.epoch + 1}: the loss is {figures['loss']}; lower --lr")
        return figures

    def _train(self, loader: DeviceLoader, place: Place, steps: range, progress: Progress) -> None:
        self.model.train()
        clock, batches = place.start_clock(), loader.batches(place.epoch, place.images)
        loader.corrupt.update(place.corrupt)
        place.corrupt = loader.corrupt
        for step in steps:
            with clock.waiting(), self._at_once():
                batch = next(batches)
            images = len(batch) if self.group.world.alone else loader.backend.planner.images_in(step)
            rate, prepared = self.optimiser.learning_rate, loader.prepared(batch)
            # The first compiled step takes minutes, and there is nothing yet that it could spoil.
            with self._at_once() if place.fresh and self.objective else nullcontext():
                sums = self._step(prepared)
            added = place.add(images, sums, rate)
            means = place.means.peek() if step % PEEK_EVERY == 0 else None
            self.watch.saw(batch, prepared, step, added, means)
            progress(images, means)
        place.stop_clock()

    def _at_once(self) -> AbstractContextManager[None]:
        """As `stop.at_once`; but of several processes none may leave the others waiting for its part."""
        return self.stop.at_once() if self.group.world.alone else nullcontext()

    def _step(self, batch: Prepared) -> tuple[torch.Tensor, ...]:
        """One update: summed loss, summed accuracy, and how many images they are over."""
        objective = self.objective or CrossEntropy(self.model, self.precision, self.device)
        with explained(), self.group.losses():
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
