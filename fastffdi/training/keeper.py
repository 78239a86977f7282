"""When the state of a run is saved, and what is kept of it when it is stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from fastffdi.errors import FastffdiError, RunError
from fastffdi.loaders.quarantine import Quarantine
from fastffdi.model import checkpoint
from fastffdi.model.processes import Processes
from fastffdi.training.folder import BEST, LAST
from fastffdi.training.interruption import TIME_OVER, Interruption, Stopping
from fastffdi.training.interval import Alarm, Interval
from fastffdi.training.loop import Progress
from fastffdi.training.optimiser import Optimiser
from fastffdi.training.place import Place
from fastffdi.training.saving import Saver
from fastffdi.training.shared import meet
from fastffdi.training.state import Part, State
from fastffdi.training.watch import Watch


class Stopped(FastffdiError):
    """A run was asked to end by a signal, or its time is over, and it has.

    Attributes:
        number: of the signal, or TIME_OVER
        resumable: whether there is something to go on from
    """

    def __init__(self, message: str, number: int, resumable: bool) -> None:
        super().__init__(message)
        self.number, self.resumable, self.exit_code = number, resumable, 128 + number


@dataclass
class Keeper:
    """Saves the parts of a run to its folder, in a thread.

    Attributes:
        parts: all of them, by name; `model` is one
        identity: of the run
        optimiser, place: two of the parts
        images, epochs: that the run trains on in an epoch, and how many of these it has
        whole_epochs: there is no going on in the middle of an epoch's training
        time_limit: rings when the run is to end
        watch: knows whether the loss is still a number
        kept: epoch and images of the last state that was saved, or was gone on from; None where there is none
        processes: those that share the run, all of which call the same methods; the first one writes
        agree_every: of so many updates all agree on whether to stop
    """

    folder: Path
    parts: Mapping[str, Part]
    identity: dict[str, Any]
    optimiser: Optimiser
    place: Place
    images: int
    epochs: int
    interval: Interval
    whole_epochs: bool
    saver: Saver
    stop: Interruption
    time_limit: Alarm
    watch: Watch
    kept: tuple[int, int] | None
    processes: Processes = field(default_factory=Processes)
    agree_every: int = 1

    def __post_init__(self) -> None:
        self._alarm = Alarm(self.interval, self.optimiser.updates)

    def watching(self, progress: Progress) -> Progress:
        """`progress`, and after each batch a look at whether to save, or to stop: then it raises Stopping."""

        def told(images: int, means: dict[str, float] | None) -> None:
            progress(images, means)
            self.saver.check()
            if self.place.pending:
                return
            # In validation nothing changes that a state would hold, each process is on its own, and what has
            # been trained is worth its validation.
            number, due = self.stop.number, False
            if not self.stop.raising:
                self.heed_time()
                number, due = self._agreed(self._alarm.is_due(self.optimiser.updates))
            if number is not None:
                self.stop.number = number
                raise Stopping
            if due and self._can_save():
                self.save()

        return told

    def heed_time(self) -> None:
        """Ask the run to end where its time is over."""
        if self.time_limit.is_due(0):
            self.stop.request(TIME_OVER)

    def _agreed(self, due: bool) -> tuple[int | None, bool]:
        """The same for all processes: a signal that has come to one, and whether the first is to save."""
        world, number = self.processes.world, self.stop.number
        if world.alone:
            return number, due
        if self.optimiser.updates % self.agree_every:
            return None, False
        agreed, saves = self.processes.most(number or 0, int(due and world.first))
        return agreed or None, bool(saves)

    def save(self) -> None:
        """Save the state as it is now. Raises NonFinite where it is worth nothing."""
        self.watch.check()
        with self.place.saving():
            state = self._state()
            self._write(partial(refuse_broken, state), partial(state.save, self.folder))

    def save_epoch(
        self,
        described: checkpoint.Checkpoint,
        best: bool,
        finished: bool,
        scores: Callable[[], None] = lambda: None,
        part: str = "model",
    ) -> None:
        """Save the last checkpoint, the best one and `scores` too where it is that, and then the state.

        `part` names the model that they are of.

        At the end of the run, the state is no more than the fact that it is finished.
        """
        with self.place.saving():
            self._save_epoch(described, best, finished, scores, part)

    def _save_epoch(
        self,
        described: checkpoint.Checkpoint,
        best: bool,
        finished: bool,
        scores: Callable[[], None],
        part: str,
    ) -> None:
        state = self._state()
        weights = state.weights(part)
        writes: list[Callable[[], None]] = [
            partial(checkpoint.save, described, weights, self.folder / name)
            for name in ([LAST, BEST] if best else [LAST])
        ]
        if best:
            writes.append(scores)
        kept = state.as_finished() if finished else state
        self._write(partial(refuse_broken, state), *writes, partial(kept.save, self.folder))

    def stopped(self) -> Stopped:
        """Save what is not yet saved, and say what is kept."""
        here = self.place.epoch, self.place.images
        if not self.place.fresh and self._can_save() and self.kept != here:
            self.save()
        self.saver.wait()
        self.processes.most(0)  # no process ends before: torchrun would end the others
        number = self.stop.number or 0
        return Stopped(self._described(here), number, self.kept is not None)

    def _can_save(self) -> bool:
        return not self.whole_epochs or self.place.images in (0, self.images)

    def _state(self) -> State:
        quarantine = self.parts["quarantine"]
        assert isinstance(quarantine, Quarantine), "prepare gives one"
        meet(self.processes, self.place, quarantine)
        return State.of(self.parts, self.optimiser.updates, self.identity)

    def _write(self, *writes: Callable[[], None]) -> None:
        if self.processes.world.first:
            self.saver.save(*writes)
        self.kept = self.place.epoch, self.place.images
        self._alarm.reset(self.optimiser.updates)

    def _described(self, here: tuple[int, int]) -> str:
        epoch, images = here
        where = f"stopped in epoch {epoch + 1} of {self.epochs}"
        if self.kept is None:
            return f"{where}; nothing of it is kept"
        if images == self.images:
            where = f"stopped in the validation of epoch {epoch + 1} of {self.epochs}"
        else:
            where = f"{where}, after {images} of {self.images} training images"
        if self.kept == here:
            return f"{where}; all of it is kept in {self.folder}"
        return f"{where}; kept in {self.folder} is {place_in_words(*self.kept, self.images)}"


def refuse_broken(state: State) -> None:
    """Raise RunError where a weight is no finite number: what was saved before stays as it is."""
    broken = [name for name, weight in state.weights("model").tensors.items() if not weight.isfinite().all()]
    if broken:
        raise RunError(
            f"after {state.updates} updates weights such as {broken[0]} are not finite, and are not saved; "
            "lower --lr, or set clip_gradient in --config"
        )


def place_in_words(epoch: int, images: int, of: int) -> str:
    """`epoch 3 after 640 of 4000 training images`, or its beginning or validation."""
    if not images:
        return f"the beginning of epoch {epoch + 1}"
    if images == of:
        return f"the validation of epoch {epoch + 1}"
    return f"epoch {epoch + 1} after {images} of {of} training images"
