"""The settings of a loader compared in at most a minute; bench.tune has what is compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from fastffdi.bench.loader_process import started
from fastffdi.bench.minute import Minute
from fastffdi.bench.race import race
from fastffdi.bench.report import Subject
from fastffdi.bench.timed_loader import TimedLoader
from fastffdi.bench.tune import Measure
from fastffdi.loaders.settings import LoaderSettings


def within(
    minute: Minute,
    loaders: int,
    loader: str,
    subject: Subject,
    progress: Callable[[str], None] = lambda name: None,
) -> Measure:
    """Measures as the quick protocol does; each call gets the part of the minute of its loaders.

    Args:
        loaders: how many there will be in all calls together
        subject: images, recipe, and with its last settings what is not compared
        progress: gets a name before each turn

    The Measure raises UndecodableImage, and RecipeError where the loader refuses the recipe.
    """
    settings = subject.settings[-1]
    waiting = loaders

    def measure(options: Sequence[LoaderSettings], pause: float) -> list[tuple[float, ...]]:
        nonlocal waiting
        part, waiting = minute.budget.part(len(options) / waiting), waiting - len(options)
        jobs = {
            f"{loader}, {number} of {len(options)}": TimedLoader(
                loader,
                subject.steps,
                subject.manifest,
                replace(settings, loading=option),
                pause,
                settings.threads,
            )
            for number, option in enumerate(options, 1)
        }
        with started(jobs, minute.context) as processes:
            race(processes, part, progress)
        for process in processes:
            if process.refused is not None:
                raise process.refused
        return [tuple(timed.rate for timed in process.passes) for process in processes]

    return measure
