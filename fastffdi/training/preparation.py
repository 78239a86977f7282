"""From settings to a run that is ready to start: the cheapest mistakes to find come first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from fastffdi.data.layout import Dataset
from fastffdi.loaders import factory, quarantine
from fastffdi.loaders.loader import DeviceLoader
from fastffdi.loaders.mix import Mixer
from fastffdi.loaders.planner import BatchPlanner, cached
from fastffdi.model import backbone, compilation, pretraining
from fastffdi.model import precision as precisions
from fastffdi.model.device import choose_device, tune_convolutions
from fastffdi.model.precision import Precision
from fastffdi.model.processes import Processes
from fastffdi.recipe.lowering import output_size, template
from fastffdi.recipe.recipe import Recipe
from fastffdi.recipe.steps.combine import functions
from fastffdi.render.device.python import imported
from fastffdi.render.device.stage import DeviceStage
from fastffdi.training import batches, curves, feasibility, folder, resumption, shared
from fastffdi.training.building import model_of, trainer_of
from fastffdi.training.experiment import BASELINE, Experiment
from fastffdi.training.history import History
from fastffdi.training.identity import identity
from fastffdi.training.interval import Alarm
from fastffdi.training.keeper import place_in_words
from fastffdi.training.place import Place
from fastffdi.training.ranks import Ranks, seed_apart
from fastffdi.training.settings import Settings
from fastffdi.training.state import State

Say = Callable[[str], None]


def prepare(settings: Settings, dataset: Dataset, say: Say) -> Experiment:
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


@dataclass(frozen=True)
class _Chosen:
    """What settings come to on this machine; `loader` and `identity` as in Experiment."""

    recipe: Recipe
    device: torch.device
    precision: Precision
    loader: str
    identity: dict[str, Any]

    @classmethod
    def of(cls, settings: Settings, dataset: Dataset, processes: Processes) -> _Chosen:
        recipe = backbone.load_recipe(settings.pipeline, settings.backbone)
        device = choose_device(settings.device)
        tune_convolutions(device)
        precision, process = precisions.choose(settings.amp, device), settings.loading.process
        loader = factory.choose_loader(settings.backend, device, process, settings.cache is not None)
        if settings.compile:
            compilation.check(device)
        if settings.sync_bn:
            shared.check_synchronised_norms(device, processes)
        feasibility.check(settings, device)
        own = identity(settings, dataset, recipe, loader, precision.name, device.type)
        shared.check_same(processes, own)
        return cls(recipe, device, precision, loader, own)


def _prepared(settings: Settings, dataset: Dataset, say: Say, processes: Processes) -> Experiment:
    time_limit, chosen = Alarm(settings.longest), _Chosen.of(settings, dataset, processes)
    found = processes.first(lambda: resumption.find(settings, chosen.identity, say))
    saw = processes.first(
        lambda: pretraining.of_run(settings.backbone, settings.pretrained, settings.weights)
    )
    if settings.imagenet1k_only and found is None:
        pretraining.check_only_imagenet1k(saw, settings.backbone, settings.weights)
    torch.manual_seed(settings.seed)
    model = model_of(settings, found is None, say, processes)
    for steps in (chosen.recipe.train, chosen.recipe.eval):
        backbone.check_input(model, output_size(template(steps)))
    for line in _told(settings, chosen, anew=found is None):
        say(line)
    train, val = _loaders(settings, dataset, chosen, say, processes)
    if processes.world.alone:
        feasibility.check_batches(model, train.backend.planner)
    labels = dataset.train.labels
    assert labels is not None, "find_dataset gives labels"
    trainer = trainer_of(settings, model, chosen.precision, chosen.device, len(train), labels, processes)
    if found is None:
        for line in (*trainer.described(), *feasibility.doubts(settings, len(train))):
            say(line)
    seed_apart(settings.seed, processes)
    experiment = Experiment(
        settings,
        dataset,
        chosen.recipe,
        trainer,
        train,
        val,
        sum(loader.backend.planner.images for loader in (train, val)),
        Place(chosen.device),
        History(),
        chosen.identity,
        saw,
        processes=processes,
        time_limit=time_limit,
    )
    if found is not None:
        _go_on(experiment, found, say)
    return experiment


def _told(settings: Settings, chosen: _Chosen, anew: bool) -> Iterator[str]:
    for step in functions(chosen.recipe.train):
        imported(step.function, step.folder)
        does = "what it does does not follow from the seed"
        yield f"{settings.pipeline} runs code of yours, {step.function}: {does}"
    if anew and not settings.pretrained and settings.weights is None:
        yield f"{settings.backbone} starts from random weights"
    yield f"{settings.backbone} on {chosen.device}, loader {chosen.loader}, {chosen.precision.reason}"
    if chosen.loader == BASELINE:
        yield "loader torchvision: a run that is stopped goes on at the beginning of an epoch"
    if not curves.can_be_drawn():
        yield f"{folder.CURVES} will not be drawn: {curves.CURE}"


def _loaders(
    settings: Settings, dataset: Dataset, chosen: _Chosen, say: Say, processes: Processes
) -> tuple[DeviceLoader, DeviceLoader]:
    """The loaders for training and for validation, of this process's share."""
    planners = batches.of_all(settings, dataset, chosen.recipe, processes)
    if settings.compile:
        planners[0] = replace(planners[0], drop_last=True)  # since a short batch would be compiled anew
        say(_compiling(planners[0], chosen.device))
    planners = batches.of_process(planners, processes.world, say)
    if settings.cache is not None:
        planners = cached(planners, settings.cache, say)
    train, val = (
        factory.build_loader(chosen.loader, planner, settings.loading, chosen.device) for planner in planners
    )
    stage = DeviceStage(chosen.device, chosen.precision.dtype)
    rows = len(dataset.train) + len(dataset.val)
    table = settings.output / quarantine.TABLE if processes.world.first else None
    corrupt = quarantine.Quarantine(rows, settings.max_corrupt, chosen.loader, table)
    mixer = Mixer.of_run(chosen.recipe.mix, settings.seed, settings.epochs)
    return DeviceLoader(train, stage, mixer, corrupt), DeviceLoader(val, stage, None, corrupt)


def _go_on(experiment: Experiment, found: State, say: Say) -> None:
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
