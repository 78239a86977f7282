"""Some steps of a trainer, and what time their phases take."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from fastffdi.bench.phases import PhaseTimer
from fastffdi.loaders.batch import Batch
from fastffdi.recipe.program import EMPTY
from fastffdi.render.device.stage import DeviceStage
from fastffdi.training.loop import Trainer

#: Trains so many steps, tells the laps of their phases, and returns images/s.
Train = Callable[[int, PhaseTimer], float]


def train(trainer: Trainer, batches: Iterator[Batch], steps: int, timer: PhaseTimer) -> float:
    """Images/s of so many steps of the trainer, by its own clock; `laps` is told of their phases."""
    with watched(trainer, timer):
        _, rate, _ = trainer.train_epoch(_Some(batches, steps, timer), 0, lambda images, means: None)
    return rate


@contextlib.contextmanager
def watched(trainer: Trainer, timer: PhaseTimer) -> Iterator[None]:
    """Tell `laps` of the trainer's phases after data, by torch's own hooks: the training is as without."""
    optimiser = trainer.optimiser.adamw
    hooks = [
        trainer.model.register_forward_pre_hook(lambda *_: timer.end("copy")),
        trainer.model.register_forward_hook(lambda *_: timer.end("forward")),
        optimiser.register_step_pre_hook(lambda *_: timer.end("backward")),
        optimiser.register_step_post_hook(lambda *_: timer.end("optimiser")),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@dataclass(frozen=True)
class _Some:
    """So many batches of a stream as a loader's epoch; the stream goes on after them."""

    batches: Iterator[Batch]
    count: int
    timer: PhaseTimer

    def __len__(self) -> int:
        return self.count

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """See Loader.epoch."""
        self.timer.begin()
        for _ in range(self.count):
            batch = next(self.batches)
            self.timer.end("data")
            yield batch
            self.timer.end("optimiser")  # what the trainer does between its optimiser and the next batch

    def close(self) -> None:
        """See Loader.close."""


def kept(batch: Batch, stage: DeviceStage) -> Batch:
    """The batch with nothing left to do: on the device, normalised."""
    return replace(batch, images=stage(batch).permute(0, 2, 3, 1), remaining=EMPTY)
