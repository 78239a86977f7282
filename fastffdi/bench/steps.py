"""Some steps of a trainer, timed by phase."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch.utils.hooks import RemovableHandle

from fastffdi.bench.phases import PhaseTimer
from fastffdi.loaders.batch import Batch
from fastffdi.loaders.loader import DeviceLoader
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.recipe.program import EMPTY
from fastffdi.render.device.stage import DeviceStage
from fastffdi.training.loop import Trainer
from fastffdi.training.objective import Objective
from fastffdi.training.place import Place

#: Trains so many steps, marks the ends of their phases, and returns images/s.
Train = Callable[[int, PhaseTimer], float]


def train(
    trainer: Trainer, loader: DeviceLoader, batches: Iterator[Batch], steps: int, timer: PhaseTimer
) -> float:
    """Images/s of so many steps of the trainer, by its own clock; `timer` gets the ends of their phases.

    The batches take the place of those of the loader's backend.
    """
    some = DeviceLoader(_Some(batches, steps, timer, loader.backend.planner), loader.stage, loader.mixer)
    place = Place(trainer.device)
    with watched(trainer, timer) as seen:
        seen.train_epoch(some, place, lambda images, means: None)
    return place.images_per_second


@contextmanager
def watched(trainer: Trainer, timer: PhaseTimer) -> Iterator[Trainer]:
    """The trainer, marking the ends of its phases after data by torch's hooks; its training is unchanged.

    In a compiled step, hooks of the model would be compiled as well: its forward phase has the loss in it.
    """
    model, optimiser = trainer.model, trainer.optimiser.inner
    hooks: list[RemovableHandle] = [
        optimiser.register_step_pre_hook(lambda *_: timer.end("backward")),
        optimiser.register_step_post_hook(lambda *_: timer.end("optimiser")),
    ]
    if trainer.objective is None:
        hooks.append(model.register_forward_pre_hook(lambda *_: timer.end("copy")))
        hooks.append(model.register_forward_hook(lambda *_: timer.end("forward")))
        seen = trainer
    else:
        seen = replace(trainer, objective=_timed(trainer.objective, timer))
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _timed(objective: Objective, timer: PhaseTimer) -> Objective:
    def call(*batch: torch.Tensor) -> tuple[torch.Tensor, ...]:
        timer.end("copy")
        sums = objective(*batch)
        timer.end("forward")
        return sums

    return call


@dataclass(frozen=True)
class _Some:
    """So many batches of an endless stream as a loader's epoch; later epochs continue the stream."""

    batches: Iterator[Batch]
    count: int
    timer: PhaseTimer
    planner: BatchPlanner

    def __len__(self) -> int:
        return self.count

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """See Backend.epoch."""
        self.timer.begin()
        for _ in range(self.count):
            batch = next(self.batches)
            self.timer.end("data")
            yield batch
            self.timer.end("optimiser")  # what the trainer does between its optimiser and the next batch

    def close(self) -> None:
        """See Backend.close."""


def kept(batch: Batch, stage: DeviceStage) -> Batch:
    """The batch with nothing remaining: on the device, normalised."""
    return replace(batch, images=stage(batch).permute(0, 2, 3, 1), remaining=EMPTY)
