"""All measurements of loaders with one recipe: rates, ceilings, footprints, and the verdict."""

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
    """What is measured: a recipe's name and steps, images, loaders.

    Attributes:
        settings: one for each number of threads, otherwise the same
    """

    pipeline: str
    steps: tuple[Step, ...]
    manifest: Manifest
    loaders: Sequence[str]
    settings: Sequence[Settings]

    @property
    def from_files(self) -> list[str]:
        """The loaders whose start can be compared: they need nothing but the files."""
        return [name for name in self.loaders if name != CACHED]

    @property
    def turns(self) -> int:
        """How often `report` calls `progress`."""
        first = self.settings[0]
        streams = len(self.loaders) + len(ceilings.names(first.device))
        timed = len(tables(self.pipeline, self.steps)) * streams * (first.repeats + 1)
        return len(self.settings) * (timed + footprint.REPEATS * len(self.from_files))


@dataclass(frozen=True, eq=False)
class Report:
    """Results by number of threads, then by recipe; `sample` is what was decoded for the ceiling.

    Attributes:
        protocol: "thorough", or "quick" where bench.quick measured
    """

    subject: Subject
    sample: Sample
    results: tuple[Result, ...]
    footprints: tuple[Footprint, ...]
    verdict: str
    protocol: str = "thorough"

    def to_data(self) -> dict[str, Any]:
        """Plain data: settings, results, ceilings, footprint, scaling, verdict."""
        settings = self.subject.settings
        threads = [each.threads for each in settings]
        return {
            "settings": {
                "protocol": self.protocol,
                "pipeline": self.subject.pipeline,
                **settings[0].to_data(),
                "threads": threads,
            },
            "results": [result.to_data() for result in self.results if not result.ceiling],
            "ceilings": [result.to_data() for result in self.results if result.ceiling],
            "decoded": self.sample.sentence(),
            "footprint": [footprint.to_data() for footprint in self.footprints],
            "scaling": {name: round(times, 3) for name, times in self.scaling.items()},
            "verdict": self.verdict,
        }

    @property
    def scaling(self) -> dict[str, float]:
        """The speed-up from the fewest to the most threads, by name, for the recipe as given.

        Empty where one number of threads was measured. A ratio of medians: different numbers of threads do
        not alternate.
        """
        threads = [settings.threads for settings in self.subject.settings]
        few, many = self._rates(min(threads)), self._rates(max(threads))
        return {name: many[name] / few[name] for name in few if name in many and len(threads) > 1}

    def _rates(self, threads: int) -> dict[str, float]:
        pipeline = self.subject.pipeline
        return {r.name: Quartiles.of(r.rates).median for r in _chosen(self.results, pipeline, threads)}


def report(subject: Subject, progress: Callable[[str], None] = lambda name: None) -> Report:
    """Measure; `progress` gets a name after each turn. Raises UndecodableImage, and as BatchPlanner.over."""
    first, manifest = subject.settings[0], subject.manifest
    drawn = ceilings.sample(manifest, first.threads, first.seed)
    results: list[Result] = []
    footprints: list[Footprint] = []
    for settings in subject.settings:
        for title, steps in tables(subject.pipeline, subject.steps).items():
            above = ceilings.ceilings(drawn, manifest, steps, settings)
            results += measure(title, steps, manifest, subject.loaders, settings, progress, above)
        footprints += footprint.footprints(
            subject.pipeline, subject.steps, manifest, subject.from_files, settings, progress
        )
    return conclude(subject, drawn, results, footprints, "thorough")


def conclude(
    subject: Subject,
    drawn: Sample,
    results: Sequence[Result],
    footprints: Sequence[Footprint],
    protocol: str,
) -> Report:
    """The report of what was measured, with its verdict."""
    said = _verdict(subject, drawn, results)
    return Report(subject, drawn, tuple(results), tuple(footprints), said, protocol)


def _chosen(results: Sequence[Result], pipeline: str, threads: int) -> list[Result]:
    """The results with rates for one recipe and number of threads."""
    return [r for r in results if (r.pipeline, r.settings.threads) == (pipeline, threads) and r.rates]


def _verdict(subject: Subject, drawn: Sample, results: Sequence[Result]) -> str:
    most = max(settings.threads for settings in subject.settings)
    measured = _chosen(results, subject.pipeline, most)
    loaders = [result for result in measured if not result.ceiling and result.name != CACHED]
    if not loaders:
        return "No loader was measured, so there is nothing to say about what limits."
    fastest = max(loaders, key=lambda result: Quartiles.of(result.rates).median)
    cores = min(most, usable_cores())
    return verdict(
        Facts(
            loader=fastest.name,
            cores=cores,
            device=fastest.settings.device.type,
            shares=fastest.shares,
            busy=_busy(fastest, cores),
            image=drawn.median_size,
            target=output_size(template(subject.steps)),
            scaled=fastest.settings.scaled,
            prefix=tuple(step.name() for step in prefix_of(subject.steps)),
            others=_others(subject),
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
