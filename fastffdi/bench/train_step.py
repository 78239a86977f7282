"""How fast training is, and what a step waits for: real images against one batch kept on the device."""

from __future__ import annotations

import contextlib
import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from fastffdi.bench import baseline
from fastffdi.bench.phases import PHASES, PhaseTimer
from fastffdi.bench.steps import Train, kept, train
from fastffdi.bench.stopwatch import Quartiles
from fastffdi.bench.stream import ahead_of, epochs, repeated
from fastffdi.data.layout import Dataset
from fastffdi.data.manifest import Manifest
from fastffdi.errors import RecipeError
from fastffdi.loaders import factory
from fastffdi.loaders.planner import BatchPlanner
from fastffdi.loaders.torchvision import TorchvisionLoader
from fastffdi.model.backbone import load_recipe
from fastffdi.recipe.lowering import needs_sizes
from fastffdi.training import experiment
from fastffdi.training.experiment import Experiment
from fastffdi.training.settings import Settings

REAL, SYNTHETIC, TUTORIAL = "real data", "synthetic", "tutorial"

#: Images in an epoch, at least: the data come again and again, so that hardly a turn meets an epoch's end.
EPOCH = 1_000_000

#: A ratio to the synthetic batch from which on images cost nothing worth mention.
_NEARLY = 0.95

#: By the part of a step that is longer on real data.
_LIMITS = {
    "data": "the loader; more threads or cores, `bench-loader --tune` or a lighter recipe help",
    "copy": "the way to the device and the recipe's steps there; another --loader or a lighter recipe helps",
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
    """The figures of one kind of training.

    batch_size  images in a step
    cuda        whether phases are timed by CUDA events
    rates       images/s of each turn
    steps       seconds of a step by phase, in the mean of each turn
    """

    name: str
    batch_size: int
    cuda: bool
    rates: tuple[float, ...]
    steps: tuple[dict[str, float], ...]

    def phase_seconds(self, phase: str) -> float:
        """Median over the turns."""
        return statistics.median(step[phase] for step in self.steps)

    def share(self, phase: str) -> float:
        """The phase's part of a step; median over the turns."""
        return statistics.median(step[phase] / sum(step.values()) for step in self.steps)

    @property
    def busy(self) -> float | None:
        """Share of the time in which a GPU does not wait for images; None on a CPU."""
        if not self.cuda:
            return None
        busy = [sum(step.values()) - step["data"] for step in self.steps]
        walls = [self.batch_size / rate for rate in self.rates]
        return statistics.median(own / wall for own, wall in zip(busy, walls, strict=True))

    def ratio(self, other: Result) -> float:
        """How many times as fast as `other`: median of the rounds' ratios."""
        return statistics.median(own / theirs for own, theirs in zip(self.rates, other.rates, strict=True))

    def to_data(self) -> dict[str, Any]:
        """Plain data; times in milliseconds a step."""
        return {
            "name": self.name,
            "images_per_second": Quartiles.of(self.rates).to_data(),
            "images_per_second_each": [round(rate, 2) for rate in self.rates],
            "step_ms": {phase: round(1000 * self.phase_seconds(phase), 3) for phase in PHASES},
            "data_share": round(self.share("data"), 4),
            "gpu_busy_share": None if self.busy is None else round(self.busy, 4),
        }


def prepare(settings: Settings, manifest: Manifest, say: Callable[[str], None]) -> Experiment:
    """The training run that is measured: as `train` builds it, over the images again and again.

    Images without labels count as real. Raises UsageError as training.experiment.prepare does.
    """
    recipe = load_recipe(settings.pipeline, settings.backbone)
    if needs_sizes(recipe.train):
        manifest = manifest.with_sizes(settings.loading.threads)
    if manifest.labels is None:
        manifest = replace(manifest, labels=np.zeros(len(manifest), np.int64))
    dataset = Dataset(repeated(manifest, settings.loading.batch_size, EPOCH), manifest.take(slice(1)), "")
    unmixed = 0 if recipe.mix is None else recipe.mix.off_epochs  # what is measured is the epoch before these
    return experiment.prepare(replace(settings, epochs=1 + unmixed), dataset, say)


def described(ready: Experiment, how: Rounds) -> dict[str, Any]:
    """The settings as plain data, for the record."""
    settings, device = ready.settings, ready.trainer.stage.device
    return {
        "pipeline": settings.pipeline,
        "backbone": settings.backbone,
        "loader": factory.choose_loader(settings.loader, device),
        **asdict(settings.loading),
        "device": str(device),
        "precision": ready.trainer.precision.name,
        "seed": settings.seed,
        **asdict(how),
    }


def measure(
    ready: Experiment, how: Rounds, progress: Callable[[str], None] = lambda name: None
) -> list[Result]:
    """What `prepare` made on real data and on one batch kept on the device, and the tutorial's loop if asked.

    They take turns, before which each has one that is not counted. `progress` gets a name after each turn.
    Raises RecipeError where the tutorial's loop cannot express the recipe, UndecodableImage.
    """
    device = ready.trainer.stage.device
    with contextlib.ExitStack() as stack:
        runners = [*_ours(ready, stack)]
        if how.baseline:
            runners.append(_tutorial(ready, stack))
        for number in range(how.repeats + 1):
            for runner in runners:
                runner.turn(PhaseTimer(device), how.seconds, counted=number > 0)
                progress(runner.name)
    size, cuda = ready.settings.loading.batch_size, device.type == "cuda"
    return [Result(r.name, size, cuda, tuple(r.rates), tuple(r.steps)) for r in runners]


class _Runner:
    """One kind of training, in its turn or waiting for it.

    ahead  batches that may lie ready when a turn begins, so many steps are not counted
    group  a turn is a multiple of so many steps: worker processes deliver in bursts
    """

    def __init__(self, name: str, train: Train, ahead: int, group: int = 1) -> None:
        self.name, self._train, self._ahead, self._group = name, train, ahead, group
        self.rates: list[float] = []
        self.steps: list[dict[str, float]] = []
        self._step_seconds = 0.0

    def turn(self, timer: PhaseTimer, seconds: float, counted: bool) -> None:
        self._train(self._ahead, timer)
        steps = self._enough(seconds) if counted else FEWEST
        rate = self._train(steps, timer)
        phases = {phase: total / steps for phase, total in timer.seconds().items()}
        self._step_seconds = sum(phases.values())
        if counted:
            self.rates.append(rate)
            self.steps.append(phases)
        # Batches that are still being made would take time from the next; where none is waited for, all are.
        time.sleep(self._ahead * phases["data"])

    def _enough(self, seconds: float) -> int:
        steps = max(FEWEST, math.ceil(seconds / self._step_seconds))
        return -(-steps // self._group) * self._group


def _ours(ready: Experiment, stack: contextlib.ExitStack) -> Iterator[_Runner]:
    settings, device = ready.settings, ready.trainer.stage.device
    batches = stack.enter_context(contextlib.closing(epochs(ready.train)))
    one = kept(next(batches), ready.trainer.stage)
    ahead, group = ahead_of(factory.choose_loader(settings.loader, device), settings.loading)
    yield _Runner(REAL, partial(train, ready.trainer, batches), ahead, group)
    yield _Runner(SYNTHETIC, partial(train, ready.trainer, itertools.repeat(one)), 1)


def _tutorial(ready: Experiment, stack: contextlib.ExitStack) -> _Runner:
    settings, device = ready.settings, ready.trainer.stage.device
    data, steps = ready.dataset.train, ready.recipe.train
    planner = BatchPlanner.over(data, steps, settings.loading, seed=settings.seed, shuffle=True)
    try:
        loader = stack.enter_context(contextlib.closing(TorchvisionLoader(planner, settings.loading, device)))
    except RecipeError as error:
        reason = str(error).removeprefix("--loader torchvision ").partition(";")[0]
        raise RecipeError(f"--baseline: torchvision {reason}; leave it out, or take another recipe") from None
    model = baseline.build(settings.backbone, device)
    loop = baseline.TutorialLoop(model, epochs(loader), device)
    return _Runner(TUTORIAL, loop.train, *ahead_of("torchvision", settings.loading))


def verdict(real: Result, synthetic: Result) -> str:
    """What limits training, in a line: the model, or else what real data make longest in a step."""
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
