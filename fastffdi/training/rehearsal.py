"""A dry run: everything is checked and built, a few batches are trained and forgotten, nothing is written."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import torch

from fastffdi.cache.folder import readable_bytes
from fastffdi.cache.plan import check_space, estimate
from fastffdi.data.layout import Dataset
from fastffdi.data.manifest import LABELS, Manifest
from fastffdi.loaders import factory
from fastffdi.loaders.quarantine import Quarantine
from fastffdi.model.device import choose_device
from fastffdi.recipe.lowering import output_size, template
from fastffdi.training.experiment import Experiment, prepare
from fastffdi.training.place import Place
from fastffdi.training.settings import Settings
from fastffdi.training.state import KEPT, State

#: Batches that are timed, after one that is not: it warms up.
TIMED = 2

#: Best and last.
_CHECKPOINTS = 2


class _Enough(Exception):
    """So many batches are all that is wanted."""


@dataclass(frozen=True)
class Measured:
    """What a few batches took.

    Attributes:
        step_seconds: of a batch in training, while the loader makes the next ones; None where there is none
        loading_seconds: of a batch that is loaded and not used
        memory_bytes: of the GPU at most; on a CPU of the process when they were over
        weights_bytes, state_bytes: of a checkpoint, and of what a run goes on from
    """

    step_seconds: float | None
    loading_seconds: float | None
    memory_bytes: int
    weights_bytes: int
    state_bytes: int

    @property
    def batch_seconds(self) -> float | None:
        """What a batch takes in a long run: whichever of the two is slower."""
        return None if self.step_seconds is None else max(self.step_seconds, self.loading_seconds or 0)


def rehearse(settings: Settings, dataset: Dataset, say: Callable[[str], None]) -> dict[str, str]:
    """What a run would do, by topic. Raises as `prepare`, and what training a batch does."""
    kind = settings.backend
    if settings.cache is not None:  # whose stores prepare would make
        device = choose_device(settings.device)
        kind = factory.choose_loader(kind, device, settings.loading.process, cache=True)
    with closing(prepare(replace(settings, cache=None, backend=kind), dataset, say)) as experiment:
        told = dict(_told(experiment, dataset))
        if settings.cache is not None:
            told["cache"] = _cache(experiment, settings.cache)
        if not experiment.finished:
            told |= _costs(experiment, measure(experiment), settings)
    return told


def measure(experiment: Experiment) -> Measured:
    """Load a few batches, and train on a few; the experiment's model is another one afterwards."""
    trainer = experiment.trainer
    if trainer.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(trainer.device)
    for loader in (experiment.train, experiment.val):
        loader.quarantine = Quarantine()  # without a table
    loading = _mean_gap(_loaded(experiment))
    stepping = _mean_gap(_trained(experiment))
    tensors = State.of(experiment.parts, 0, {}).tensors
    sizes = {name: tensor.numel() * tensor.element_size() for name, tensor in tensors.items()}
    weights = sum(size for name, size in sizes.items() if name.startswith("model/"))
    return Measured(stepping, loading, _memory(trainer.device), weights, sum(sizes.values()))


def _mean_gap(times: list[float]) -> float | None:
    """Seconds between the times, the first of which ends the warm-up; None of a single one."""
    return (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else None


def _loaded(experiment: Experiment) -> list[float]:
    batches = experiment.train.batches(experiment.place.epoch)
    return [time.perf_counter() for _ in islice(batches, 1 + TIMED)]


def _trained(experiment: Experiment) -> list[float]:
    trainer, times = experiment.trainer, list[float]()
    if experiment.settings.compile:
        trainer = replace(trainer, objective=None)

    def note(images: int, means: dict[str, float] | None) -> None:
        if trainer.device.type == "cuda":
            torch.cuda.synchronize(trainer.device)
        times.append(time.perf_counter())
        if len(times) > TIMED:
            raise _Enough

    place = Place(trainer.device)
    place.begin(experiment.place.epoch)
    with suppress(_Enough):
        trainer.train_epoch(experiment.train, place, note)
    return times


def _memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    import psutil

    return int(psutil.Process().memory_info().rss)


def _told(experiment: Experiment, dataset: Dataset) -> Iterator[tuple[str, str]]:
    settings, trainer, place = experiment.settings, experiment.trainer, experiment.place
    parameters = sum(weight.numel() for weight in trainer.model.parameters())
    yield "images", f"training {_classes(dataset.train)}, validation {_classes(dataset.val)}"
    yield "backbone", f"{settings.backbone}, {parameters / 1e6:.1f} million parameters"
    sizes = [output_size(template(steps)) for steps in (experiment.recipe.train, experiment.recipe.eval)]
    shown = " and ".join(dict.fromkeys(f"{height}×{width}" for height, width in sizes))
    yield "recipe", f"{settings.pipeline}, images of {shown}"
    how, batches = settings.optimisation, len(experiment.train)
    steps, batch = how.updates(batches), settings.loading.batch_size * min(how.accumulate, batches)
    yield (
        "epochs",
        (
            f"{settings.epochs} of {steps} updates of {batch} images: {settings.epochs * steps} updates, the "
            f"learning rate rises to {settings.learning_rate:g} in the first {trainer.optimiser.warm_up}"
        ),
    )
    yield (
        "by",
        (
            f"loader {experiment.identity['--loader']} with {settings.loading.threads} threads, model on "
            f"{trainer.device}, {trainer.precision.reason}"
        ),
    )
    if experiment.finished:
        yield "left", f"nothing: the run in {settings.output} is finished"
    elif experiment.resumed:
        yield "left", f"of the run in {settings.output}: from epoch {place.epoch + 1} on"


def _classes(rows: Manifest) -> str:
    return f"{len(rows)} ({', '.join(f'{n} {LABELS[label]}' for label, n in rows.class_counts().items())})"


def _cache(experiment: Experiment, folder: Path) -> str:
    plans = [loader.backend.planner.cache_plan(folder) for loader in (experiment.train, experiment.val)]
    check_space(plans)
    return f"{estimate(plans).removeprefix('cache: ')}, in {folder}"


def _costs(experiment: Experiment, measured: Measured, settings: Settings) -> dict[str, str]:
    checkpoints, states = _CHECKPOINTS * measured.weights_bytes, (KEPT + 1) * measured.state_bytes
    disk = (
        f"about {readable_bytes(checkpoints + states)} in {settings.output}: {_CHECKPOINTS} checkpoints, "
        f"{KEPT} states and one that is being written; {readable_bytes(checkpoints)} at the end"
    )
    where = "of the GPU" if experiment.trainer.device.type == "cuda" else "of this process"
    memory = f"about {readable_bytes(measured.memory_bytes)} {where}, seen in these batches"
    return {"disk": disk, "memory": memory, "time": _time(experiment, measured, settings)}


def _time(experiment: Experiment, measured: Measured, settings: Settings) -> str:
    if measured.batch_seconds is None:
        return "unknown: an epoch is a single batch"
    place, size = experiment.place, settings.loading.batch_size
    left = (settings.epochs - place.epoch) * experiment.images - place.images
    seconds = measured.batch_seconds * left / size
    without = [
        word for word, given in (("--cache", settings.cache), ("--compile", settings.compile)) if given
    ]
    return (
        f"about {_duration(seconds)}: {size / measured.batch_seconds:,.0f} images/s in {TIMED} batches after "
        f"one to warm up{', without ' + ' and '.join(without) if without else ''}; validation is counted "
        "like training"
    )


def _duration(seconds: float) -> str:
    """`12 s`, `5 min` or `3.5 h`."""
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
