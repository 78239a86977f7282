"""Measures of many resamples at once, each a bootstrap.Measure; of a whole set, a resample that is the set.

`metrics` has most of them for one set, and says what they mean. Scores are P(fake); measures of probabilities
clip them to [1e-7, 1 − 1e-7], float32's reach.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fastffdi.evaluation.bootstrap import Measure, auc
from fastffdi.evaluation.metrics import Labels, Scores
from fastffdi.evaluation.resample import Resample

#: False positive rates at which the true positive rate is asked for.
TARGETS = (0.1, 0.01, 0.001, 0.0001)

#: Bins of equal width of the expected calibration error.
BINS = 15

_LEAST = 1e-7


def whole(labels: Labels, scores: Scores) -> Resample:
    """The set itself, as its only resample: `labels` and finite `scores` (N,) as in `metrics`."""
    distinct, places = np.unique(np.asarray(scores, np.float64), return_inverse=True)
    reals, fakes = (
        np.bincount(places[np.asarray(labels) == label], minlength=len(distinct))[None].astype(np.float64)
        for label in (0, 1)
    )
    return Resample(distinct, reals, fakes)


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
    return np.asarray(sum(_right(resample, threshold)) / sum(resample.counts))


def balanced_accuracy(resample: Resample, threshold: float = 0.5) -> NDArray[np.float64]:
    """Mean of the shares of reals and of fakes on the right side."""
    right = zip(_right(resample, threshold), resample.counts, strict=True)
    return np.asarray(sum(part / count for part, count in right) / 2)


def average_precision(resample: Resample) -> NDArray[np.float64]:
    """Precision averaged over the steps of recall, without interpolation."""
    steps, (reals, fakes) = resample.steps, resample.counts
    right, wrong = steps.of_each(fakes) - steps.fakes_below, steps.of_each(reals) - steps.reals_below
    return steps.sums(steps.fakes * right / (right + wrong)) / fakes


def eer(resample: Resample) -> NDArray[np.float64]:
    """Equal error rate: the FPR where FNR and FPR are nearest, at the higher threshold on a tie."""

    def apart(places: NDArray[np.intp]) -> NDArray[np.float64]:
        fpr, tpr = resample.rates(places)
        return 1 - tpr - fpr

    # From -1 at the lowest score it rises to 1 above all: nearest is the first from 0 on, or the one before.
    first = resample.first(lambda places: apart(places) >= 0)
    before = first - 1
    nearest = np.where(np.abs(apart(before)) < np.abs(apart(first)), before, first)
    return resample.rates(nearest)[0]


def tpr_at_fpr(resample: Resample, target: float) -> NDArray[np.float64]:
    """The highest TPR whose FPR is at most `target`."""
    return resample.rates(resample.first(lambda places: resample.rates(places)[0] <= target))[1]


def log_loss(resample: Resample) -> NDArray[np.float64]:
    """Mean negative log likelihood in nats."""
    return np.asarray(sum(_surprise(resample)) / sum(resample.counts))


def brier(resample: Resample) -> NDArray[np.float64]:
    """Mean squared difference of score and label (Brier 1950)."""
    real, fake = resample.of_scores("squares", lambda scores: (scores**2, (1 - scores) ** 2))
    squares = _total(resample.reals, real) + _total(resample.fakes, fake)
    return np.asarray(squares / sum(resample.counts))


def ece(resample: Resample) -> NDArray[np.float64]:
    """Expected calibration error: the mean difference of score and share of fakes, in 15 bins of scores."""
    edges = resample.of_scores("bins", _bins)
    gaps = np.diff(resample.fakes_below[:, edges], axis=1)
    for k, own in enumerate(map(slice, edges[:-1], edges[1:])):
        for counts in (resample.reals, resample.fakes):
            gaps[:, k] -= _total(counts[:, own], resample.scores[own])
    return np.asarray(np.abs(gaps).sum(axis=1) / sum(resample.counts))


def cllr(resample: Resample) -> NDArray[np.float64]:
    """Log-likelihood-ratio cost in bits (Brümmer and du Preez 2006), of the odds of the scores as ratios.

    1 is what an answer that is always 0.5 costs. The odds are likelihood ratios where the model was trained
    on as many reals as fakes, or its scores were calibrated to that.
    """
    means = zip(_surprise(resample), resample.counts, strict=True)
    return np.asarray(sum(nats / count for nats, count in means) / (2 * np.log(2)))


def cllr_min(resample: Resample) -> NDArray[np.float64]:
    """What `cllr` would be after the best monotonous calibration, that of pool-adjacent-violators."""
    steps = resample.steps
    reals, fakes = (np.split(below, steps.starts[1:]) for below in (steps.reals_below, steps.fakes_below))
    return np.array([_least_cllr(*one) for one in zip(reals, fakes, *resample.counts, strict=True)])


def _least_cllr(
    reals_below: NDArray[np.float64], fakes_below: NDArray[np.float64], reals: float, fakes: float
) -> float:
    """Of one set, by how many reals and fakes are below each score that fakes have."""
    from scipy.optimize import isotonic_regression
    from scipy.special import xlogy

    # Fakes with no real between them, and the reals up to the next fakes, are one pool in any case; reals
    # below all fakes cost nothing. Shares of each class: as if there were as many of both.
    starts = np.flatnonzero(np.diff(reals_below, prepend=-1))
    own_reals = np.diff(reals_below[starts], append=reals) / reals
    own_fakes = np.diff(fakes_below[starts], append=fakes) / fakes
    both = own_reals + own_fakes
    pools = isotonic_regression(own_fakes / both, weights=both).blocks[:-1]
    own_reals, own_fakes = (np.add.reduceat(own, pools) for own in (own_reals, own_fakes))
    both = own_reals + own_fakes
    nats = xlogy(own_fakes, own_fakes / both).sum() + xlogy(own_reals, own_reals / both).sum()
    return max(0.0, float(nats / (-2 * np.log(2))))  # nothing is lost, not -0.0, where all are told apart


def _at(threshold: float, name: str) -> dict[str, Measure]:
    return {
        f"accuracy_at_{name}": partial(accuracy, threshold=threshold),
        f"balanced_accuracy_at_{name}": partial(balanced_accuracy, threshold=threshold),
    }


def _right(resample: Resample, threshold: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How many reals (R,) and fakes (R,) are on their side of a threshold."""
    border = int(np.searchsorted(resample.scores, threshold))
    return resample.reals_below[:, border], resample.counts[1] - resample.fakes_below[:, border]


def _surprise(resample: Resample) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nats that the scores of all reals (R,), and of all fakes (R,), cost."""
    real, fake = resample.of_scores("nats", _nats)
    return _total(resample.reals, real), _total(resample.fakes, fake)


def _nats(scores: Scores) -> tuple[Scores, Scores]:
    """(K,) what each score costs, for a real and for a fake image."""
    clipped = np.clip(scores, _LEAST, 1 - _LEAST)
    return -np.log(1 - clipped), -np.log(clipped)


def _bins(scores: Scores) -> NDArray[np.intp]:
    """(BINS + 1,) where among the scores, ascending, each bin begins, and the last one ends."""
    bins = np.minimum(scores * BINS, BINS - 1).astype(int)
    return np.searchsorted(bins, np.arange(BINS + 1))


def _total(counts: NDArray[np.float64], values: Scores) -> NDArray[np.float64]:
    """(R,) the sum over images of values (K,)."""
    # Not by BLAS, whose threads would be in the way of those that measure.
    return np.asarray(np.einsum("rk,k->r", counts, values))
