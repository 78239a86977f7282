"""Some steps of a trainer, timed by phase."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from fastffdi.bench.phases import PhaseTimer
from fastffdi.loaders.batch import Batch
from fastffdi.loaders.loader import DeviceLoader
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.recipe.program import EMPTY
from fastffdi.render.device.stage import DeviceStage
from fastffdi.training.loop import Trainer

#: Trains so many steps, marks the ends of their phases, and returns images/s.
Train = Callable[[int, PhaseTimer], float]


def train(
    trainer: Trainer, loader: DeviceLoader, batches: Iterator[Batch], steps: int, timer: PhaseTimer
) -> float:
    """Images/s of so many steps of the trainer, by its own clock; `timer` gets the ends of their phases.

    The batches take the place of those of the loader's backend.
    """
    some = DeviceLoader(_Some(batches, steps, timer, loader.backend.planner), loader.stage, loader.mixer)
    with watched(trainer, timer):
        _, rate, _ = trainer.train_epoch(some, 0, lambda images, means: None)
    return rate


@contextmanager
def watched(trainer: Trainer, timer: PhaseTimer) -> Iterator[None]:
    """Mark the ends of the trainer's phases after data by torch's hooks; the training itself is unchanged."""
    optimiser = trainer.optimiser.adamw
    with ExitStack() as stack:
        for hook in (
            trainer.model.register_forward_pre_hook(lambda *_: timer.end("copy")),
            trainer.model.register_forward_hook(lambda *_: timer.end("forward")),
            optimiser.register_step_pre_hook(lambda *_: timer.end("backward")),
            optimiser.register_step_post_hook(lambda *_: timer.end("optimiser")),
        ):
            stack.callback(hook.remove)
        yield


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
