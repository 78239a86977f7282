"""Intervals by the bootstrap: images are drawn anew, with replacement, reals and fakes apart.

Percentile intervals (Efron and Tibshirani 1993, chapter 13); stratified, as how many images a class has was
somebody's choice. A resample is kept as how many reals and fakes it has at each distinct score, so that a
measure of all resamples is a few array operations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastffdi.evaluation.metrics import Labels, Scores

LEVEL, RESAMPLES = 0.95, 2000

#: Images that are drawn at once.
_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Resample:
    """Some resamples of a set of images, R of them, by its K distinct scores.

    Attributes:
        scores: (K,) float64, ascending
        reals, fakes: (R, K) int64: how many images have that score
    """

    scores: Scores
    reals: NDArray[np.int64]
    fakes: NDArray[np.int64]


#: A measure of each resample: (R,) float64.
Measure = Callable[[Resample], NDArray[np.float64]]


@dataclass(frozen=True)
class Interval:
    """Where a measure lies with a confidence of `level`; of perfect scores it has no width."""

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

    `labels` and finite `scores` (N,) are as in `metrics`. All measures see the same resamples, and another
    model's scores of the same images do where `seed` and order are the same.
    """
    labels, scores = np.asarray(labels), np.asarray(scores, np.float64)
    if not (labels == 0).any() or not (labels == 1).any():
        return dict.fromkeys(measures)
    found: dict[str, list[NDArray[np.float64]]] = {name: [] for name in measures}
    for resample in drawn(labels, scores, resamples, seed):
        for name, measure in measures.items():
            found[name].append(measure(resample))
    tails = ((1 - level) / 2, (1 + level) / 2)
    ends = {name: np.quantile(np.concatenate(values), tails) for name, values in found.items()}
    return {name: Interval(float(low), float(high), level) for name, (low, high) in ends.items()}


def drawn(labels: Labels, scores: Scores, resamples: int = RESAMPLES, seed: int = 0) -> Iterator[Resample]:
    """`resamples` of the images, in parts that fit into memory; both classes have to be there."""
    distinct, places = np.unique(scores, return_inverse=True)
    classes = [(places[labels == label], np.random.default_rng((seed, label))) for label in (0, 1)]
    most = max(1, _AT_ONCE // len(scores))
    for first in range(0, resamples, most):
        count = min(most, resamples - first)
        yield Resample(distinct, *(_counts(own, count, len(distinct), rng) for own, rng in classes))


def auc(resample: Resample) -> NDArray[np.float64]:
    """The Measure that `metrics.auc` is of one set."""
    below = np.cumsum(resample.reals, axis=1) - resample.reals / 2
    pairs = resample.reals.sum(axis=1) * resample.fakes.sum(axis=1).astype(np.float64)
    return np.einsum("rk,rk->r", resample.fakes, below) / pairs


def auc_interval(labels: Labels, scores: Scores) -> Interval | None:
    """The 95 % interval of `metrics.auc`; None where that is undefined."""
    return intervals(labels, scores, {"auc": auc})["auc"]


def _counts(
    places: NDArray[np.intp], count: int, distinct: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """(count, distinct): how often each place comes when as many are drawn as there are `places`."""
    drawn = places[rng.integers(0, len(places), (count, len(places)))]
    drawn += np.arange(count)[:, None] * distinct
    return np.bincount(drawn.ravel(), minlength=count * distinct).reshape(count, distinct)
