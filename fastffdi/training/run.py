"""A training run from its settings to its best checkpoint."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from fastffdi.data.doubts import doubts
from fastffdi.training.experiment import prepare
from fastffdi.training.folder import BEST
from fastffdi.training.keeper import Stopped
from fastffdi.training.log import line
from fastffdi.training.result import EpochResult
from fastffdi.training.settings import Settings


@dataclass(frozen=True)
class Run:
    """A run that is over.

    Attributes:
        checkpoint: the model of the best epoch, by validation AUC; for Predictor
        best: that epoch's figures; where the time was over before, those of the model as it was
        epochs: the figures of all epochs, those before a resumption included
    """

    checkpoint: Path
    best: EpochResult
    epochs: tuple[EpochResult, ...]


def train(settings: Settings, say: Callable[[str], None] = print) -> Run:
    """Train a classifier, as `fastffdi train` does; its folder is `settings.output`.

    `say` gets what is worth telling, and a line after each epoch.
    Raises UsageError where settings, recipe and data do not go together, RunError where the run fails. At the
    first SIGINT or SIGTERM it finishes the present update, saves its state, and raises KeyboardInterrupt or
    SystemExit; with `resume` in the settings it goes on from there, to the bit on a CPU. Where the time limit
    ends it, the best model so far is returned.

    >>> settings = fastffdi.Settings("resnet10t", "tutorial", epochs=1, data="DIR", pretrained=False)
    >>> run = fastffdi.train(settings, say=lambda line: None)
    >>> run.checkpoint.name, len(run.epochs)
    ('best.safetensors', 1)
    """
    dataset = settings.dataset(say)
    for told in (f"data: {dataset.description}", *doubts(dataset)):
        say(told)
    with closing(prepare(settings, dataset, say)) as experiment:
        try:
            for result in experiment.run(lambda images, means: None):
                say(line(result, settings.epochs))
        except Stopped as stopped:
            say(f"{stopped}; go on with resume='auto'")
            if stopped.number == signal.SIGINT:
                raise KeyboardInterrupt from None
            raise SystemExit(stopped.exit_code) from None
        if experiment.stopped is not None:
            say(f"time_limit {settings.time_limit}: {experiment.stopped}; go on with resume='auto'")
    assert experiment.best is not None
    return Run(experiment.settings.output / BEST, experiment.best, tuple(experiment.history.results))
