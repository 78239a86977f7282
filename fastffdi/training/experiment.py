"""A run: its epochs, what is kept of it, and how it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from fastffdi.data.layout import Dataset
from fastffdi.loaders.loader import DeviceLoader
from fastffdi.model import checkpoint
from fastffdi.model.processes import Processes
from fastffdi.recipe.lowering import output_size, template
from fastffdi.recipe.recipe import Recipe
from fastffdi.training import config, ending, exhaustion, folder, scores, state
from fastffdi.training.folder import writing
from fastffdi.training.generators import Generators
from fastffdi.training.history import History
from fastffdi.training.holdout import HeldOut
from fastffdi.training.interruption import TIME_OVER, Interruption, Stopping
from fastffdi.training.interval import Alarm, Interval
from fastffdi.training.keeper import Keeper, Stopped
from fastffdi.training.log import RunLog
from fastffdi.training.loop import Progress, Trainer
from fastffdi.training.place import Place
from fastffdi.training.ranks import Ranks
from fastffdi.training.result import EMA, RAW, EpochResult
from fastffdi.training.saving import Saver
from fastffdi.training.settings import Settings
from fastffdi.training.state import Part
from fastffdi.training.unfinished import keep_unfinished

#: The loader whose images do not follow from the seed.
BASELINE = "torchvision"

#: Updates on a GPU between two times that several processes agree on whether to stop: it makes the host wait.
AGREE_EVERY = 10


@dataclass
class Experiment:
    """A run that is ready to start, or to go on. Close it, or use it as a context.

    Attributes:
        images: of an epoch, training and validation together
        place: where it is
        history: its epochs so far
        identity: what a run must have in common with it to go on from its states
        weights_data: what the weights saw that it starts from
        resumed: whether it goes on with what its folder holds
        command: that it was started with, for the summary
        processes: those that share it, each of which has an Experiment
        time_limit: rings when it is to end
        stopped: how it ended where its time was over
        unfinished: the figures of the best model where no epoch was
        held_out: what came out for the images that were held out, in the first process and at the end
    """

    settings: Settings
    dataset: Dataset
    recipe: Recipe
    trainer: Trainer
    train: DeviceLoader
    val: DeviceLoader
    images: int
    place: Place
    history: History
    identity: dict[str, Any]
    weights_data: str
    resumed: bool = False
    command: str | None = None
    processes: Processes = field(default_factory=Processes)
    time_limit: Alarm = field(default_factory=lambda: Alarm(Interval()))
    stopped: Stopped | None = None
    unfinished: EpochResult | None = None
    held_out: HeldOut | None = None

    def run(self, progress: Progress) -> Iterator[EpochResult]:
        """Train, yielding after each epoch, when its line in the log is on disk.

        Its checkpoints and its state are being written meanwhile; they are on disk when the next epoch is
        yielded, and at the end. Raises Stopped where a signal ends it, when all that can be kept is on disk;
        a second signal ends the process at once. Where the time is over, `stopped` says so at the end. Of a
        finished run, nothing is left to do.
        """
        settings, labels = self.settings, self.dataset.val.labels
        assert labels is not None, "find_dataset gives labels"
        if self.finished:
            if not (settings.output / folder.SUMMARY).exists():
                ending.finish(self)
            return
        log, how = self._log(), settings.optimisation
        enough = exhaustion.explained(settings.loading.batch_size, self.trainer.device, how.accumulate)
        told_of = ending.recording(settings.output, self.train.backend.planner)
        with enough, told_of, Saver(settings.output) as saver, self.trainer.stop as stop:
            keeper = self._keeper(saver, stop)
            told = keeper.watching(progress)
            if self.place.fresh and not self.resumed and self.processes.world.first:
                self.trainer.watch.first = ending.shown_first(self, saver)
            fitted = self.trainer.fit(self.train, self.val, labels, settings.epochs, told, self.place)
            try:
                for result in fitted:
                    with writing(settings.output):
                        best = self.history.add(result) if log is None else log.write(result)
                    part = "model" if result.weights == RAW else result.weights
                    keeper.save_epoch(self.described(result), best, self.finished, self._scores(result), part)
                    yield result
                    if self.finished:
                        break
                    keeper.heed_time()
            except Stopping:
                self._end(keeper, progress)
        ending.finish(self)

    def _end(self, keeper: Keeper, progress: Progress) -> None:
        """Keep what there is, and raise Stopped unless it is the time that is over."""
        self.stopped = keeper.stopped()
        if self.stopped.number != TIME_OVER:
            raise self.stopped from None
        if self.best is None:
            keeper.stop.number = None
            try:
                self.unfinished = keep_unfinished(self, progress)
            except Stopping:
                raise keeper.stopped() from None

    @property
    def best(self) -> EpochResult | None:
        """The epoch whose model is in best.safetensors."""
        return self.history.best or self.unfinished

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.place.epoch >= self.settings.epochs or self.out_of_patience

    @property
    def out_of_patience(self) -> bool:
        """Whether so many epochs were no better that no more are made."""
        patience = self.settings.patience
        return patience is not None and self.history.since_best >= patience

    @property
    def parts(self) -> dict[str, Part]:
        """All that changes in the run, by name."""
        trainer, quarantine = self.trainer, self.train.quarantine
        assert quarantine is not None, "prepare gives the loaders one"
        return {
            "model": trainer.model,
            **({} if trainer.average is None else {EMA: trainer.average.model}),
            "optimiser": trainer.optimiser,
            "place": self.place,
            "generators": self._ranks,
            "history": self.history,
            "quarantine": quarantine,
        }

    @property
    def _ranks(self) -> Ranks:
        trainer = self.trainer
        return Ranks(self.processes, Generators(trainer.device), self.place, tuple(trainer.models.values()))

    @property
    def corrupt(self) -> dict[str, str]:
        """Why images were skipped so far, by name."""
        return {} if self.train.quarantine is None else self.train.quarantine.reasons

    def close(self) -> None:
        """Free the loaders."""
        self.train.close()
        self.val.close()
        self.processes.leave()

    def _log(self) -> RunLog | None:
        """The record of the run in its folder, where nothing is left of what does not belong to it.

        The first process alone has one.
        """
        return self.processes.only_first(self._begun_log)

    def _begun_log(self) -> RunLog:
        output, quarantine = self.settings.output, self.train.quarantine
        if not self.resumed:
            folder.make(output)
        with writing(output):
            if self.resumed:
                folder.clear(output, (folder.SUMMARY,))
                state.discard_after(output, self.trainer.optimiser.updates)
                assert quarantine is not None, "prepare gives the loaders one"
                quarantine.write_table()
            config.keep(self.settings)
            return RunLog(output, self.history)

    def _keeper(self, saver: Saver, stop: Interruption) -> Keeper:
        place = self.place
        return Keeper(
            folder=self.settings.output,
            parts=self.parts,
            identity=self.identity,
            optimiser=self.trainer.optimiser,
            place=place,
            images=self.train.backend.planner.images,
            epochs=self.settings.epochs,
            interval=self.settings.interval,
            whole_epochs=self.identity["--loader"] == BASELINE,
            saver=saver,
            stop=stop,
            time_limit=self.time_limit,
            watch=self.trainer.watch,
            kept=(place.epoch, place.images) if self.resumed else None,
            processes=self.processes,
            agree_every=1 if self.trainer.device.type == "cpu" else AGREE_EVERY,
        )

    def _scores(self, result: EpochResult) -> Callable[[], None]:
        """Writes the validation scores of an epoch."""
        if result.scores is None:
            return lambda: None
        return partial(scores.save, self.settings.output, self.dataset.val, result.scores)

    def described(self, result: EpochResult) -> checkpoint.Checkpoint:
        """What a checkpoint says of itself after an epoch."""
        program = template(self.recipe.eval)
        assert program.normalize is not None, "recipes end with it"
        return checkpoint.Checkpoint(
            backbone=self.settings.backbone,
            recipe=self.recipe.to_data(),
            size=output_size(program),
            mean=program.normalize.mean,
            std=program.normalize.std,
            epoch=result.epoch,
            seed=self.settings.seed,
            metrics=result.validation,
            weights_data=self.weights_data,
            averaged=result.weights != RAW,
        )
