"""The batches of a run, and this process's part of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from fastffdi.data.layout import Dataset
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.quarantine import skips
from fastffdi.model.processes import Processes
from fastffdi.recipe.recipe import Recipe
from fastffdi.training.settings import Settings
from fastffdi.world import World


def of_all(settings: Settings, dataset: Dataset, recipe: Recipe, processes: Processes) -> list[BatchPlanner]:
    """The batches of all processes together, for training and for validation.

    The first process alone probes the sizes of images. Raises as BatchPlanner.over, in all of them.
    """
    planners = processes.only_first(lambda: _planners(settings, dataset, recipe))
    sizes = processes.first(lambda: [planner.manifest.sizes for planner in planners or []])
    if planners is None:
        rows = zip((dataset.train, dataset.val), sizes, strict=True)
        train, val = (replace(manifest, sizes=known) for manifest, known in rows)
        planners = _planners(settings, replace(dataset, train=train, val=val), recipe)
    return planners


def of_process(planners: list[BatchPlanner], world: World, say: Callable[[str], None]) -> list[BatchPlanner]:
    """Of each batch for training a part, and for validation batches of its own.

    Raises SettingError where there are too few images for so many processes.
    """
    if world.alone:
        return planners
    train, val = planners[0].shared(world), planners[1].divided(world)
    left_out = planners[0].images - train.images
    fewer = f"; {left_out} training images are left out of each epoch, too few for all" * (left_out > 0)
    say(f"{world.size} processes share each batch of {train.batch_size} images{fewer}")
    return [train, replace(val, batch_size=train.largest)]


def _planners(settings: Settings, dataset: Dataset, recipe: Recipe) -> list[BatchPlanner]:
    seed, loading, skip = settings.seed, settings.loading, skips(settings.on_corrupt)
    return [
        BatchPlanner.of_split(
            recipe, "train", dataset.train, loading, seed=seed, balance=settings.balance, skip_corrupt=skip
        ),
        BatchPlanner.of_split(recipe, "eval", dataset.val, loading, seed=seed, skip_corrupt=skip),
    ]
