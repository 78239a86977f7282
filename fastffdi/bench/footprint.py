"""What a loader costs before it is fast: the time to its first batch, and its memory.

Both depend on what a process has done before, so that each is taken in processes of their own: `REPEATS` for
each loader, loaders taking turns, imports done beforehand.
"""

from __future__ import annotations

import importlib
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context, set_start_method
from threading import Event, Thread
from typing import Any, TypeVar

import numpy as np
import torch

from fastffdi.bench.loader import BASELINE, Settings, planner_of
from fastffdi.bench.machine import only_cores
from fastffdi.bench.processes import memory_mib
from fastffdi.bench.stopwatch import Quartiles
from fastffdi.bench.stream import endless, refusal
from fastffdi.data.manifest import Manifest
from fastffdi.errors import RecipeError, RunError
from fastffdi.loaders import factory
from fastffdi.recipe.steps.base import Step
from fastffdi.render.device.stage import DeviceStage

T = TypeVar("T")

REPEATS = 3

#: How long a loader runs while its memory is watched, at most, and how often that is looked at.
SECONDS = 2.0
_PERIOD_SECONDS = 0.2

#: Batches in an epoch: more than a loader makes ahead, few enough for rows to weigh nothing.
_BATCHES = 100


@dataclass(frozen=True)
class Footprint:
    """What each of some fresh processes found; empty where `problem` says why.

    first_batch_seconds  from the call that builds the loader to its first normalised batch on the device
    memory_mib           most memory of the process and its workers (PSS), above that before the loader was
                         built; empty where the system does not tell
    first_batch_ratio    to the baseline's, the median of the repeats' ratios; None without it
    """

    pipeline: str
    loader: str
    threads: int
    first_batch_seconds: tuple[float, ...] = ()
    memory_mib: tuple[float, ...] = ()
    first_batch_ratio: float | None = None
    problem: str | None = None

    def to_data(self) -> dict[str, Any]:
        """Plain data; figures are None where there are none."""
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
    """The loaders' footprints on one recipe; `progress` gets a name after each process.

    Raises UndecodableImage, and RunError where a process dies.
    """
    most = _BATCHES * settings.batch_size
    manifest = manifest.take(np.random.default_rng(settings.seed).permutation(len(manifest))[:most])
    found: dict[str, list[tuple[float, float | None]]] = {name: [] for name in loaders}
    problems: dict[str, str] = {}
    with only_cores(settings.threads):
        for _ in range(REPEATS):
            for name in loaders:
                try:
                    found[name].append(_in_a_fresh_process(observe, name, manifest, steps, settings))
                except RecipeError as error:
                    problems[name] = refusal(name, error)
                progress(name)
    baseline = [seconds for seconds, _ in found.get(BASELINE, ())]
    return [
        _footprint(Footprint(pipeline, name, settings.threads, problem=problems.get(name)), seen, baseline)
        for name, seen in found.items()
    ]


def _footprint(
    empty: Footprint, seen: Sequence[tuple[float, float | None]], baseline: Sequence[float]
) -> Footprint:
    seconds = tuple(first for first, _ in seen)
    ratios = [own / base for own, base in zip(seconds, baseline, strict=False)]
    return replace(
        empty,
        first_batch_seconds=seconds,
        memory_mib=tuple(mib for _, mib in seen if mib is not None),
        first_batch_ratio=statistics.median(ratios) if ratios else None,
    )


def _in_a_fresh_process(function: Callable[..., T], *arguments: Any) -> T:
    """What the function, of a module, gives there. Raises what it raises, RunError where the process dies."""
    # Not forked: what this process has imported and allocated would be the child's as well.
    with ProcessPoolExecutor(1, get_context("spawn"), _fork_workers_as_usual) as pool:
        try:
            return pool.submit(function, *arguments).result()
        except BrokenProcessPool as error:
            raise RunError(
                f"the process in which a loader was to be measured has ended ({error}); where memory does "
                "not suffice, a smaller --batch-size helps"
            ) from None


def _fork_workers_as_usual() -> None:
    """Have a loader's workers begin as in any program; else a spawned process spawns its own."""
    set_start_method(None, force=True)


def observe(
    name: str, manifest: Manifest, steps: tuple[Step, ...], settings: Settings
) -> tuple[float, float | None]:
    """Seconds to a loader's first batch, and the MiB that it adds to this process; see Footprint."""
    importlib.import_module(f"fastffdi.loaders.{name}")
    planner = endless(planner_of(manifest, steps, settings), _BATCHES * settings.batch_size)
    torch.zeros(1, device=settings.device).cpu()  # the device is awake
    before = memory_mib()
    began = time.perf_counter()
    with closing(factory.build_loader(name, planner, settings.loading, settings.device)) as loader:
        stage = DeviceStage(settings.device, settings.dtype)
        ready = (stage(batch) for batch in loader.epoch(0))
        next(ready)
        if settings.device.type == "cuda":
            torch.cuda.synchronize(settings.device)
        now = time.perf_counter()
        first = now - began
        with _watched() as seen:
            until = now + SECONDS
            while now < until and next(ready, None) is not None:
                now = time.perf_counter()
    return first, max(seen) - before if seen and before is not None else None


@contextmanager
def _watched() -> Iterator[list[float]]:
    """The memory held meanwhile, in MiB, as a thread sees it from time to time; empty where not known."""
    seen: list[float] = []
    over = Event()

    def watch() -> None:
        while (mib := memory_mib()) is not None:
            seen.append(mib)
            if over.wait(_PERIOD_SECONDS):
                break

    thread = Thread(target=watch, name="fastffdi-memory")
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()
