"""How much of an answer is something else than the forgery: scores when one class alone is degraded.

A shift is a share of the way: how far the mean logit of a class moves towards the other class's, where 1 is
all the way and a negative one leads away from it. What a degradation does to both classes alike, or to the
traces of the forgery, shifts scores as well; so a shift alone is no shortcut. That takes two things: a fact
that tells the classes in these images, and scores that move when one class is given the fact of the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastffdi.evaluation import bootstrap
from fastffdi.evaluation.bootstrap import RESAMPLES, Interval
from fastffdi.evaluation.calibration import logits
from fastffdi.evaluation.metrics import Labels, Scores, auc

#: The whole interval of a shift has to be beyond this share of the way.
LEAST_SHIFT = 0.25

#: Numbers in memory at once.
_AT_ONCE = 8_000_000


@dataclass(frozen=True)
class Shift:
    """What becomes of the scores when the images of one class alone are degraded.

    Attributes:
        label: the class, 0 = real, 1 = fake
        value: the share of the way towards the other class that its mean logit moves, with its `interval`
        auc, auc_change: then, and less that of the images as they are, with `auc_interval` of the change
        auc_both_change: when both classes are degraded
    """

    label: int
    value: float
    interval: Interval
    auc: float
    auc_change: float
    auc_interval: Interval
    auc_both_change: float


def shifts(
    labels: Labels, scores: Scores, degraded: Scores, resamples: int = RESAMPLES, seed: int = 0
) -> list[tuple[Shift, Shift]] | None:
    """For each of K degradations the shifts of reals and of fakes.

    None where the scores do not tell the classes apart, beyond chance: then there is no way to go.

    Args:
        labels: (N,); both classes have to be there
        scores: (N,) of the images as they are
        degraded: (N, K) of their degraded versions
    """
    labels = np.asarray(labels)
    every = logits(np.concatenate([np.asarray(scores)[:, None], degraded], axis=1))
    means = [every[labels == label].mean(axis=0)[None] for label in (0, 1)]
    drawn = [_resampled(every[labels == label], resamples, (seed, label)) for label in (0, 1)]
    if bootstrap.interval(drawn[1][:, 0] - drawn[0][:, 0]).low <= 0:
        return None
    values, spread = _ways(*means), _ways(*drawn)
    before = _Auc.of(labels, np.asarray(scores), resamples, seed)
    found = []
    for k in range(degraded.shape[1]):
        both = _value(labels, degraded[:, k]) - before.value
        pair = []
        for label in (0, 1):
            mixed = np.where(labels == label, degraded[:, k], scores)
            after = _Auc.of(labels, mixed, resamples, seed)
            way, between = float(values[label][0, k]), bootstrap.interval(spread[label][:, k])
            change = bootstrap.interval(after.resampled - before.resampled)
            pair.append(Shift(label, way, between, after.value, after.value - before.value, change, both))
        found.append((pair[0], pair[1]))
    return found


@dataclass(frozen=True)
class Factor:
    """A fact about images that may stand in for the forgery.

    Attributes:
        fact: such as JPEG quality
        medians: of it, of reals and of fakes
        reach: max(AUC, 1 − AUC) of telling the classes by it alone; None where it is not known
        tells: whether that is beyond 0.6, and not by chance
        shift: of the class that was given the other's median; None where the fact does not tell the classes,
            or the scores do not
    """

    fact: str
    medians: tuple[float, float]
    reach: float | None
    tells: bool
    shift: Shift | None

    @property
    def found(self) -> bool:
        """Whether it is a shortcut: it tells the classes, and scores follow it a quarter of the way."""
        return self.tells and self.shift is not None and self.shift.interval.low > LEAST_SHIFT


@dataclass(frozen=True)
class _Auc:
    value: float
    resampled: NDArray[np.float64]

    @classmethod
    def of(cls, labels: Labels, scores: Scores, resamples: int, seed: int) -> _Auc:
        drawn = bootstrap.resampled(labels, scores, {"auc": bootstrap.auc}, resamples, seed)
        return cls(_value(labels, scores), drawn["auc"])


def _value(labels: Labels, scores: Scores) -> float:
    value = auc(labels, scores)
    assert value is not None, "both classes have to be there"
    return value


def _ways(
    reals: NDArray[np.float64], fakes: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """From mean logits (R, 1 + K), of images as they are and degraded, the shifts (R, K) of either class."""
    distance = fakes[:, :1] - reals[:, :1]
    return (reals[:, 1:] - reals[:, :1]) / distance, (fakes[:, :1] - fakes[:, 1:]) / distance


def _resampled(values: NDArray[np.float64], resamples: int, seed: tuple[int, int]) -> NDArray[np.float64]:
    """Means (resamples, K) of M images' values (M, K), drawn anew with replacement."""
    return np.concatenate([counts @ values for counts in _counts(len(values), resamples, seed)]) / len(values)


def _counts(images: int, resamples: int, seed: tuple[int, int]) -> Iterator[NDArray[np.float64]]:
    """How often each image comes, in parts (r, images) of all resamples."""
    rng, most = np.random.default_rng(seed), max(1, _AT_ONCE // images)
    for first in range(0, resamples, most):
        drawn = rng.integers(0, images, (min(most, resamples - first), images))
        rows = np.arange(len(drawn))[:, None] * images
        flat = np.bincount((drawn + rows).ravel(), minlength=drawn.size)
        yield flat.reshape(drawn.shape).astype(np.float64)
