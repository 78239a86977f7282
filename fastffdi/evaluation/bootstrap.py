"""Intervals by the bootstrap: images are drawn anew, with replacement, reals and fakes apart.

Percentile intervals (Efron and Tibshirani 1993, chapter 13); stratified, as how many images a class has was
somebody's choice. A resample is kept as how many reals and fakes it has at each distinct score, so that a
measure of all resamples is a few array operations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastffdi.evaluation.metrics import Labels, Scores
from fastffdi.evaluation.resample import Resample

LEVEL, RESAMPLES = 0.95, 2000

#: Images that are drawn at once: few, so that they stay in a CPU's own memory.
_AT_ONCE = 200_000

#: As much as two cores can do; numpy works without Python's lock.
_THREADS = 2


#: A measure of each resample: (R,) float64.
Measure = Callable[[Resample], NDArray[np.float64]]


@dataclass(frozen=True)
class Interval:
    """Where a measure lies, with a confidence of `level`. Of perfect scores it is no wider than a point."""

    low: float
    high: float
    level: float = LEVEL


def intervals(
    labels: Labels,
    scores: Scores,
    measures: Mapping[str, Measure],
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> dict[str, Interval | None]:
    """The interval of each measure, by its name; None for all where a class is absent.

    `labels` and finite `scores` (N,) are as in `metrics`. All measures see the same resamples.
    """
    labels = np.asarray(labels)
    if not (labels == 0).any() or not (labels == 1).any():
        return dict.fromkeys(measures)
    values = resampled(labels, scores, measures, resamples, seed)
    return {name: interval(value, level) for name, value in values.items()}


def resampled(
    labels: Labels,
    scores: Scores,
    measures: Mapping[str, Measure],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, NDArray[np.float64]]:
    """Each measure (resamples,) of each resample; both classes have to be there.

    Another model's scores of the same images, in the same order, are of the same resamples.
    """
    measured = partial(_measured, measures=measures)
    with ThreadPoolExecutor(_THREADS) as threads:
        parts = list(threads.map(measured, _draws(labels, scores, resamples, seed)))
    return {name: np.concatenate([part[name] for part in parts]) for name in measures}


def interval(values: NDArray[np.float64], level: float = LEVEL) -> Interval:
    """Where so much of the values (R,) of resamples lies."""
    low, high = np.quantile(values, ((1 - level) / 2, (1 + level) / 2))
    return Interval(float(low), float(high), level)


def drawn(labels: Labels, scores: Scores, resamples: int = RESAMPLES, seed: int = 0) -> Iterator[Resample]:
    """`resamples` of the images, in parts that fit into memory; both classes have to be there."""
    for draw in _draws(labels, scores, resamples, seed):
        yield draw()


def images(labels: Labels, resamples: int = RESAMPLES, seed: int = 0) -> Iterator[NDArray[np.intp]]:
    """The images of each resample: (N,) rows of the set, the reals first."""
    own = [np.flatnonzero(np.asarray(labels) == label) for label in (0, 1)]
    for count, rngs in _parts(len(labels), resamples, seed):
        for _ in range(count):
            yield np.concatenate([rows[_picks(len(rows), rng)] for rows, rng in zip(own, rngs, strict=True)])


def auc(resample: Resample) -> NDArray[np.float64]:
    """The Measure that `metrics.auc` is of one set."""
    reals, fakes = resample.counts
    steps = resample.steps
    return steps.sums(steps.fakes * (steps.reals_below + steps.reals / 2)) / (reals * fakes)


def auc_interval(labels: Labels, scores: Scores) -> Interval | None:
    """The 95 % interval of `metrics.auc`; None where that is undefined."""
    return intervals(labels, scores, {"auc": auc})["auc"]


def _draws(labels: Labels, scores: Scores, resamples: int, seed: int) -> Iterator[Callable[[], Resample]]:
    distinct, places = np.unique(np.asarray(scores, np.float64), return_inverse=True)
    classes = [places[np.asarray(labels) == label] for label in (0, 1)]
    known: dict[str, Any] = {}
    for count, rngs in _parts(len(places), resamples, seed):
        yield partial(_resample, distinct, known, classes, count, rngs)


def _parts(count: int, resamples: int, seed: int) -> Iterator[tuple[int, list[np.random.Generator]]]:
    """How many resamples of so many images are drawn at once, and by what: for reals and for fakes."""
    most = max(1, _AT_ONCE // count)
    for first in range(0, resamples, most):
        yield min(most, resamples - first), np.random.default_rng((seed, first)).spawn(2)


def _picks(images: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """As many of a class's images as it has, with replacement."""
    return rng.integers(0, images, images)


def _resample(
    distinct: Scores,
    known: dict[str, Any],
    classes: list[NDArray[np.intp]],
    count: int,
    rngs: list[np.random.Generator],
) -> Resample:
    reals, fakes = (
        _counts(places, count, len(distinct), rng) for places, rng in zip(classes, rngs, strict=True)
    )
    return Resample(distinct, reals, fakes, known)


def _counts(
    places: NDArray[np.intp], count: int, distinct: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """(count, distinct): how often each score comes when as many images are drawn as a class has.

    `places` (M,) are those of the images' scores among the distinct ones.
    """
    counts = np.empty((count, distinct))
    for row in counts:
        row[:] = np.bincount(places[_picks(len(places), rng)], minlength=distinct)
    return counts


def _measured(
    draw: Callable[[], Resample], measures: Mapping[str, Measure]
) -> dict[str, NDArray[np.float64]]:
    resample = draw()
    return {name: measure(resample) for name, measure in measures.items()}
