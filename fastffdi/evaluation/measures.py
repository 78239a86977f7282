"""Measures of many resamples at once, each a bootstrap.Measure; of a whole set, a resample that is the set.

`metrics` has most of them for one set, and says what they mean. Scores are P(fake); measures of probabilities
clip them to [1e-7, 1 − 1e-7], float32's reach.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fastffdi.evaluation.bootstrap import Measure, Resample, auc
from fastffdi.evaluation.metrics import Labels, Scores

#: False positive rates at which the true positive rate is asked for.
TARGETS = (0.1, 0.01, 0.001, 0.0001)

#: Bins of equal width of the expected calibration error.
BINS = 15

_LEAST = 1e-7


def whole(labels: Labels, scores: Scores) -> Resample:
    """The set itself, as its only resample: `labels` and finite `scores` (N,) as in `metrics`."""
    distinct, places = np.unique(np.asarray(scores, np.float64), return_inverse=True)
    counts = (np.bincount(places[np.asarray(labels) == label], minlength=len(distinct)) for label in (0, 1))
    return Resample(distinct, *(count[None].astype(np.float64) for count in counts))


def standard(threshold: float | None = None) -> Mapping[str, Measure]:
    """The measures of an evaluation by name; with a threshold of its own, what is right there as well."""
    own = {} if threshold is None else _at(threshold, "threshold")
    return {
        "auc": auc,
        "ap": average_precision,
        "eer": eer,
        **_at(0.5, "0.5"),
        **own,
        **{f"tpr_at_fpr_{target:g}": partial(tpr_at_fpr, target=target) for target in TARGETS},
        "log_loss": log_loss,
        "brier": brier,
        "ece": ece,
        "cllr": cllr,
        "cllr_min": cllr_min,
    }


def accuracy(resample: Resample, threshold: float = 0.5) -> NDArray[np.float64]:
    """Share of images on the right side; a score equal to `threshold` counts as fake."""
    right = sum(_right(resample, threshold))
    return np.asarray(right / (resample.reals.sum(axis=1) + resample.fakes.sum(axis=1)))


def balanced_accuracy(resample: Resample, threshold: float = 0.5) -> NDArray[np.float64]:
    """Mean of the shares of reals and of fakes on the right side."""
    reals, fakes = _right(resample, threshold)
    return np.asarray((reals / resample.reals.sum(axis=1) + fakes / resample.fakes.sum(axis=1)) / 2)


def average_precision(resample: Resample) -> NDArray[np.float64]:
    """Precision averaged over the steps of recall, without interpolation."""
    reals, fakes = (counts.sum(axis=1, keepdims=True) for counts in (resample.reals, resample.fakes))
    right = resample.tpr * fakes
    # 0 of 0 where neither has such a score: that step has no fakes.
    precision = right / np.maximum(right + resample.fpr * reals, 1e-9)
    return np.einsum("rk,rk->r", resample.fakes, precision) / fakes[:, 0]


def eer(resample: Resample) -> NDArray[np.float64]:
    """Equal error rate: the FPR where FNR and FPR are nearest, at the higher threshold on a tie."""
    rows, last = np.arange(len(resample.fpr)), resample.fpr.shape[1] - 1
    apart = np.abs(1 - resample.tpr - resample.fpr)
    nearest = last - np.argmin(apart[:, ::-1], axis=1)
    # Above all scores both rates are 0, and they are 1 apart.
    return np.where(apart[rows, nearest] < 1, resample.fpr[rows, nearest], 0.0)


def tpr_at_fpr(resample: Resample, target: float) -> NDArray[np.float64]:
    """The highest TPR whose FPR is at most `target`."""
    # Rates fall along the scores: the first that is low enough, or none at all.
    lowest = (resample.fpr > target).sum(axis=1)
    return np.pad(resample.tpr, ((0, 0), (0, 1)))[np.arange(len(lowest)), lowest]


def log_loss(resample: Resample) -> NDArray[np.float64]:
    """Mean negative log likelihood in nats."""
    fake, real = _surprise(resample)
    count = resample.reals.sum(axis=1) + resample.fakes.sum(axis=1)
    return np.asarray((resample.fakes @ fake + resample.reals @ real) / count)


def brier(resample: Resample) -> NDArray[np.float64]:
    """Mean squared difference of score and label (Brier 1950)."""
    count = resample.reals.sum(axis=1) + resample.fakes.sum(axis=1)
    squares = resample.fakes @ (1 - resample.scores) ** 2 + resample.reals @ resample.scores**2
    return np.asarray(squares / count)


def ece(resample: Resample) -> NDArray[np.float64]:
    """Expected calibration error: the mean difference of score and share of fakes, in 15 bins of scores."""
    bins = np.minimum(resample.scores * BINS, BINS - 1).astype(int)
    starts = np.unique(bins, return_index=True)[1]
    scores = np.add.reduceat((resample.reals + resample.fakes) * resample.scores, starts, axis=1)
    fakes = np.add.reduceat(resample.fakes, starts, axis=1)
    count = resample.reals.sum(axis=1) + resample.fakes.sum(axis=1)
    return np.asarray(np.abs(scores - fakes).sum(axis=1) / count)


def cllr(resample: Resample) -> NDArray[np.float64]:
    """Log-likelihood-ratio cost in bits (Brümmer and du Preez 2006), of the odds of the scores as ratios.

    1 is what an answer that is always 0.5 costs. The odds are likelihood ratios where the model was trained
    on as many reals as fakes, or its scores were calibrated to that.
    """
    fake, real = _surprise(resample)
    fakes = resample.fakes @ fake / resample.fakes.sum(axis=1)
    reals = resample.reals @ real / resample.reals.sum(axis=1)
    return np.asarray((fakes + reals) / (2 * np.log(2)))


def cllr_min(resample: Resample) -> NDArray[np.float64]:
    """What `cllr` would be after the best monotonous calibration, that of pool-adjacent-violators."""
    pairs = zip(resample.reals, resample.fakes, strict=True)
    return np.array([_least_cllr(reals, fakes) for reals, fakes in pairs])


def _least_cllr(reals: NDArray[np.float64], fakes: NDArray[np.float64]) -> float:
    from scipy.optimize import isotonic_regression
    from scipy.special import xlogy

    there = (reals + fakes) > 0
    # Weighted as if there were as many of each class: then the share of fakes is the odds of the ratio.
    reals, fakes = reals[there] / reals.sum(), fakes[there] / fakes.sum()
    both = reals + fakes
    share = isotonic_regression(fakes / both, weights=both).x
    # Rounding may leave a share a little above 1.
    nats = xlogy(fakes, share).sum() + xlogy(reals, np.maximum(1 - share, 0)).sum()
    return float(nats / (-2 * np.log(2)))


def _at(threshold: float, name: str) -> dict[str, Measure]:
    return {
        f"accuracy_at_{name}": partial(accuracy, threshold=threshold),
        f"balanced_accuracy_at_{name}": partial(balanced_accuracy, threshold=threshold),
    }


def _right(resample: Resample, threshold: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How many reals (R,) and fakes (R,) are on their side of a threshold."""
    border = int(np.searchsorted(resample.scores, threshold))
    return resample.reals[:, :border].sum(axis=1), resample.fakes[:, border:].sum(axis=1)


def _surprise(resample: Resample) -> tuple[Scores, Scores]:
    """(K,) nats that each score costs, for a fake and for a real image."""
    clipped = np.clip(resample.scores, _LEAST, 1 - _LEAST)
    return -np.log(clipped), -np.log(1 - clipped)
