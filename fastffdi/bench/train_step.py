"""Speed of training, and what limits it: real data against one batch kept on the device."""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from fastffdi.bench import baseline, launches
from fastffdi.bench.loader import EPOCH
from fastffdi.bench.phases import PHASES, PhaseTimer
from fastffdi.bench.steps import Train, kept, train
from fastffdi.bench.stopwatch import median_ratio, speed_data
from fastffdi.bench.stream import batches, refusal, repeated, take_turns
from fastffdi.data.layout import Dataset
from fastffdi.data.manifest import Manifest
from fastffdi.errors import RecipeError
from fastffdi.loaders import factory
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.torchvision import TorchvisionLoader
from fastffdi.model.backbone import load_recipe
from fastffdi.recipe.lowering import needs_sizes
from fastffdi.training import preparation
from fastffdi.training.experiment import Experiment
from fastffdi.training.settings import Settings

REAL, SYNTHETIC, EAGER, TUTORIAL = "real data", "synthetic", "eager", "tutorial"

#: Ratio to the synthetic batch from which on the model limits.
_NEARLY = 0.95

#: By the part of a step that is longer with real data.
_LIMITS = {
    "data": "the loader; more threads or cores, `fastffdi bench-loader --tune` or a lighter recipe help",
    "copy": "copying to the device and the recipe's steps there; another --loader or a lighter recipe helps",
    "compute": "the cores, which decoding and model share; fewer --threads may help, a GPU does",
}

#: Steps counted in a turn, at least.
FEWEST = 3


@dataclass(frozen=True)
class Rounds:
    """How to measure: `repeats` turns of about `seconds` each, with or without the tutorial's loop."""

    seconds: float = 5.0
    repeats: int = 5
    baseline: bool = False


@dataclass(frozen=True)
class Result:
    """The measurements of one kind of training.

    Attributes:
        batch_size: images in a step
        cuda: whether phases are timed by CUDA events
        rates: images/s of each turn
        steps: seconds of a step by phase, the mean of each turn
        launches: of a step, as `launches.per_step` counts them
    """

    name: str
    batch_size: int
    cuda: bool
    rates: tuple[float, ...]
    steps: tuple[dict[str, float], ...]
    launches: int = 0

    def phase_seconds(self, phase: str) -> float:
        """Median over the turns."""
        return statistics.median(step[phase] for step in self.steps)

    def share(self, phase: str) -> float:
        """The phase's share of a step; median over the turns."""
        return statistics.median(step[phase] / sum(step.values()) for step in self.steps)

    @property
    def busy(self) -> float | None:
        """Share of the time in which a GPU does not wait for images; None on a CPU."""
        if not self.cuda:
            return None
        busy = [sum(step.values()) - step["data"] for step in self.steps]
        return median_ratio(busy, [self.batch_size / rate for rate in self.rates])

    def ratio(self, other: Result) -> float:
        """How many times as fast as `other`: median of the rounds' ratios."""
        return median_ratio(self.rates, other.rates)

    def to_data(self) -> dict[str, Any]:
        """Plain data; times in milliseconds per step."""
        return {
            "name": self.name,
            **speed_data(self.rates, 2),
            "step_ms": {phase: round(1000 * self.phase_seconds(phase), 3) for phase in PHASES},
            "data_share": round(self.share("data"), 4),
            "gpu_busy_share": None if self.busy is None else round(self.busy, 4),
            "launches_per_step": self.launches,
        }


def prepare(settings: Settings, manifest: Manifest, say: Callable[[str], None]) -> Experiment:
    """The training run to measure: as `train` builds it, with the images repeated.

    Images without labels count as real. Raises UsageError as training.preparation.prepare does.
    """
    recipe, loading = load_recipe(settings.pipeline, settings.backbone), settings.loading
    if needs_sizes(recipe.train):
        manifest = manifest.with_sizes(loading.threads)
    if manifest.labels is None:
        manifest = replace(manifest, labels=np.zeros(len(manifest), np.int64))
    dataset = Dataset(repeated(manifest, loading.batch_size, EPOCH), manifest.take(slice(1)), "")
    unmixed = 0 if recipe.mix is None else recipe.mix.off_epochs  # the epoch before these is measured
    return preparation.prepare(replace(settings, epochs=1 + unmixed), dataset, say)


def described(ready: Experiment, rounds: Rounds) -> dict[str, Any]:
    """The settings as plain data, for the record."""
    settings, device = ready.settings, ready.trainer.device
    return {
        "pipeline": settings.pipeline,
        "backbone": settings.backbone,
        "loader": factory.choose_loader(settings.backend, device),
        **asdict(settings.loading),
        "device": str(device),
        "precision": ready.trainer.precision.name,
        "compile": settings.compile,
        "seed": settings.seed,
        **asdict(rounds),
    }


def measure(
    ready: Experiment, rounds: Rounds, progress: Callable[[str], None] = lambda name: None
) -> list[Result]:
    """The experiment on real data and on one batch kept on the device, and the tutorial's loop if asked for.

    A compiled experiment is also measured without compilation, on the batch that is kept.
    They take turns; `progress` gets a name after each. Raises UndecodableImage, and RecipeError where the
    tutorial's loop cannot express the recipe.
    """
    device = ready.trainer.device
    with ExitStack() as stack:
        runners = [
            _Runner(name, train, device, rounds.seconds, ahead, group)
            for name, train, ahead, group in _kinds(ready, rounds.baseline, stack)
        ]
        take_turns(runners, rounds.repeats, progress)
        counts = [runner.launches() for runner in runners]
    size, cuda = ready.settings.loading.batch_size, device.type == "cuda"
    return [
        Result(r.name, size, cuda, tuple(r.rates), tuple(r.steps), count)
        for r, count in zip(runners, counts, strict=True)
    ]


class _Runner:
    """One kind of training.

    Args:
        ahead: batches that may be ready when a turn begins; as many steps are not counted
        group: a turn is a multiple of so many steps: worker processes deliver in bursts
    """

    def __init__(
        self, name: str, train: Train, device: torch.device, seconds: float, ahead: int, group: int
    ) -> None:
        self.name, self.seconds = name, seconds
        self._train, self._timer, self._device = train, PhaseTimer(device), device
        self._ahead, self._group = ahead, group
        self.rates: list[float] = []
        self.steps: list[dict[str, float]] = []
        self._step_seconds = 0.0

    def turn(self, counted: bool) -> None:
        self._train(self._ahead, self._timer)
        steps = self._enough() if counted else FEWEST
        rate = self._train(steps, self._timer)
        phases = {phase: total / steps for phase, total in self._timer.seconds().items()}
        self._step_seconds = sum(phases.values())
        if counted:
            self.rates.append(rate)
            self.steps.append(phases)
        # Batches that are still being made would slow down the next kind; with no wait for data, none are.
        time.sleep(self._ahead * phases["data"])

    def launches(self) -> int:
        """Of a step; after the turns, so that nothing is compiled any more."""
        return launches.per_step(lambda steps: self._train(steps, self._timer), self._device)

    def _enough(self) -> int:
        steps = max(FEWEST, math.ceil(self.seconds / self._step_seconds))
        return -(-steps // self._group) * self._group


def _kinds(ready: Experiment, tutorial: bool, stack: ExitStack) -> Iterator[tuple[str, Train, int, int]]:
    """Name, how to train, and `ahead` and `group` of a _Runner."""
    loading, device = ready.settings.loading, ready.trainer.device
    bursts = 2 * loading.threads + 2, loading.threads  # the DataLoader makes two batches ahead per worker
    loader = ready.train
    real = stack.enter_context(closing(batches(loader.backend)))
    one = kept(next(real), loader.stage)
    ahead, group = bursts if isinstance(loader.backend, TorchvisionLoader) else (loading.prefetch + 1, 1)
    yield REAL, partial(train, ready.trainer, loader, real), ahead, group
    yield SYNTHETIC, partial(train, ready.trainer, loader, itertools.repeat(one)), 1, 1
    if ready.settings.compile:
        eager = replace(ready.trainer, objective=None)
        yield EAGER, partial(train, eager, loader, itertools.repeat(one)), 1, 1
    if tutorial:
        stock = stack.enter_context(closing(_tutorial_loader(ready)))
        model = baseline.build(ready.settings.backbone, device)
        yield TUTORIAL, baseline.TutorialLoop(model, batches(stock), device).train, *bursts


def _tutorial_loader(ready: Experiment) -> TorchvisionLoader:
    settings = ready.settings
    planner = BatchPlanner.of_split(
        ready.recipe, "train", ready.dataset.train, settings.loading, seed=settings.seed
    )
    try:
        return TorchvisionLoader(planner, settings.loading, ready.trainer.device)
    except RecipeError as error:
        reason = refusal("torchvision", error)
        raise RecipeError(f"--baseline: torchvision {reason}; leave it out, or take another recipe") from None


def verdict(real: Result, synthetic: Result) -> str:
    """What limits training, in a line: the model, or the part of a step that real data make longer."""
    waiting, reached = real.share("data"), real.ratio(synthetic)
    limit = "the model" if reached >= _NEARLY else _LIMITS[_longest(real, synthetic)]
    return (
        f"Limit: {limit}. The model waits for images {waiting:.0%} of the time; real data reach "
        f"{reached:.2f} of the synthetic speed."
    )


def _longest(real: Result, synthetic: Result) -> str:
    lost = {phase: real.phase_seconds(phase) - synthetic.phase_seconds(phase) for phase in PHASES}
    parts = {"data": lost["data"], "copy": lost["copy"]}
    parts["compute"] = sum(lost.values()) - sum(parts.values())
    return max(parts, key=lambda part: parts[part])
