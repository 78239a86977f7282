"""From settings to a finished run: parts are built so that the cheapest mistakes to find come first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch

from fastffdi.data.layout import Dataset
from fastffdi.loaders import factory, quarantine
from fastffdi.loaders.loader import DeviceLoader
from fastffdi.loaders.mix import Mixer
from fastffdi.loaders.planner import BatchPlanner, cached
from fastffdi.model import backbone, checkpoint, compilation, precision, pretraining
from fastffdi.model.device import choose_device, tune_convolutions
from fastffdi.model.processes import Processes
from fastffdi.recipe.lowering import output_size, template
from fastffdi.recipe.recipe import Recipe
from fastffdi.recipe.steps.combine import functions
from fastffdi.render.device.python import imported
from fastffdi.render.device.stage import DeviceStage
from fastffdi.training import (
    batches,
    config,
    curves,
    ending,
    exhaustion,
    feasibility,
    folder,
    resumption,
    scores,
    shared,
    state,
)
from fastffdi.training.building import model_of, trainer_of
from fastffdi.training.folder import writing
from fastffdi.training.generators import Generators
from fastffdi.training.history import History
from fastffdi.training.identity import identity
from fastffdi.training.interruption import TIME_OVER, Interruption, Stopping
from fastffdi.training.interval import Alarm, Interval
from fastffdi.training.keeper import Keeper, Stopped, place_in_words
from fastffdi.training.log import RunLog
from fastffdi.training.loop import Progress, Trainer
from fastffdi.training.place import Place
from fastffdi.training.ranks import Ranks, seed_apart
from fastffdi.training.result import EMA, RAW, EpochResult
from fastffdi.training.saving import Saver
from fastffdi.training.settings import Settings
from fastffdi.training.state import Part, State
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
        )


def prepare(settings: Settings, dataset: Dataset, say: Callable[[str], None]) -> Experiment:
    """Check everything and build everything; nothing is written but an empty cache.

    `say` gets lines worth telling the user. Of the processes that torchrun has started each is to call it;
    they share the run, and its folder is the one that the first has in its settings. Raises UsageError where
    the settings, the recipe and the data do not go together, or with what the folder holds.
    """
    processes = Processes.join()
    try:
        settings = replace(settings, output=processes.first(lambda: settings.output))
        return _prepared(settings, dataset, say if processes.world.first else lambda line: None, processes)
    except BaseException:
        processes.leave()
        raise


def _prepared(
    settings: Settings, dataset: Dataset, say: Callable[[str], None], processes: Processes
) -> Experiment:
    time_limit, loading = Alarm(settings.longest), settings.loading
    recipe = backbone.load_recipe(settings.pipeline, settings.backbone)
    device = choose_device(settings.device)
    tune_convolutions(device)
    numbers = precision.choose(settings.amp, device)
    kind = factory.choose_loader(settings.backend, device, loading.process, settings.cache is not None)
    if settings.compile:
        compilation.check(device)
    if settings.sync_bn:
        shared.check_synchronised_norms(device, processes)
    feasibility.check(settings, device)
    own = identity(settings, dataset, recipe, kind, numbers.name, device.type)
    shared.check_same(processes, own)
    found = processes.first(lambda: resumption.find(settings, own, say))
    saw = processes.first(
        lambda: pretraining.of_run(settings.backbone, settings.pretrained, settings.weights)
    )
    if settings.imagenet1k_only and found is None:
        pretraining.check_only_imagenet1k(saw, settings.backbone, settings.weights)
    torch.manual_seed(settings.seed)
    model = model_of(settings, found is None, say, processes)
    for steps in (recipe.train, recipe.eval):
        backbone.check_input(model, output_size(template(steps)))
    for step in functions(recipe.train):
        imported(step.function, step.folder)
        does = "what it does does not follow from the seed"
        say(f"{settings.pipeline} runs code of yours, {step.function}: {does}")
    if found is None and not settings.pretrained and settings.weights is None:
        say(f"{settings.backbone} starts from random weights")
    say(f"{settings.backbone} on {device}, loader {kind}, {numbers.reason}")
    if kind == BASELINE:
        say("loader torchvision: a run that is stopped goes on at the beginning of an epoch")
    if not curves.can_be_drawn():
        say(f"{folder.CURVES} will not be drawn: {curves.CURE}")
    planners = batches.of_all(settings, dataset, recipe, processes)
    if settings.compile:
        planners[0] = replace(planners[0], drop_last=True)  # since a short batch would be compiled anew
        say(_compiling(planners[0], device))
    planners = batches.of_process(planners, processes.world, say)
    if settings.cache is not None:
        planners = cached(planners, settings.cache, say)
    backends = [factory.build_loader(kind, planner, loading, device) for planner in planners]
    stage = DeviceStage(device, numbers.dtype)
    rows = len(dataset.train) + len(dataset.val)
    table = settings.output / quarantine.TABLE if processes.world.first else None
    corrupt = quarantine.Quarantine(rows, settings.max_corrupt, kind, table)
    mixer = Mixer.of_run(recipe.mix, settings.seed, settings.epochs)
    train = DeviceLoader(backends[0], stage, mixer, corrupt)
    val = DeviceLoader(backends[1], stage, None, corrupt)
    assert dataset.train.labels is not None, "find_dataset gives labels"
    trainer = trainer_of(settings, model, numbers, device, len(train), dataset.train.labels, processes)
    if found is None:
        for told in (*trainer.described(), *feasibility.doubts(settings, len(train))):
            say(told)
    seed_apart(settings.seed, processes)
    images = sum(planner.images for planner in planners)
    experiment = Experiment(
        settings,
        dataset,
        recipe,
        trainer,
        train,
        val,
        images,
        Place(device),
        History(),
        own,
        saw,
        processes=processes,
    )
    experiment.time_limit = time_limit
    if found is not None:
        _go_on(experiment, found, say)
    return experiment


def _go_on(experiment: Experiment, found: State, say: Callable[[str], None]) -> None:
    parts = experiment.parts
    found.restore(parts)
    experiment.resumed = True
    output, place, epochs = experiment.settings.output, experiment.place, experiment.settings.epochs
    if experiment.finished:
        over = len(experiment.history.results)
        say(f"{output}: this run is finished, after {over} epochs; nothing is left to do")
    else:
        of = experiment.train.backend.planner.images
        say(f"{output}: going on at {place_in_words(place.epoch, place.images, of)}, of {epochs} epochs")
        ranks, size = parts["generators"], experiment.processes.world.size
        assert isinstance(ranks, Ranks)
        if ranks.begun_with not in (size, None):
            say(
                f"processes: {size}, before {ranks.begun_with}; the same images in the same updates, but "
                "dropout and the like draw other numbers, and mixing pairs other images"
            )


def _compiling(planner: BatchPlanner, device: torch.device) -> str:
    """What `--compile` means for a run."""
    left_out = len(planner.sampler) - planner.images
    fewer = f"; {left_out} training images, which fill no batch, are left out of each epoch" * (left_out > 0)
    unproven = "; unproven on a GPU" * (device.type == "cuda")
    return f"the training step is compiled first, which takes minutes{fewer}{unproven}"
