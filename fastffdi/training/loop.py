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
from torch.nn.parallel import DistributedDataParallel

from fastffdi.errors import RunError
from fastffdi.loaders.loader import DeviceLoader, Prepared
from fastffdi.model.compilation import explained
from fastffdi.model.precision import Precision
from fastffdi.model.processes import Processes
from fastffdi.training.average import Average
from fastffdi.training.group import Group
from fastffdi.training.interruption import Interruption
from fastffdi.training.judging import best_of, scores_of
from fastffdi.training.objective import CrossEntropy, Objective
from fastffdi.training.optimiser import Optimiser
from fastffdi.training.place import Place
from fastffdi.training.result import EMA, RAW, EpochResult
from fastffdi.training.shared import meet, scored, weighed
from fastffdi.training.tuning import Tuning
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
        eager: the plain one, where it is not the usual
        tuning: which weights are trained; None: all
        average: a moving average of the weights, where there is one
        accumulate: batches per update
        stop: a request to end, which is heeded at once where nothing is lost by it
        watch: sees every batch of training
        processes: those that share the run
        exchange: of several processes, what brings their gradients together; the objectives call it
    """

    model: nn.Module
    precision: Precision
    optimiser: Optimiser
    device: torch.device
    objective: Objective | None = None
    eager: Objective | None = None
    tuning: Tuning | None = None
    average: Average | None = None
    accumulate: int = 1
    stop: Interruption = field(default_factory=Interruption)
    watch: Watch = field(default_factory=Watch)
    processes: Processes = field(default_factory=Processes)
    exchange: DistributedDataParallel | None = None

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
        models, told = self.models, lambda seen: validating(seen, None)
        self.processes.average_statistics(*models.values())
        scores = scored(
            self.processes,
            lambda: scores_of(models, self.precision, val, len(labels), told),
            val,
            len(labels),
            self.stop,
        )
        meet(self.processes, place, train.quarantine)
        skipped = len(place.corrupt) + len(val.corrupt)
        every, kept = scores, np.setdiff1d(np.arange(len(labels)), list(val.corrupt))
        if not len(kept):
            raise RunError(f"epoch {epoch + 1}: no validation image can be decoded")
        scores, labels = {name: one[kept] for name, one in scores.items()}, labels[kept]
        if not all(np.isfinite(one).all() for one in scores.values()):
            raise RunError(f"epoch {epoch + 1}: the model's scores are not finite; lower --lr")
        best = self.processes.first(lambda: best_of(labels, scores))
        result = EpochResult(
            epoch=epoch,
            train_loss=means["loss"],
            train_accuracy=means["accuracy"],
            images_per_second=place.images_per_second,
            wait_share=place.wait_share,
            learning_rate=place.highest_rate,
            validation=best.figures,
            corrupt=skipped,
            gradient_norm=means["gradient_norm"],
            save_share=place.save_share,
            scores=every[best.name],
            weights=best.name,
            aucs=best.aucs if self.average is not None else {},
        )
        place.begin(epoch + 1)
        return result

    def described(self) -> list[str]:
        """A line where not all weights are trained."""
        told = self.tuning and self.tuning.described()
        return [told] if told else []

    @property
    def models(self) -> dict[str, nn.Module]:
        """Those that are judged, by the name of their weights."""
        return {RAW: self.model} | ({} if self.average is None else {EMA: self.average.model})

    def train_epoch(self, loader: DeviceLoader, place: Place, progress: Progress) -> dict[str, float]:
        """The rest of a pass over the training images, from `place` on: mean loss and accuracy of all of it.

        Raises NonFinite where a loss is no finite number, and Stopping.
        """
        first = loader.batches_in(place.images)
        if first < len(loader):
            self._train(loader, place, range(first, len(loader)), progress)
        figures = place.means.means(self.processes.sum)
        if not np.isfinite(figures["loss"]):
            self.watch.check()
            raise RunError(f"epoch {place.epoch + 1}: the loss is {figures['loss']}; lower --lr")
        return figures

    def _train(self, loader: DeviceLoader, place: Place, steps: range, progress: Progress) -> None:
        if self.tuning is None:
            self.model.train()
        else:
            self.tuning.begin(place.epoch)
        group = Group(self.optimiser, self.accumulate) if self.accumulate > 1 else None
        clock, batches = place.start_clock(), loader.batches(place.epoch, place.images)
        loader.corrupt.update(place.corrupt)
        place.corrupt = loader.corrupt
        for step in steps:
            # Between the batches of an update there is nothing that could be kept.
            with clock.waiting(), nullcontext() if place.pending else self._at_once():
                batch = next(batches)
            images = len(batch) if self.processes.world.alone else loader.backend.planner.images_in(step)
            rate, prepared = self.optimiser.learning_rate, loader.prepared(batch)
            # The first compiled step takes minutes, and there is nothing yet that it could spoil.
            with self._at_once() if place.fresh and self.objective else nullcontext():
                last = (step + 1) % self.accumulate == 0 or step + 1 == len(loader)
                sums = self._step(prepared, group, last, images * batch.views)
            if last and self.average is not None:
                self.average.update(self.model, self.optimiser.updates)
            added = place.add(images, sums, rate, pending=not last)
            means = place.means.peek() if step % PEEK_EVERY == 0 else None
            self.watch.saw(batch, prepared, step, added, means)
            progress(images, means)
        place.stop_clock()

    def _at_once(self) -> AbstractContextManager[None]:
        """As `stop.at_once`; but of several processes none may leave the others waiting for its part."""
        return self.stop.at_once() if self.processes.world.alone else nullcontext()

    def _step(
        self, batch: Prepared, group: Group | None = None, last: bool = True, images: int = 0
    ) -> tuple[torch.Tensor, ...]:
        """A batch, and the update where it is the `last` of its group: summed loss, accuracy and norm of the
        gradient, and how many images they are over. A group wants to know how many all processes have.
        """
        objective = self.objective or self.eager or CrossEntropy(self.model, self.precision, self.device)
        with explained(), self.processes.losses(), self._exchanging(last):
            mean, loss, correct, count = objective(*batch)
            mean, of_all = weighed(self.processes, mean, count)
            if group is None:
                norm = self.optimiser.step(mean) * count
            else:
                norm = group.add(mean, images, of_all, last) / self.processes.world.size
        # A step of fp16 whose scale was too high has none.
        return loss, correct, norm.nan_to_num(0.0, 0.0, 0.0), count

    def _exchanging(self, last: bool) -> AbstractContextManager[None]:
        """Gradients are exchanged with other processes at the `last` batch of an update alone."""
        return nullcontext() if last or self.exchange is None else self.exchange.no_sync()


def _begins(progress: Progress, batches: int, begin: Callable[[], None]) -> Progress:
    """`progress` for so many batches, which calls `begin` once when the last ones are left."""
    done, last = itertools.count(1), max(1, batches - LAST_BATCHES)

    def called(images: int, means: dict[str, float] | None) -> None:
        if next(done) == last:
            begin()
        progress(images, means)

    return called
