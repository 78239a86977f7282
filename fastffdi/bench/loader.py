"""Loaders against each other: images/s to the normalised batch on the device.

The method: all loaders show the same pictures, by the same recipe, with the same number of threads or
workers, on the same cores. Each runs one endless epoch. They take turns; a turn is `seconds` long at least,
and begins with batches that are not counted. While one runs the others have nothing left to do. A loader's
figure is the median of its turns; its ratio to the baseline is the median of the ratios of each round, so
that a machine that slows down slows both.
"""

from __future__ import annotations

import contextlib
import itertools
import statistics
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from fastffdi.bench.machine import only_cores
from fastffdi.bench.stopwatch import Quartiles, timed_pass
from fastffdi.data.manifest import Manifest
from fastffdi.errors import RecipeError, SettingError, did_you_mean
from fastffdi.loaders import choose
from fastffdi.loaders.batch import Batch, Loader
from fastffdi.loaders.feed import Feed
from fastffdi.loaders.settings import LoaderSettings
from fastffdi.recipe.steps.base import Step
from fastffdi.recipe.steps.colour import ColorJitter
from fastffdi.render.device.stage import DeviceStage

BASELINE = "torchvision"
NAMES = (BASELINE, "cpu", "dali")

#: What `backbone` means in a recipe where there is no model: size, mean, std.
BACKBONE = ((256, 256), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

#: Pictures in an epoch, at least: the data come again and again, so that hardly a turn meets an epoch's end.
EPOCH = 1_000_000


@dataclass(frozen=True)
class Settings:
    """What is the same for all loaders.

    device      where the batches go
    dtype       theirs: what the model would compute in
    threads     decoding threads, or worker processes for the baseline; all share as many cores
    seconds     shortest time counted in a turn
    repeats     turns of each loader
    """

    device: torch.device
    dtype: torch.dtype
    threads: int
    batch_size: int = 64
    seconds: float = 5.0
    repeats: int = 5
    seed: int = 0

    def to_data(self) -> dict[str, Any]:
        """Plain data, for the record."""
        return {**asdict(self), "device": str(self.device), "dtype": str(self.dtype).removeprefix("torch.")}


@dataclass(frozen=True)
class Result:
    """A loader's figures: `rates` img/s of each turn, empty where `problem` says why there are none."""

    pipeline: str
    loader: str
    settings: Settings
    rates: tuple[float, ...] = ()
    ratio: float | None = None
    problem: str | None = None

    def to_data(self) -> dict[str, Any]:
        """Plain data; `ratio_to_baseline` and `images_per_second` are None where there is none."""
        data = {
            "pipeline": self.pipeline,
            "loader": self.loader,
            "device": str(self.settings.device),
            "threads": self.settings.threads,
            "images_per_second": Quartiles.of(self.rates).to_data() if self.rates else None,
            "images_per_second_each": [round(rate, 1) for rate in self.rates],
            "ratio_to_baseline": None if self.ratio is None else round(self.ratio, 3),
        }
        return data if self.problem is None else {**data, "problem": self.problem}


def available(names: str) -> tuple[str, ...]:
    """The loaders in a list with commas; `all` is every one that can be imported here.

    Raises SettingError for an unknown name, and for DALI that is asked for but absent.
    """
    if names == "all":
        return tuple(name for name in NAMES if name != "dali" or not choose.dali_problem())
    asked = [name.strip() for name in names.split(",")]
    for name in asked:
        if name not in NAMES:
            raise SettingError(f"--loaders {names}: unknown loader '{name}'{did_you_mean(name, NAMES)}")
        choose.choose(name, torch.device("cpu"))
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
    progress: Callable[[str], None] = lambda loader: None,
) -> list[Result]:
    """The loaders' figures on one recipe. `progress` gets a loader's name after each of its turns.

    Each has `repeats` turns and, before them, one of at most a second that is not counted.
    Raises UndecodablePicture.
    """
    threads = settings.threads
    with only_cores(threads), contextlib.ExitStack() as stack:
        feed = _endless(Feed.over(manifest, steps, settings.batch_size, threads, settings.seed, shuffle=True))
        runners = [stack.enter_context(_Runner(name, feed, settings)) for name in loaders]
        for number in range(settings.repeats + 1):
            for runner in runners:
                runner.turn(counted=number > 0)
                progress(runner.name)
    baseline = next((runner.rates for runner in runners if runner.name == BASELINE), [])
    return [runner.result(pipeline, baseline) for runner in runners]


class _Runner:
    """One loader, running or waiting for its turn."""

    def __init__(self, name: str, feed: Feed, settings: Settings) -> None:
        self.name, self.settings = name, settings
        self.rates: list[float] = []
        self.problem: str | None = None
        self._loader: Loader | None = None
        # What may lie ready when a turn begins: the DataLoader makes two batches ahead for each worker.
        self._ahead = 2 * settings.threads + 2
        try:
            self._loader = choose.build(name, feed, LoaderSettings(settings.threads), settings.device)
        except RecipeError as error:
            self.problem = str(error).removeprefix(f"--loader {name} ").partition(";")[0]
        else:
            self._arrivals = arrivals(self._loader, DeviceStage(settings.device, settings.dtype))

    def turn(self, counted: bool) -> None:
        if self._loader is None:
            return
        seconds = self.settings.seconds if counted else min(self.settings.seconds, 1.0)
        rate = timed_pass(self._arrivals, seconds, self._ahead, self.settings.threads)
        if counted:
            self.rates.append(rate)
        # The batches it is still making would take time from the next loader.
        time.sleep(self._ahead * self.settings.batch_size / rate)

    def result(self, pipeline: str, baseline: list[float]) -> Result:
        ratios = [own / base for own, base in zip(self.rates, baseline, strict=False)]
        ratio = statistics.median(ratios) if ratios else None
        return Result(pipeline, self.name, self.settings, tuple(self.rates), ratio, self.problem)

    def __enter__(self) -> _Runner:
        return self

    def __exit__(self, *error: object) -> None:
        if self._loader is not None:
            self._arrivals.close()
            self._loader.close()


def arrivals(loader: Loader, stage: DeviceStage) -> Generator[int, None, None]:
    """The pictures of each batch, told when the normalised batch is on the device; epoch after epoch.

    On CUDA one batch is under way while the one before is waited for.
    """
    under_way: tuple[torch.cuda.Event | None, int] | None = None
    for batch in _batches(loader):
        images = stage(batch.images, batch.program, batch.done)
        before, under_way = under_way, (_event(images.device), len(batch))
        if before is not None:
            event, pictures = before
            if event is not None:
                event.synchronize()
            yield pictures


def _batches(loader: Loader) -> Iterator[Batch]:
    for epoch in itertools.count():
        yield from loader.epoch(epoch)


def _event(device: torch.device) -> torch.cuda.Event | None:
    if device.type != "cuda":
        return None
    event: torch.cuda.Event = torch.cuda.Event()  # type: ignore[no-untyped-call]
    event.record(torch.cuda.current_stream(device))
    return event


def _endless(feed: Feed) -> Feed:
    """The feed over its pictures again and again, in whole batches, until an epoch is long."""
    size = feed.batch_size
    times = -(-EPOCH // len(feed.manifest))
    rows = np.tile(np.arange(len(feed.manifest)), times)[: times * len(feed.manifest) // size * size]
    return replace(feed, manifest=feed.manifest.take(rows), order=replace(feed.order, rows=len(rows)))
