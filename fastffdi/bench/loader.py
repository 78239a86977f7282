"""Loaders against each other and against ceilings: images/s until the batch is on the device.

All loaders get the same images, recipe, number of threads or workers, and cores. Each runs one endless epoch.
They take turns of at least `seconds`, each after a warm-up that is not counted, while the others are idle.
The rate of a loader is the median of its turns; its ratio to the baseline, or to a ceiling, is the median of
the ratios of each round, so that a machine that slows down slows both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from fastffdi.bench.machine import only_cores
from fastffdi.bench.stopwatch import Pass, Quartiles, median_ratio, speed_data
from fastffdi.bench.stream import Measured, Runner, Stream, arrivals, endless, take_turns
from fastffdi.cache.filling import fill_all
from fastffdi.cache.plan import check_space
from fastffdi.data.manifest import Manifest
from fastffdi.errors import SettingError, did_you_mean
from fastffdi.loaders import factory
from fastffdi.loaders.batch import Backend
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.recipe.steps.base import Step
from fastffdi.recipe.steps.colour import ColorJitter
from fastffdi.render.cpu.decode import SourceDecoder
from fastffdi.render.device.stage import DeviceStage

BASELINE = "torchvision"
#: The cpu loader with its images from a full cache.
CACHED = "cached"
NAMES = (BASELINE, "cpu", CACHED, "dali")

#: Images in an epoch, at least: the data are repeated, so that hardly a turn meets the end of an epoch.
EPOCH = 1_000_000


@dataclass(frozen=True)
class Settings:
    """What is the same for all loaders.

    Attributes:
        device: where the batches go
        dtype: of the normalised batches
        loading: how loaders work; they are restricted to as many cores as threads
        seconds: least length of a turn
        repeats: turns of each loader
        to: normalised: count batches that are ready for the model. uint8: as the loader gives them
        scaled: the recipe's decode: {scaled: …}
        cache: folder of the images of `cached`, filled before it is measured
    """

    device: torch.device
    dtype: torch.dtype
    loading: LoaderSettings = field(default_factory=LoaderSettings)
    seconds: float = 3.0
    repeats: int = 5
    seed: int = 0
    to: str = "normalised"
    scaled: bool = False
    cache: Path | None = None

    @property
    def threads(self) -> int:
        return self.loading.threads

    def to_data(self) -> dict[str, Any]:
        """Plain data, for the record; `process` only where it is set."""
        data = {name: value for name, value in vars(self).items() if name != "loading"}
        data |= {"device": str(self.device), "dtype": str(self.dtype).removeprefix("torch.")}
        loading = asdict(self.loading)
        if loading["process"] is None:
            del loading["process"]
        return {**data, **loading, "cache": self.cache is not None}


@dataclass(frozen=True)
class Result:
    """The measurements of a loader or of a ceiling.

    Attributes:
        rates: images/s of each turn; empty where there is a `problem`
        cpu_seconds_per_1000: of each turn: CPU time, children included, per 1000 images
        ratio: to the baseline
        shares: ratio to each ceiling, by the ceiling's name
        cut: whether time sufficed for one turn only, or for part of one
    """

    pipeline: str
    name: str
    settings: Settings
    ceiling: bool = False
    rates: tuple[float, ...] = ()
    cpu_seconds_per_1000: tuple[float, ...] = ()
    ratio: float | None = None
    shares: dict[str, float] = field(default_factory=dict)
    problem: str | None = None
    cut: bool = False

    def to_data(self) -> dict[str, Any]:
        """Plain data; None for what was not measured."""
        cpu = self.cpu_seconds_per_1000
        data: dict[str, Any] = {
            "pipeline": self.pipeline,
            "ceiling" if self.ceiling else "loader": self.name,
            "device": str(self.settings.device),
            "threads": self.settings.threads,
            "turns": len(self.rates),
            "cut": self.cut,
            **speed_data(self.rates),
            "cpu_seconds_per_1000_images": Quartiles.of(cpu).to_data(3) if cpu else None,
        }
        if not self.ceiling:
            data["ratio_to_baseline"] = None if self.ratio is None else round(self.ratio, 3)
            data["ratio_to_ceilings"] = {name: round(share, 3) for name, share in self.shares.items()}
        return data if self.problem is None else {**data, "problem": self.problem}


def available(names: str, cache: Path | None = None) -> tuple[str, ...]:
    """The loaders of a comma-separated list; `all` stands for every one that can be used here.

    `cached` needs the folder `cache`. Raises SettingError for an unknown name, for `cached` without a folder,
    and for DALI that is asked for but not installed.
    """
    if names == "all":
        absent = {"dali"} if factory.dali_problem() else set()
        return tuple(name for name in NAMES if name not in absent and (name != CACHED or cache))
    asked = [name.strip() for name in names.split(",")]
    for name in asked:
        if name not in NAMES:
            raise SettingError(f"--loaders {names}: unknown loader '{name}'{did_you_mean(name, NAMES)}")
        if name == CACHED and cache is None:
            raise SettingError(f"--loaders {names}: {CACHED} needs a folder for images; add --cache DIR")
        factory.choose_loader("cpu" if name == CACHED else name, torch.device("cpu"))
    return tuple(name for name in NAMES if name in asked)


def tables(pipeline: str, steps: tuple[Step, ...]) -> dict[str, tuple[Step, ...]]:
    """The recipes to measure, by name: the given one, and the same without color_jitter if it has that.

    The baseline's color_jitter does more arithmetic than ours (hue by way of HSV), so a comparison with it
    alone would favour ours.
    """
    without = tuple(step for step in steps if not isinstance(step, ColorJitter))
    return {pipeline: steps} | ({} if without == steps else {f"{pipeline} without color_jitter": without})


def measure(
    pipeline: str,
    steps: tuple[Step, ...],
    manifest: Manifest,
    loaders: Sequence[str],
    settings: Settings,
    progress: Callable[[str], None] = lambda name: None,
    ceilings: Sequence[Stream] = (),
) -> list[Result]:
    """The results of the loaders, then of the ceilings, for one recipe.

    `progress` gets a name after each turn. Raises UndecodableImage.
    """
    with only_cores(settings.threads), ExitStack() as stack:
        planner = endless(planner_over(manifest, steps, settings), EPOCH)
        streams = [*(loader_stream(name, planner, settings) for name in loaders), *ceilings]
        runners = [Runner(stream, stack) for stream in streams]
        take_turns(runners, settings.repeats, progress)
    return [result(pipeline, settings, runner, runners) for runner in runners]


def planner_over(manifest: Manifest, steps: tuple[Step, ...], settings: Settings) -> BatchPlanner:
    """The manifest's images, shuffled. Raises as BatchPlanner.over."""
    decoder = SourceDecoder(scaled=settings.scaled, limits=settings.loading.limits)
    return BatchPlanner.over(
        manifest, steps, settings.loading, seed=settings.seed, shuffle=True, decoder=decoder
    )


def loader_stream(name: str, planner: BatchPlanner, settings: Settings) -> Stream:
    """A loader as a stream of normalised batches, or of uint8 batches."""
    loading = settings.loading

    @contextmanager
    def opened() -> Iterator[Iterator[int]]:
        stage = stage_of(settings)
        with closing(built(name, planner, settings)) as loader, closing(arrivals(loader, stage)) as stream:
            yield stream

    ahead = max(2 * loading.threads, loading.prefetch) + 2  # the DataLoader makes two ahead for each worker
    problem = problem_of(name, settings)
    return Stream(name, opened, ahead, loading.threads, settings.seconds, problem=problem)


def problem_of(name: str, settings: Settings) -> str | None:
    """Why a loader cannot be measured with these settings; None where it can."""
    return "no uint8 batches" if settings.to == "uint8" and name == BASELINE else None


def stage_of(settings: Settings) -> DeviceStage | None:
    """What makes a loader's batches those that are counted; None where they are counted as they are."""
    return None if settings.to == "uint8" else DeviceStage(settings.device, settings.dtype)


def built(name: str, planner: BatchPlanner, settings: Settings) -> Backend:
    """A loader; of `cached` the cache is full."""
    loading, device = settings.loading, settings.device
    if name != CACHED:
        return factory.build_loader(name, planner, loading, device)
    assert settings.cache is not None, "refused by `available`"
    plan = planner.cache_plan(settings.cache)
    check_space([plan])
    fill_all([plan], loading.threads, lambda images: None)
    return factory.build_loader("cpu", planner.cached(plan), loading, device)


def result(pipeline: str, settings: Settings, own: Measured, everyone: Sequence[Measured]) -> Result:
    """What was measured of one, with its ratios to the others in the rounds in which both had a turn."""
    others = [] if own.ceiling or not own.passes else [other for other in everyone if other.passes]
    ratios = {other.name: _ratio(own.passes, other.passes) for other in others}
    return Result(
        pipeline,
        own.name,
        settings,
        own.ceiling,
        tuple(timed.rate for timed in own.passes),
        tuple(timed.cpu_seconds_per_1000 for timed in own.passes),
        ratios.get(BASELINE),
        {other.name: ratios[other.name] for other in others if other.ceiling},
        own.problem,
        own.cut,
    )


def _ratio(own: Sequence[Pass], other: Sequence[Pass]) -> float:
    rounds = min(len(own), len(other))
    return median_ratio([timed.rate for timed in own[:rounds]], [timed.rate for timed in other[:rounds]])
