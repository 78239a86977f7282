"""The time to a loader's first batch, and its memory.

Both depend on what a process has done before, so each is measured in fresh processes: `REPEATS` for each
loader, loaders taking turns, imports done beforehand.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from multiprocessing import get_context, set_start_method
from typing import Any, TypeVar

import numpy as np
import torch

from fastffdi.bench.loader import BASELINE, Settings, planner_over
from fastffdi.bench.machine import only_cores
from fastffdi.bench.processes import memory_mib
from fastffdi.bench.stopwatch import Quartiles, median_ratio
from fastffdi.bench.stream import endless, refusal
from fastffdi.data.manifest import Manifest
from fastffdi.errors import RecipeError, RunError
from fastffdi.loaders import factory
from fastffdi.recipe.steps.base import Step
from fastffdi.render.device.stage import DeviceStage

T = TypeVar("T")

REPEATS = 3

#: How long a loader runs while its memory is sampled, and how often it is sampled, at most.
SECONDS = 2.0
_PERIOD_SECONDS = 0.2

#: Batches in an epoch: more than a loader makes ahead, few enough for the manifest to need little memory.
_BATCHES = 100


@dataclass(frozen=True)
class Footprint:
    """The measurements of some fresh processes; empty where there is a `problem`.

    Attributes:
        first_batch_seconds: from building the loader to its first normalised batch on the device
        memory_mib: most memory of the process and its workers (PSS), less that before the loader was built
        first_batch_ratio: to the baseline, median of the ratios of each round; None without the baseline
    """

    pipeline: str
    loader: str
    threads: int
    first_batch_seconds: tuple[float, ...] = ()
    memory_mib: tuple[float, ...] = ()
    first_batch_ratio: float | None = None
    problem: str | None = None

    def to_data(self) -> dict[str, Any]:
        """Plain data; None for what was not measured."""
        first, memory, ratio = self.first_batch_seconds, self.memory_mib, self.first_batch_ratio
        data = {
            "pipeline": self.pipeline,
            "loader": self.loader,
            "threads": self.threads,
            "first_batch_seconds": Quartiles.of(first).to_data(3) if first else None,
            "first_batch_seconds_each": [round(seconds, 3) for seconds in first],
            "first_batch_ratio_to_baseline": None if ratio is None else round(ratio, 3),
            "memory_mib": Quartiles.of(memory).to_data() if memory else None,
            "memory_mib_each": [round(mib, 1) for mib in memory],
        }
        return data if self.problem is None else {**data, "problem": self.problem}


def footprints(
    pipeline: str,
    steps: tuple[Step, ...],
    manifest: Manifest,
    loaders: Sequence[str],
    settings: Settings,
    progress: Callable[[str], None] = lambda name: None,
) -> list[Footprint]:
    """The loaders' footprints for one recipe; `progress` gets a name after each process.

    Raises UndecodableImage, and RunError where a process dies.
    """
    most = _BATCHES * settings.loading.batch_size
    manifest = manifest.take(np.random.default_rng(settings.seed).permutation(len(manifest))[:most])
    seconds: dict[str, list[float]] = {name: [] for name in loaders}
    mib: dict[str, list[float]] = {name: [] for name in loaders}
    problems: dict[str, str] = {}
    with only_cores(settings.threads):
        for _ in range(REPEATS):
            for name in loaders:
                try:
                    first, memory = _in_a_fresh_process(observe, name, manifest, steps, settings)
                    seconds[name].append(first)
                    mib[name].append(memory)
                except RecipeError as error:
                    problems[name] = refusal(name, error)
                progress(name)
    base = seconds.get(BASELINE)
    return [
        Footprint(
            pipeline,
            name,
            settings.threads,
            tuple(seconds[name]),
            tuple(mib[name]),
            median_ratio(seconds[name], base) if base and seconds[name] else None,
            problems.get(name),
        )
        for name in loaders
    ]


def _in_a_fresh_process(function: Callable[..., T], *arguments: Any) -> T:
    """What a function of a module returns there. Raises what it raises, RunError where the process dies."""
    # Not forked: what this process has imported and allocated would be the child's as well.
    with ProcessPoolExecutor(1, get_context("spawn"), _reset_start_method) as pool:
        try:
            return pool.submit(function, *arguments).result()
        except BrokenProcessPool as error:
            raise RunError(
                f"the process in which a loader was to be measured has ended ({error}); if memory ran out, "
                "a smaller --batch-size helps"
            ) from None


def _reset_start_method() -> None:
    """Let a loader's workers start as in any program: a spawned process would spawn its own."""
    set_start_method(None, force=True)


def observe(
    name: str, manifest: Manifest, steps: tuple[Step, ...], settings: Settings
) -> tuple[float, float]:
    """Seconds to a loader's first batch, and the MiB that it adds to this process; see Footprint."""
    importlib.import_module(f"fastffdi.loaders.{name}")
    planner = endless(planner_over(manifest, steps, settings), _BATCHES * settings.loading.batch_size)
    torch.zeros(1, device=settings.device).cpu()  # initialises CUDA
    before = memory_mib()
    began = time.perf_counter()
    with closing(factory.build_loader(name, planner, settings.loading, settings.device)) as loader:
        stage = DeviceStage(settings.device, settings.dtype)
        ready = (stage(batch) for batch in loader.epoch(0))
        next(ready)
        if settings.device.type == "cuda":
            torch.cuda.synchronize(settings.device)
        now = time.perf_counter()
        first, until = now - began, now + SECONDS
        most, sampled = memory_mib(), now
        while now < until and next(ready, None) is not None:
            now = time.perf_counter()
            if now - sampled >= _PERIOD_SECONDS:
                most, sampled = max(most, memory_mib()), now
    return first, most - before
