"""All measurements of loaders with one recipe in at most a minute; bench.report has the thorough protocol.

Each loader runs in a process of its own, which is stopped while others have their turns: so it makes no
batches ahead, every second of a turn counts, and what takes too long can be ended. Time to the first batch
and memory are those of that process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from fastffdi.bench import ceilings
from fastffdi.bench.ceilings import SHORTER, Sample
from fastffdi.bench.footprint import Footprint
from fastffdi.bench.loader import BASELINE, Settings, result
from fastffdi.bench.loader_process import LoaderProcess, started
from fastffdi.bench.machine import only_cores
from fastffdi.bench.minute import Minute
from fastffdi.bench.race import Racer, Reopened, race
from fastffdi.bench.report import Report, Subject, conclude
from fastffdi.bench.timed_loader import TimedLoader
from fastffdi.data.manifest import Manifest

#: Images that are measured, at most, drawn at random: more than any loader shows in a minute is of no use.
MOST_IMAGES = 20_000

#: Images and bytes of the sample that is decoded, at most.
SAMPLE_IMAGES, SAMPLE_BYTES = 200, 64 << 20

#: Pixels of all images of a batch, about, at most, unless its size is given; and its size at the least.
BATCH_PIXELS, SMALLEST_BATCH = 100e6, 4

#: Pixels from which on a thread of a ceiling takes one image at a time.
_LARGE = 1e6

#: Large images that a turn of a ceiling has, at least: they differ.
_SEVERAL = 16


def quick_report(
    subject: Subject, minute: Minute, progress: Callable[[str], None] = lambda name: None
) -> Report:
    """Measure within the minute; `progress` gets a name before each turn.

    Args:
        subject: with one number of threads

    Raises UndecodableImage, and as BatchPlanner.over.
    """
    (settings,) = subject.settings
    manifest = drawn_from(subject.manifest, settings.seed)
    sample = sampled(manifest, settings)
    settings = settings if minute.fixed_batch else with_smaller_batches(settings, sample)
    jobs = {name: TimedLoader(name, subject.steps, manifest, settings) for name in subject.loaders}
    with only_cores(settings.threads), started(jobs, minute.context) as processes:
        racers: list[Racer] = [*processes, *_ceilings(sample, manifest, subject, settings)]
        seconds = race(racers, minute.budget, progress)
    settings = replace(settings, seconds=seconds, repeats=max(len(racer.passes) for racer in racers))
    results = [result(subject.pipeline, settings, racer, racers) for racer in racers]
    subject = replace(subject, manifest=manifest, settings=[settings])
    return conclude(subject, sample, results, _footprints(subject, processes), "quick")


def drawn_from(manifest: Manifest, seed: int) -> Manifest:
    """At most MOST_IMAGES of the images."""
    order = np.random.default_rng(seed).permutation(len(manifest))
    return manifest.take(np.sort(order[:MOST_IMAGES]))


def sampled(manifest: Manifest, settings: Settings) -> Sample:
    """A sample that is read and decoded in a second or two. Raises UndecodableImage."""
    return ceilings.sample(manifest, settings.threads, settings.seed, SAMPLE_IMAGES, SAMPLE_BYTES)


def with_smaller_batches(settings: Settings, sample: Sample) -> Settings:
    """The settings with fewer images per batch where they are large: halved to BATCH_PIXELS, about."""
    size, pixels = settings.loading.batch_size, np.prod(sample.median_size, dtype=float)
    while size * pixels > BATCH_PIXELS and size // 2 >= SMALLEST_BATCH:
        size //= 2
    return replace(settings, loading=replace(settings.loading, batch_size=size))


def _ceilings(sample: Sample, manifest: Manifest, subject: Subject, settings: Settings) -> list[Reopened]:
    """For large images each thread takes one at a time, and a turn has as many as a few batches."""
    large, threads = np.prod(sample.median_size, dtype=float) >= _LARGE, settings.threads
    streams = ceilings.ceilings(sample, manifest, subject.steps, settings, **({"span": 1} if large else {}))
    group = -(-_SEVERAL // threads) * threads if large else threads
    return [Reopened(replace(stream, group=group), 1 / SHORTER, threads) for stream in streams]


def _footprints(subject: Subject, processes: Sequence[LoaderProcess]) -> list[Footprint]:
    """Those of the loaders that need nothing but the files."""
    (settings,) = subject.settings
    first = {process.name: process.first_batch_seconds for process in processes}
    base = first.get(BASELINE)
    return [
        Footprint(
            subject.pipeline,
            process.name,
            settings.threads,
            () if (own := first[process.name]) is None else (own,),
            () if process.memory_mib is None else (process.memory_mib,),
            own / base if own and base else None,
            process.problem,
        )
        for process in processes
        if process.name in subject.from_files
    ]
