"""The loader's settings for a machine, found by measuring: one at a time, the others as found so far."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastffdi.bench.loader import EPOCH, Settings, planner_of
from fastffdi.bench.stopwatch import timed_pass
from fastffdi.bench.stream import ahead_of, arrivals, endless
from fastffdi.data.manifest import Manifest
from fastffdi.loaders.factory import build_loader
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.recipe.steps.base import Step
from fastffdi.render.device.stage import DeviceStage

THREADS, PREFETCH, HW_DECODER_LOADS = (1, 2, 3, 4, 6, 8, 12, 16), (1, 2, 4), (0.0, 0.3, 0.65, 0.9)

#: Rates this near to the best count as equal to it: the difference is noise.
NOISE = 0.03

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Tuned:
    """What was found.

    loading  the settings; the defaults where nothing was clearly faster
    names    the settings that were tried
    gain     how many times as fast as the defaults, measured in turns with them
    """

    loading: LoaderSettings
    names: tuple[str, ...]
    gain: float

    def to_data(self) -> dict[str, Any]:
        """What belongs into a file of loader settings."""
        return {name: getattr(self.loading, name) for name in self.names}


def axes(loader: str, settings: Settings) -> dict[str, tuple[Any, ...]]:
    """The settings to find and their values, smallest first, in the order in which they are tried."""
    found: dict[str, tuple[Any, ...]] = {
        "threads": tuple(sorted({n for n in (*THREADS, settings.threads) if n <= settings.threads}))
    }
    if loader != "torchvision":
        found["prefetch"] = PREFETCH
    if loader == "dali" and settings.device.type == "cuda":
        found["hw_decoder_load"] = HW_DECODER_LOADS
    return found


def turns(loader: str, settings: Settings) -> int:
    """How often `tune` calls `progress`."""
    return settings.repeats * (sum(map(len, axes(loader, settings).values())) + 2)


def tune(
    loader: str, steps: tuple[Step, ...], manifest: Manifest, settings: Settings, progress: Progress
) -> Tuned:
    """Find a loader's settings on a recipe. `progress` gets the settings after each turn.

    Raises UndecodableImage, RecipeError where the loader cannot render the recipe.
    """
    trials = _Trials(loader, endless(planner_of(manifest, steps, settings), EPOCH), settings, progress)
    current, rate = settings.loading, 0.0
    for name, values in axes(loader, settings).items():
        # A consumer that is always ready would find no use in batches made ahead.
        pause = settings.batch_size / rate if name == "prefetch" else 0.0
        choices = [replace(current, **{name: value}) for value in values]
        rates = trials.rates(choices, pause)
        best = smallest_of_the_best(rates)
        current, rate = choices[best], statistics.median(rates[best])
    ours, defaults = trials.rates([current, settings.loading])
    gain = statistics.median(own / other for own, other in zip(ours, defaults, strict=True))
    if gain < 1 - NOISE:
        current, gain = settings.loading, 1.0
    return Tuned(current, tuple(axes(loader, settings)), gain)


def smallest_of_the_best(rates: Sequence[Sequence[float]]) -> int:
    """The first choice within NOISE of the fastest, by rates (choices, rounds) as shares of their round's."""
    table = np.array(rates)
    scores = np.median(table / table.mean(axis=0), axis=1)
    return int(np.flatnonzero(scores >= (1 - NOISE) * scores.max())[0])


@dataclass(frozen=True)
class _Trials:
    loader: str
    planner: BatchPlanner
    settings: Settings
    progress: Progress

    def rates(self, choices: Sequence[LoaderSettings], pause: float = 0.0) -> list[list[float]]:
        """img/s of each choice in every turn; the choices take turns, each time with a new loader."""
        rates: list[list[float]] = [[] for _ in choices]
        for _ in range(self.settings.repeats):
            for own, choice in zip(rates, choices, strict=True):
                own.append(self._rate(choice, pause))
                self.progress(choice.described())
        return rates

    def _rate(self, choice: LoaderSettings, pause: float) -> float:
        settings = self.settings
        stage = DeviceStage(settings.device, settings.dtype)
        ahead, group = ahead_of(self.loader, choice)
        with (
            closing(build_loader(self.loader, self.planner, choice, settings.device)) as loader,
            closing(_paced(arrivals(loader, stage), pause)) as stream,
        ):
            return timed_pass(stream, settings.seconds, ahead, group).rate


def _paced(stream: Generator[int, None, None], seconds: float) -> Generator[int, None, None]:
    """The stream for a consumer that does something else for so long before it takes the next batch."""
    with closing(stream):
        for count in stream:
            yield count
            time.sleep(seconds)
