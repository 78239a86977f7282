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

#: Settings that change pixels: measured, but left as they are given.
PIXELS = frozenset({"jpeg_fancy_upsampling"})

#: Rates within this share of the best count as equal: the difference may be noise.
NOISE = 0.03


#: Measures loaders with these settings, each batch used for so many seconds: images/s of each turn; none
#: where time did not suffice.
Measure = Callable[[Sequence[LoaderSettings], float], Sequence[Sequence[float]]]


@dataclass(frozen=True)
class Comparison:
    """The images/s of each turn by value of one setting, in the order of the values, and the value taken.

    A value without turns was not tried, since time did not suffice.
    """

    setting: str
    rates: dict[Any, tuple[float, ...]]
    taken: Any

    @property
    def untried(self) -> list[Any]:
        """The values without turns."""
        return [value for value, rates in self.rates.items() if not rates]


@dataclass(frozen=True)
class Tuned:
    """The settings found, by name; how many times as fast as the defaults they are; what was compared.

    Where what was found is slower than the defaults, `found` has the defaults.
    """

    found: dict[str, Any]
    gain: float
    comparisons: tuple[Comparison, ...]


def alternatives(loader: str, device: torch.device, cores: int) -> dict[str, tuple[Any, ...]]:
    """The values to compare by setting, smallest first, in the order in which settings are found.

    Of dali on CUDA the size hints are not among them: they save time in the first batches alone.
    """
    found: dict[str, tuple[Any, ...]] = {"threads": (*(n for n in THREADS if n < cores), cores)}
    if loader != BASELINE:
        found["prefetch"] = (1, 2, 4)
    if loader == "dali" and device.type == "cuda":
        found["hw_decoder_load"] = (0.0, 0.3, 0.65, 0.9)
        found["decoder_affinity"] = (False, True)
        found["jpeg_fancy_upsampling"] = (True, False)
    return found


def count(values: dict[str, tuple[Any, ...]]) -> int:
    """How many loaders `tune` measures."""
    return sum(map(len, values.values())) + 2


def tune(defaults: LoaderSettings, values: dict[str, tuple[Any, ...]], measure: Measure) -> Tuned:
    """Find the settings, beginning with the defaults; those of PIXELS stay. Raises what `measure` raises."""
    current = defaults
    comparisons: list[Comparison] = []
    rate = 0.0
    for name, choices in values.items():
        # For a consumer that never waits, batches made ahead are of no use: it takes as long as the loader.
        pause = current.batch_size / rate if name == "prefetch" and rate else 0.0
        options = [replace(current, **{name: value}) for value in choices]
        rates = measure(options, pause)
        k = smallest_of_best(rates)
        if k is not None and name not in PIXELS:
            current, rate = options[k], Quartiles.of(rates[k]).median
        comparisons.append(
            Comparison(name, dict(zip(choices, map(tuple, rates), strict=True)), getattr(current, name))
        )
    found, gain = _better(current, defaults, measure)
    return Tuned({name: getattr(found, name) for name in values}, gain, tuple(comparisons))


def _better(
    current: LoaderSettings, defaults: LoaderSettings, measure: Measure
) -> tuple[LoaderSettings, float]:
    """The settings found, or the defaults where those are slower or there was no time; and the gain."""
    own, base = measure([current, defaults], 0.0)
    rounds = min(len(own), len(base))
    gain = median_ratio(own[:rounds], base[:rounds]) if rounds else 0.0
    return (current, gain) if gain >= 1 - NOISE else (defaults, 1.0)


def smallest_of_best(rates: Sequence[Sequence[float]]) -> int | None:
    """The first whose median, as a share of each round's mean, is within NOISE of the highest.

    Those with fewer turns count in the first rounds; None where there is no turn at all.
    """
    rounds = np.full((len(rates), max(map(len, rates))), np.nan)
    for k, own in enumerate(rates):
        rounds[k, : len(own)] = own
    if not rounds.size:
        return None
    shares = rounds / np.nanmean(rounds, axis=0)
    scores = np.array([np.nanmedian(row) if own else 0.0 for row, own in zip(shares, rates, strict=True)])
    return int(np.flatnonzero(scores >= (1 - NOISE) * scores.max())[0])


def in_turns(
    loader: str,
    planner: BatchPlanner,
    settings: Settings,
    progress: Callable[[str], None] = lambda name: None,
) -> Measure:
    """Measures by the thorough protocol; `progress` gets the loader's name after each turn.

    Raises UndecodableImage, RecipeError where the loader refuses the recipe.
    """
    return lambda options, pause: _rates(loader, planner, settings, options, pause, progress)


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
