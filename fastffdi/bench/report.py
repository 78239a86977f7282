"""All that is measured of loaders on one recipe: figures, ceilings, footprints, and what follows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fastffdi.bench import ceilings, footprint
from fastffdi.bench.ceilings import Sample
from fastffdi.bench.footprint import Footprint
from fastffdi.bench.loader import BASELINE, CACHED, NAMES, Result, Settings, measure, tables
from fastffdi.bench.stopwatch import Quartiles
from fastffdi.bench.verdict import Facts, verdict
from fastffdi.cache.plan import prefix_of
from fastffdi.data.manifest import Manifest
from fastffdi.loaders import factory
from fastffdi.loaders.settings import usable_cores
from fastffdi.recipe.lowering import output_size, template
from fastffdi.recipe.steps.base import Step


@dataclass(frozen=True, eq=False)
class Subject:
    """What is measured: a recipe's name and steps, images, and loaders, with the settings of each run.

    settings  one for each number of threads, otherwise the same
    """

    pipeline: str
    steps: tuple[Step, ...]
    manifest: Manifest
    loaders: Sequence[str]
    settings: Sequence[Settings]

    @property
    def from_files(self) -> list[str]:
        """The loaders that need nothing but the files: what they take at the start can be compared."""
        return [name for name in self.loaders if name != CACHED]

    @property
    def turns(self) -> int:
        """How often `report` calls `progress`."""
        first = self.settings[0]
        streams = len(self.loaders) + len(ceilings.names(first.device))
        recipes = len(tables(self.pipeline, self.steps))
        speeds = recipes * streams * (first.repeats + 1)
        return len(self.settings) * (speeds + footprint.REPEATS * len(self.from_files))


@dataclass(frozen=True, eq=False)
class Report:
    """Figures, by number of threads, then by recipe; `sample` is what was decoded for the ceiling."""

    subject: Subject
    sample: Sample
    results: tuple[Result, ...]
    footprints: tuple[Footprint, ...]
    verdict: str

    def to_data(self) -> dict[str, Any]:
        """Plain data: settings, results, ceilings, footprint, scaling, verdict."""
        settings = self.subject.settings
        threads = [each.threads for each in settings]
        return {
            "settings": {"pipeline": self.subject.pipeline, **settings[0].to_data(), "threads": threads},
            "results": [result.to_data() for result in self.results if not result.ceiling],
            "ceilings": [result.to_data() for result in self.results if result.ceiling],
            "decoded": self.sample.sentence(),
            "footprint": [footprint.to_data() for footprint in self.footprints],
            "scaling": {name: round(times, 3) for name, times in self.scaling.items()},
            "verdict": self.verdict,
        }

    @property
    def scaling(self) -> dict[str, float]:
        """How many times faster, by name, with the most threads than with the fewest; on the recipe as given.

        Empty where one number of threads was measured. These are ratios of medians, since threads do not
        change from turn to turn.
        """
        threads = [settings.threads for settings in self.subject.settings]
        few, many = self._of(min(threads)), self._of(max(threads))
        return {name: many[name] / few[name] for name in few if name in many and len(threads) > 1}

    def _of(self, threads: int) -> dict[str, float]:
        return {
            result.name: Quartiles.of(result.rates).median
            for result in self.results
            if result.pipeline == self.subject.pipeline
            and result.settings.threads == threads
            and result.rates
        }


def report(subject: Subject, progress: Callable[[str], None] = lambda name: None) -> Report:
    """Measure; `progress` gets a name after each turn.

    Raises UndecodableImage, and as Feed.over.
    """
    first = subject.settings[0]
    drawn = ceilings.sample(subject.manifest, first.threads, first.seed)
    results: list[Result] = []
    footprints: list[Footprint] = []
    recipe = subject.pipeline, subject.steps, subject.manifest
    for settings in subject.settings:
        for title, steps in tables(subject.pipeline, subject.steps).items():
            above = ceilings.ceilings(drawn, subject.manifest, steps, settings)
            results += measure(title, steps, subject.manifest, subject.loaders, settings, progress, above)
        footprints += footprint.footprints(*recipe, subject.from_files, settings, progress)
    return Report(subject, drawn, tuple(results), tuple(footprints), _verdict(subject, drawn, results))


def _verdict(subject: Subject, drawn: Sample, results: Sequence[Result]) -> str:
    most = max(settings.threads for settings in subject.settings)
    here = [r for r in results if r.pipeline == subject.pipeline and r.settings.threads == most]
    able = [result for result in here if result.rates and not result.ceiling and result.name != CACHED]
    if not able:
        return "No loader was measured, so that nothing can be said of what limits."
    fastest = max(able, key=lambda result: Quartiles.of(result.rates).median)
    cores = min(most, usable_cores())
    return verdict(
        Facts(
            fastest.name,
            cores,
            fastest.settings.device.type,
            fastest.shares,
            _busy(fastest, cores),
            drawn.median_size,
            output_size(template(subject.steps)),
            fastest.settings.scaled,
            tuple(step.name() for step in prefix_of(subject.steps)),
            _others(subject),
        )
    )


def _busy(result: Result, cores: int) -> float | None:
    if not result.cpu_seconds_per_1000:
        return None
    pairs = zip(result.rates, result.cpu_seconds_per_1000, strict=True)
    return Quartiles.of([rate * seconds / 1000 / cores for rate, seconds in pairs]).median


def _others(subject: Subject) -> tuple[str, ...]:
    best = factory.choose_loader("auto", subject.settings[0].device)
    names = sorted(set(NAMES) - {BASELINE, CACHED, *subject.loaders}, key=lambda name: name != best)
    return tuple(name for name in names if name != "dali" or not factory.dali_problem())
