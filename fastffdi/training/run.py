"""A training run from its settings to its best checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from fastffdi.data.doubts import doubts
from fastffdi.training.experiment import BEST, prepare
from fastffdi.training.log import line
from fastffdi.training.loop import EpochResult
from fastffdi.training.settings import Settings


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        checkpoint: the model of the best epoch, by validation AUC; for Predictor
        best: that epoch's figures
        epochs: the figures of all epochs
    """

    checkpoint: Path
    best: EpochResult
    epochs: tuple[EpochResult, ...]


def train(settings: Settings, say: Callable[[str], None] = print) -> Run:
    """Train a classifier, as `fastffdi train` does; its folder is `settings.output`.

    `say` gets what is worth telling, and a line after each epoch.
    Raises UsageError where settings, recipe and data do not go together, RunError where the run fails.

    >>> settings = fastffdi.Settings("resnet10t", "tutorial", epochs=1, data="DIR", pretrained=False)
    >>> run = fastffdi.train(settings, say=lambda line: None)
    >>> run.checkpoint.name, len(run.epochs)
    ('best.safetensors', 1)
    """
    dataset = settings.dataset(say)
    for told in (f"data: {dataset.description}", *doubts(dataset)):
        say(told)
    results = []
    with closing(prepare(settings, dataset, say)) as experiment:
        for result in experiment.run(lambda images, means: None):
            results.append(result)
            say(line(result, settings.epochs))
    assert experiment.best is not None
    return Run(settings.output / BEST, experiment.best, tuple(results))
