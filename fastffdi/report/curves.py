"""What the charts of a report show, as numbers: of images whose scores are finite and in [0, 1].

Everywhere: `labels` (N,) integers, 0 = real, 1 = fake; `scores` (N,) P(fake).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fastffdi.evaluation import bootstrap, measures
from fastffdi.evaluation.bootstrap import LEVEL
from fastffdi.evaluation.calibration import logits
from fastffdi.evaluation.metrics import Labels, Scores
from fastffdi.evaluation.resample import Resample

Numbers = NDArray[np.float64]

#: Bars of a histogram.
BARS = 40

#: Points of a curve that is not looked up on a grid.
_MOST_POINTS = 400


@dataclass(frozen=True)
class Curve:
    """Points (K,) of a line, and where each lies with a confidence of 95 %, if that is known."""

    x: Numbers
    y: Numbers
    low: Numbers | None = None
    high: Numbers | None = None


@dataclass(frozen=True)
class Bin:
    """Images with scores of one bin: their mean score, the share of fakes with its interval, how many."""

    score: float
    share: float
    low: float
    high: float
    images: int


def least_rate(reals: int) -> float:
    """The power of ten below which so many real images have no false positive rate but 0."""
    return float(10.0 ** -min(max(math.ceil(math.log10(max(reals, 1))), 1), 6))


def roc_and_precision(
    labels: Labels, scores: Scores, resamples: int, seed: int, least: float
) -> tuple[Curve, Curve]:
    """TPR by FPR, from `least` on, and precision by recall, with bands; both classes have to be there."""
    rates = np.geomspace(least, 1, 50 * round(-math.log10(least)) + 1)
    recalls = np.linspace(0, 1, 201)[1:]
    wanted = {"roc": partial(_tpr, at=rates), "precision": partial(_precision, at=recalls)}
    values = bootstrap.resampled(labels, scores, wanted, resamples, seed)
    whole, found = measures.whole(labels, scores), []
    for (name, measure), x in zip(wanted.items(), (rates, recalls), strict=True):
        low, high = np.quantile(values[name], ((1 - LEVEL) / 2, (1 + LEVEL) / 2), axis=0)
        found.append(Curve(x, measure(whole)[0], low, high))
    return found[0], found[1]


def histogram(labels: Labels, scores: Scores) -> tuple[Numbers, Numbers]:
    """(BARS,) shares of the reals, and of the fakes, with scores in bins of equal width."""
    parts = [np.asarray(scores)[np.asarray(labels) == label] for label in (0, 1)]
    real, fake = (np.histogram(part, BARS, (0, 1))[0] / max(len(part), 1) for part in parts)
    return real, fake


def reliability(labels: Labels, scores: Scores) -> list[Bin]:
    """The bins of the calibration error that have images, with Wilson's 95 % intervals (1927)."""
    from scipy.stats import binomtest

    labels, scores = np.asarray(labels), np.asarray(scores, np.float64)
    at, found = np.minimum(scores * measures.BINS, measures.BINS - 1).astype(int), []
    for number in np.unique(at):
        own = at == number
        images, fakes = int(own.sum()), int(labels[own].sum())
        ends = binomtest(fakes, images).proportion_ci(LEVEL, "wilson")
        found.append(Bin(float(scores[own].mean()), fakes / images, ends.low, ends.high, images))
    return found


def tippett(labels: Labels, scores: Scores) -> tuple[Curve, Curve]:
    """Of the reals, and of the fakes: the share whose log10 of the odds is at least x."""
    ratios = logits(scores) / math.log(10)
    real, fake = (_survival(ratios[np.asarray(labels) == label]) for label in (0, 1))
    return real, fake


def called_fake(labels: Labels, scores: Scores, thresholds: Numbers) -> tuple[list[int], list[int]]:
    """How many reals, and fakes, score at least each threshold."""
    parts = [np.sort(np.asarray(scores)[np.asarray(labels) == label]) for label in (0, 1)]
    real, fake = ((len(part) - np.searchsorted(part, thresholds)).tolist() for part in parts)
    return real, fake


def thresholds(own: float) -> Numbers:
    """Those that a reader can choose: every thousandth, finer near 0 and 1, and the model's own."""
    fine = 10.0 ** np.arange(-6, -3, 0.1)
    return np.unique(np.concatenate([np.arange(1001) / 1000, fine, 1 - fine, [own]]))


def _tpr(resample: Resample, at: Numbers) -> Numbers:
    """(R, K): the highest TPR whose FPR is at most each of `at`."""
    # FPRs fall along the scores; after the last, above all scores, both rates are 0.
    tpr = np.pad(resample.tpr, ((0, 0), (0, 1)))
    places = tpr.shape[1] - 1 - np.array([np.searchsorted(row[::-1], at, "right") for row in resample.fpr])
    return np.take_along_axis(tpr, places, axis=1)


def _precision(resample: Resample, at: Numbers) -> Numbers:
    """(R, K): the precision at the highest threshold whose recall is at least each of `at`, all above 0."""
    count = resample.tpr.shape[1]
    reals, fakes = (one.sum(axis=1, keepdims=True) for one in (resample.reals, resample.fakes))
    places = count - 1 - np.array([np.searchsorted(row[::-1], at) for row in resample.tpr])
    right, false = (np.take_along_axis(rate, places, axis=1) for rate in (resample.tpr, resample.fpr))
    return np.asarray(right * fakes / (right * fakes + false * reals))


def _survival(values: Numbers) -> Curve:
    values = np.sort(values)
    places = np.unique(np.linspace(0, len(values) - 1, _MOST_POINTS).round().astype(int))[: len(values)]
    return Curve(values[places], 1 - places / max(len(values), 1))
