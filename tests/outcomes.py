"""Runs on the tiny images that are stopped and gone on with, and what they leave."""

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import NamedTuple

import torch
from experiments import CLOCKED, figures, prepared, settings_of, with_mixing
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from fastffdi.data.layout import Dataset
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.training.experiment import Experiment
from fastffdi.training.folder import BATCH, BEST, LAST, MISTAKES, SCORES, SUMMARY
from fastffdi.training.keeper import Stopped
from fastffdi.training.optimisation import Optimisation
from fastffdi.training.settings import Settings

#: Batches of an epoch: five of training and two of validation.
STEPS, EPOCHS = 7, 3


class Outcome(NamedTuple):
    """What a run leaves, but for what the clock decides."""

    weights: dict[str, dict[str, torch.Tensor]]
    table: list[dict[str, str]]
    events: list[tuple[int, str, float | None]]
    scores: bytes
    best: dict[str, object]
    sheets: list[bytes]

    @classmethod
    def of(cls, folder: Path) -> "Outcome":
        (file,) = folder.glob("events.*")
        events = [
            (event.step, value.tag, next(iter(value.tensor.float_val), None))
            for event in EventFileLoader(str(file)).Load()
            for value in event.summary.value
            if value.tag not in CLOCKED
        ]
        assert events.pop(0) == (0, BATCH.removesuffix(".png"), None)
        found = json.loads((folder / SUMMARY).read_text())
        sheets = [(folder / name).read_bytes() for name in (BATCH, MISTAKES) if (folder / name).exists()]
        return cls(
            weights={name: load_file(folder / name) for name in (BEST, LAST)},
            table=figures(folder),
            events=events,
            scores=(folder / SCORES).read_bytes(),
            best={name: found[name] for name in ("epochs", "best_epoch", "auc", "auc_interval")},
            sheets=sheets,
        )

    def check(self, other: "Outcome") -> None:
        for name, weights in self.weights.items():
            for tensor, value in weights.items():
                assert torch.equal(value, other.weights[name][tensor]), (name, tensor)
        assert self.table == other.table
        assert self.events == other.events
        assert (self.scores, self.best, self.sheets) == (other.scores, other.best, other.sheets)


@contextmanager
def dropping(settings: Settings, dataset: Dataset, say: Callable = lambda line: None) -> Iterator[Experiment]:
    """The experiment, with dropout: torch's random numbers count as well."""
    with prepared(settings, dataset, say) as experiment:
        experiment.trainer.model.drop_rate = 0.3
        yield experiment


def run(settings: Settings, dataset: Dataset, stop: int | None = None) -> Stopped | None:
    """To the end, or until so many batches are over; how it was stopped."""
    with dropping(settings, dataset) as experiment:
        number = count(1)

        def told(images: int, means: object) -> None:
            if next(number) == stop:
                experiment.trainer.stop.request(signal.SIGTERM)

        try:
            list(experiment.run(told))
        except Stopped as stopped:
            return stopped
    return None


def resumed(settings: Settings, dataset: Dataset, *stops: int) -> Outcome:
    """Of a run that is stopped after so many batches, and again after so many more."""
    for stop in stops:
        run(settings, dataset, stop)
        settings = replace(settings, resume="auto")
    assert run(settings, dataset) is None
    return Outcome.of(settings.output)


def variants(tiny: Path, folder: Path) -> dict[str, Settings]:
    """What may differ in how images come; all are mixed and flipped."""
    plain = with_mixing(settings_of(tiny, folder / "run"), folder)
    process = LoaderSettings(threads=1, batch_size=8, process=True)
    return {
        "cpu": plain,
        "process": replace(plain, loading=process),
        "dali": replace(plain, backend="dali"),
        "cache": replace(plain, cache=folder / "cache"),
        "average": replace(plain, optimisation=Optimisation(accumulate=2, clip_gradient=0.5, ema=0.9)),
    }
