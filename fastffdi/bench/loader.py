"""Loaders against each other and against ceilings: images/s to the batch on the device.

The method: all loaders give the same images, by the same recipe, with the same number of threads or
workers, on the same cores. Each runs one endless epoch. They take turns of at least `seconds`, whose first
batches are not counted; the others are idle meanwhile. A loader's figure is the median of its turns; its
ratio to the baseline, and to a ceiling, is the median of the ratios of each round, so that a machine that
slows down slows both.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from fastffdi.bench.machine import only_cores
from fastffdi.bench.stopwatch import Quartiles
from fastffdi.bench.stream import Runner, Stream, ahead_of, arrivals, endless
from fastffdi.cache.decoder import fill
from fastffdi.cache.plan import check_space
from fastffdi.data.manifest import Manifest
from fastffdi.errors import SettingError, did_you_mean
from fastffdi.loaders import factory
from fastffdi.loaders.batch import Loader
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

#: Images in an epoch, at least: the data come again and again, so that hardly a turn meets an epoch's end.
EPOCH = 1_000_000


@dataclass(frozen=True)
class Settings:
    """What is the same for all loaders.

    device   where the batches go
    dtype    of the batches: what the model would compute in
    loading  threads, or worker processes for the baseline, which all share as many cores; batch size …
    seconds  shortest time counted in a turn
    repeats  turns of each loader
    to       normalised: count batches that are ready for the model. uint8: as the loader gives them
    scaled   the recipe's decode: {scaled: …}
    cache    folder from which `cached` takes its images; it is filled before the measurement
    """

    device: torch.device
    dtype: torch.dtype
    loading: LoaderSettings
    seconds: float = 3.0
    repeats: int = 5
    seed: int = 0
    to: str = "normalised"
    scaled: bool = False
    cache: Path | None = None

    @property
    def threads(self) -> int:
        return self.loading.threads

    @property
    def batch_size(self) -> int:
        return self.loading.batch_size

    def to_data(self) -> dict[str, Any]:
        """Plain data, for the record."""
        data = {**asdict(self), **asdict(self.loading), "cache": self.cache is not None}
        words = {"device": str(self.device), "dtype": str(self.dtype).removeprefix("torch.")}
        return {
            name: value for name, value in {**data, **words}.items() if name not in ("loading", "process")
        }


@dataclass(frozen=True)
class Result:
    """The figures of a loader or of a ceiling.

    rates                 img/s of each turn; empty where `problem` says why there are none
    cpu_seconds_per_1000  of each turn: CPU time, children's included, per 1000 images
    ratio                 to the baseline
    shares                of each ceiling that a loader reaches, by the ceiling's name
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

    def to_data(self) -> dict[str, Any]:
        """Plain data; figures are None where there are none."""
        cpu = self.cpu_seconds_per_1000
        data: dict[str, Any] = {
            "pipeline": self.pipeline,
            "ceiling" if self.ceiling else "loader": self.name,
            "device": str(self.settings.device),
            "threads": self.settings.threads,
            "images_per_second": Quartiles.of(self.rates).to_data() if self.rates else None,
            "images_per_second_each": [round(rate, 1) for rate in self.rates],
            "cpu_seconds_per_1000_images": Quartiles.of(cpu).to_data(3) if cpu else None,
        }
        if not self.ceiling:
            data["ratio_to_baseline"] = None if self.ratio is None else round(self.ratio, 3)
            data["ratio_to_ceilings"] = {name: round(share, 3) for name, share in self.shares.items()}
        return data if self.problem is None else {**data, "problem": self.problem}


def available(names: str, cache: Path | None = None) -> tuple[str, ...]:
    """The loaders in a list with commas; `all` is every one that can be imported here.

    `cached` is there where `cache` names a folder. Raises SettingError for an unknown name, for `cached`
    without a folder, and for DALI that is asked for but absent.
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
    """The recipes to measure, by name: as given, and without color_jitter where that is in it.

    The baseline's color_jitter does more arithmetic than ours (hue by way of HSV), so that a comparison with
    it alone would flatter ours.
    """
    without = tuple(step for step in steps if not isinstance(step, ColorJitter))
    more = {} if without == steps else {f"{pipeline} without color_jitter": without}
    return {pipeline: steps, **more}


def measure(
    pipeline: str,
    steps: tuple[Step, ...],
    manifest: Manifest,
    loaders: Sequence[str],
    settings: Settings,
    progress: Callable[[str], None] = lambda name: None,
    ceilings: Sequence[Stream] = (),
) -> list[Result]:
    """The figures of the loaders, then of the ceilings, on one recipe.

    Each has `repeats` turns and, before them, one of at most a second that is not counted. `progress` gets
    its name after each. Raises UndecodableImage.
    """
    threads = settings.threads
    with only_cores(threads), ExitStack() as stack:
        planner = endless(planner_of(manifest, steps, settings), EPOCH)
        streams = [*(_stream(name, planner, settings) for name in loaders), *ceilings]
        runners = [Runner(stream, stack) for stream in streams]
        for number in range(settings.repeats + 1):
            for runner in runners:
                runner.turn(counted=number > 0)
                progress(runner.stream.name)
    return [_result(pipeline, settings, runner, runners) for runner in runners]


def planner_of(manifest: Manifest, steps: tuple[Step, ...], settings: Settings) -> BatchPlanner:
    """The manifest's images, shuffled, as the settings have it. Raises as BatchPlanner.over."""
    decoder = SourceDecoder(scaled=settings.scaled)
    return BatchPlanner.over(
        manifest, steps, settings.loading, seed=settings.seed, shuffle=True, decoder=decoder
    )


def _stream(name: str, planner: BatchPlanner, settings: Settings) -> Stream:
    uint8 = settings.to == "uint8"

    @contextmanager
    def running() -> Iterator[Iterator[int]]:
        loader = _built(name, planner, settings)
        stream = arrivals(loader, None if uint8 else DeviceStage(settings.device, settings.dtype))
        try:
            yield stream
        finally:
            stream.close()
            loader.close()

    ahead = max(ahead_of(loader, settings.loading)[0] for loader in NAMES)
    problem = "no uint8 batches" if uint8 and name == BASELINE else None
    return Stream(name, running, ahead, settings.threads, settings.seconds, problem=problem)


def _built(name: str, planner: BatchPlanner, settings: Settings) -> Loader:
    if name != CACHED:
        return factory.build_loader(name, planner, settings.loading, settings.device)
    assert settings.cache is not None, "refused by `available`"
    plan = planner.cache_plan(settings.cache)
    check_space([plan])
    fill(plan.open(), plan.manifest, plan.prefix, settings.threads, lambda images: None)
    return factory.build_loader("cpu", planner.cached(plan), settings.loading, settings.device)


def _result(pipeline: str, settings: Settings, runner: Runner, runners: Sequence[Runner]) -> Result:
    ceiling = runner.stream.ceiling
    cpu = [timed.cpu_seconds_per_1000 for timed in runner.passes]
    others = [] if ceiling or not runner.passes else [other for other in runners if other.passes]
    ratios = {other.stream.name: _ratio(runner, other) for other in others}
    return Result(
        pipeline,
        runner.stream.name,
        settings,
        ceiling,
        tuple(timed.rate for timed in runner.passes),
        tuple(seconds for seconds in cpu if seconds is not None),
        ratios.get(BASELINE),
        {other.stream.name: ratios[other.stream.name] for other in others if other.stream.ceiling},
        runner.problem,
    )


def _ratio(own: Runner, other: Runner) -> float:
    pairs = zip(own.passes, other.passes, strict=True)
    return statistics.median(ours.rate / theirs.rate for ours, theirs in pairs)
