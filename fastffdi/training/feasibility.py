"""What of a run's settings cannot work together, or hardly: said before it begins."""

from __future__ import annotations

import copy

import torch
from torch import nn

from fastffdi.errors import SettingError
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.recipe.lowering import output_size, template
from fastffdi.training.settings import Settings


def check(settings: Settings, device: torch.device) -> None:
    """Raise SettingError for settings that contradict each other."""
    how = settings.optimisation
    if how.class_weights == "balanced" and settings.balance:
        raise SettingError("--balance: class_weights balanced evens out the classes as well; leave out one")
    if how.freeze >= settings.epochs:
        raise SettingError(
            f"--freeze {how.freeze}: of {settings.epochs} epochs none is left to train the backbone in; take "
            "--tune head, or more --epochs"
        )
    if settings.compile and how.accumulate > 1 and device.type == "cuda":
        raise SettingError(
            f"--accumulate {how.accumulate}: with --compile on a GPU each batch would overwrite the "
            "gradients of the one before; leave out one"
        )


def check_batches(model: nn.Module, planner: BatchPlanner) -> None:
    """Raise SettingError where an epoch has a batch of one image, and the model cannot be trained on it.

    BatchNorm cannot where its map has become a single pixel: that is found by trying.
    """
    if planner.images_in(len(planner) - 1) > 1:
        return
    image = torch.zeros(1, 3, *output_size(template(planner.steps)))
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            copy.deepcopy(model).train()(image)
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise SettingError(
            f"--batch-size {planner.batch_size}: of {planner.images} training images one is left for a batch "
            "of its own, of which this backbone's BatchNorm cannot learn; take another --batch-size"
        ) from None


def doubts(settings: Settings, batches: int) -> list[str]:
    """A line about each thing for which a run has too few updates; `batches` of an epoch."""
    how, epochs = settings.optimisation, settings.epochs
    each = how.updates(batches)
    updates, cure = epochs * each, "lower --batch-size, or raise --epochs"
    found, of = [], f"{updates} update{'s' * (updates > 1)} in all, {each} in an epoch"
    if updates == 1:
        found.append(f"{of}: hardly anything can be learnt in it; {cure}")
    elif round(updates * how.warmup) < 1 and how.warmup:
        found.append(f"{of}: fewer than a warm-up of {how.warmup:g} of them needs; {cure}")
    if how.schedule == "step" and how.decay_every >= epochs:
        found.append(f"decay_every {how.decay_every:g}: of {epochs} epochs, the learning rate makes no step")
    return found
