"""The loader settings that are fastest on this machine: one setting after the other, values taking turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from fastffdi.bench.loader import BASELINE, Settings, loader_stream
from fastffdi.bench.stopwatch import Quartiles, median_ratio
from fastffdi.bench.stream import Runner, Stream, take_turns
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.settings import LoaderSettings

THREADS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)

#: Rates within this share of the best count as equal: the difference may be noise.
NOISE = 0.03


@dataclass(frozen=True)
class Comparison:
    """The rates of one setting's values, in the order of the values, and the value taken."""

    setting: str
    rates: dict[Any, Quartiles]
    taken: Any


@dataclass(frozen=True)
class Tuned:
    """The settings found, by name; how many times as fast as the defaults they are; what was compared.

    Where what was found is slower than the defaults, `found` has the defaults.
    """

    found: dict[str, Any]
    gain: float
    comparisons: tuple[Comparison, ...]


def alternatives(loader: str, device: torch.device, cores: int) -> dict[str, tuple[Any, ...]]:
    """The values to compare by setting, smallest first, in the order in which settings are found."""
    found: dict[str, tuple[Any, ...]] = {"threads": (*(n for n in THREADS if n < cores), cores)}
    if loader != BASELINE:
        found["prefetch"] = (1, 2, 4)
    if loader == "dali" and device.type == "cuda":
        found["hw_decoder_load"] = (0.0, 0.3, 0.65, 0.9)
    return found


def tune(
    loader: str,
    planner: BatchPlanner,
    settings: Settings,
    values: dict[str, tuple[Any, ...]],
    progress: Callable[[str], None] = lambda name: None,
) -> Tuned:
    """Find the settings, beginning with those of `settings`; `progress` gets a line after each turn.

    Raises UndecodableImage, RecipeError where the loader refuses the recipe.
    """
    defaults = current = settings.loading
    comparisons: list[Comparison] = []
    rate = 0.0
    for name, choices in values.items():
        # For a consumer that never waits, batches made ahead are of no use: it takes as long as the loader.
        pause = current.batch_size / rate if name == "prefetch" else 0.0
        options = [replace(current, **{name: value}) for value in choices]
        rates = _rates(loader, planner, settings, options, pause, progress)
        k = smallest_of_best(rates)
        current, rate = options[k], Quartiles.of(rates[k]).median
        compared = dict(zip(choices, map(Quartiles.of, rates), strict=True))
        comparisons.append(Comparison(name, compared, choices[k]))
    own, base = _rates(loader, planner, settings, [current, defaults], 0.0, progress)
    gain = median_ratio(own, base)
    if gain < 1 - NOISE:
        current, gain = defaults, 1.0
    return Tuned({name: getattr(current, name) for name in values}, gain, tuple(comparisons))


def smallest_of_best(rates: Sequence[Sequence[float]]) -> int:
    """The first whose median, as a share of each round's mean, is within NOISE of the highest."""
    rounds = np.array(rates)
    scores = np.median(rounds / rounds.mean(axis=0), axis=1)
    return int(np.flatnonzero(scores >= (1 - NOISE) * scores.max())[0])


def _rates(
    loader: str,
    planner: BatchPlanner,
    settings: Settings,
    options: Sequence[LoaderSettings],
    pause: float,
    progress: Callable[[str], None],
) -> list[tuple[float, ...]]:
    with ExitStack() as stack:
        streams = (loader_stream(loader, planner, replace(settings, loading=option)) for option in options)
        runners = [Runner(_paced(stream, pause), stack) for stream in streams]
        take_turns(runners, settings.repeats, progress)
        return [runner.rates for runner in runners]


def _paced(stream: Stream, seconds: float) -> Stream:
    """The stream for a consumer that takes so long over each batch."""

    @contextmanager
    def opened() -> Iterator[Iterator[int]]:
        with stream.open() as arrivals:
            yield map(after_use, arrivals)

    def after_use(images: int) -> int:
        time.sleep(seconds)
        return images

    return replace(stream, open=opened) if seconds else stream
