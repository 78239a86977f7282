"""Intervals by the bootstrap: images are drawn anew, with replacement, reals and fakes apart.

Percentile intervals (Efron and Tibshirani 1993, chapter 13); stratified, as how many images a class has was
somebody's choice. A resample is kept as how many reals and fakes it has at each distinct score, so that a
measure of all resamples is a few array operations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from fastffdi.evaluation.metrics import Labels, Scores

LEVEL, RESAMPLES = 0.95, 2000

#: Images that are drawn at once: few, so that they stay in a CPU's own memory.
_AT_ONCE = 400_000

#: As much as two cores can do; numpy works without Python's lock.
_THREADS = 2


@dataclass(frozen=True)
class Resample:
    """Some resamples of a set of images, R of them, by its K distinct scores.

    Attributes:
        scores: (K,) float64, ascending
        reals, fakes: (R, K) float64, whole numbers: how many images have that score
    """

    scores: Scores
    reals: NDArray[np.float64]
    fakes: NDArray[np.float64]

    @cached_property
    def fpr(self) -> NDArray[np.float64]:
        """(R, K): the share of reals that have that score or a higher one."""
        return _share_above(self.reals)

    @cached_property
    def tpr(self) -> NDArray[np.float64]:
        """(R, K): the share of fakes that have that score or a higher one."""
        return _share_above(self.fakes)


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


def auc(resample: Resample) -> NDArray[np.float64]:
    """The Measure that `metrics.auc` is of one set."""
    below = 1 - resample.fpr
    below += resample.reals * (0.5 / resample.reals.sum(axis=1, keepdims=True))
    return np.einsum("rk,rk->r", resample.fakes, below) / resample.fakes.sum(axis=1)


def auc_interval(labels: Labels, scores: Scores) -> Interval | None:
    """The 95 % interval of `metrics.auc`; None where that is undefined."""
    return intervals(labels, scores, {"auc": auc})["auc"]


def _draws(labels: Labels, scores: Scores, resamples: int, seed: int) -> Iterator[Callable[[], Resample]]:
    distinct, places = np.unique(np.asarray(scores, np.float64), return_inverse=True)
    classes = [_Class.of(places[np.asarray(labels) == label]) for label in (0, 1)]
    most = max(1, _AT_ONCE // len(places))
    for first in range(0, resamples, most):
        rngs = np.random.default_rng((seed, first)).spawn(2)
        yield partial(_resample, distinct, classes, min(most, resamples - first), rngs)


@dataclass(frozen=True)
class _Class:
    """The M images of a class: their order by score, and where in it each of their distinct scores begins.

    `places` are those of these scores among the distinct ones of all images.
    """

    order: NDArray[np.intp]
    starts: NDArray[np.intp]
    places: NDArray[np.intp]

    @classmethod
    def of(cls, places: NDArray[np.intp]) -> _Class:
        order = np.argsort(places, kind="stable")
        starts = np.flatnonzero(np.diff(places[order], prepend=-1))
        return cls(order, starts, places[order][starts])

    def counts(self, count: int, distinct: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """(count, distinct): how often each score comes when as many images are drawn as there are."""
        counts, images = np.zeros((count, distinct)), len(self.order)
        for row in counts:
            times = np.bincount(rng.integers(0, images, images, np.uint32), minlength=images)
            row[self.places] = np.add.reduceat(times[self.order], self.starts)
        return counts


def _resample(
    distinct: Scores, classes: list[_Class], count: int, rngs: list[np.random.Generator]
) -> Resample:
    drawn = (own.counts(count, len(distinct), rng) for own, rng in zip(classes, rngs, strict=True))
    return Resample(distinct, *drawn)


def _measured(
    draw: Callable[[], Resample], measures: Mapping[str, Measure]
) -> dict[str, NDArray[np.float64]]:
    resample = draw()
    return {name: measure(resample) for name, measure in measures.items()}


def _share_above(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    above = counts[:, ::-1].cumsum(axis=1)[:, ::-1]
    return np.asarray(above / above[:, :1])
