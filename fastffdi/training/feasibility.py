"""What of a run's settings cannot work together, or hardly: said before it begins."""

from __future__ import annotations

import torch

from fastffdi.errors import SettingError
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
