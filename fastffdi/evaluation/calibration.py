"""Calibration: from a model's scores to probabilities that mean what they say, both classes being as likely.

It is fitted on images that were not trained on, each class weighted by half: then the odds of a calibrated
score are a likelihood ratio, whatever share of fakes those images had.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastffdi.errors import DataError
from fastffdi.evaluation.metrics import Labels, Scores

METHODS = ("temperature", "platt", "isotonic")

#: Scores are kept that far from 0 and 1, float32's reach.
_LEAST = 1e-7

#: Fewer images of a class say nothing about probabilities.
FEWEST = 10


@dataclass(frozen=True)
class Linear:
    """σ(slope · logit + offset): `temperature` has no offset, `platt` (Platt 1999) has."""

    slope: float
    offset: float = 0.0

    def __call__(self, scores: Scores) -> NDArray[np.float64]:
        """Calibrated scores (N,)."""
        from scipy.special import expit

        return np.asarray(expit(self.slope * logits(scores) + self.offset))

    def to_data(self) -> dict[str, Any]:
        """It as plain data."""
        return {"kind": "linear", "slope": self.slope, "offset": self.offset}


@dataclass(frozen=True)
class Isotonic:
    """Straight lines between knots, scores and values ascending; beyond them the nearest (Zadrozny 2002)."""

    scores: tuple[float, ...]
    values: tuple[float, ...]

    def __call__(self, scores: Scores) -> NDArray[np.float64]:
        """Calibrated scores (N,)."""
        return np.interp(scores, self.scores, self.values)

    def to_data(self) -> dict[str, Any]:
        """It as plain data."""
        return {"kind": "isotonic", "scores": list(self.scores), "values": list(self.values)}


Calibration = Linear | Isotonic


def fit(labels: Labels, scores: Scores, method: str) -> Calibration:
    """The calibration by one of METHODS on images that were not trained on.

    Raises DataError for fewer than 10 images of a class.
    """
    labels, scores = np.asarray(labels), np.asarray(scores, np.float64)
    weights = _balanced(labels)
    if method == "isotonic":
        return _isotonic(labels, scores, weights)
    return _linear(labels, logits(scores), weights, method == "platt")


def cross_fitted(
    labels: Labels, scores: Scores, method: str, folds: int = 5, seed: int = 0
) -> NDArray[np.float64]:
    """Calibrated scores (N,), each by a fit on the other folds: what calibration does for images it has not
    seen.
    """
    from sklearn.model_selection import StratifiedKFold

    labels, found = np.asarray(labels), np.empty(len(scores))
    _balanced(labels)
    for rest, held in StratifiedKFold(folds, shuffle=True, random_state=seed).split(labels, labels):
        found[held] = fit(labels[rest], scores[rest], method)(scores[held])
    return found


def from_data(data: Mapping[str, Any]) -> Calibration:
    """What `to_data` gave. Raises ValueError for anything else."""
    kind, rest = data.get("kind"), {name: value for name, value in data.items() if name != "kind"}
    if kind == "linear" and rest.keys() == {"slope", "offset"} and _numbers(rest.values()):
        return Linear(**rest)
    if kind == "isotonic" and rest.keys() == {"scores", "values"}:
        knots, values = (tuple(rest[name]) for name in ("scores", "values"))
        rising = all(_numbers(one) and list(one) == sorted(one) for one in (knots, values))
        if rising and 0 < len(knots) == len(values) and 0 <= values[0] <= values[-1] <= 1:
            return Isotonic(knots, values)
    raise ValueError(f"calibration: {str(data)[:100]} is none")


def logits(scores: Scores) -> NDArray[np.float64]:
    """log(p / (1 − p)) of scores (N,), which are kept 10⁻⁷ from 0 and 1."""
    clipped = np.clip(np.asarray(scores, np.float64), _LEAST, 1 - _LEAST)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))


def _linear(labels: Labels, x: NDArray[np.float64], weights: NDArray[np.float64], offset: bool) -> Linear:
    from sklearn.linear_model import LogisticRegression

    # Hardly regularised: where the classes do not overlap, the steepest slope would be infinite.
    model = LogisticRegression(C=1e4, fit_intercept=offset, tol=1e-8, max_iter=1000)
    model.fit(x[:, None], labels, sample_weight=weights * len(labels))
    return Linear(float(model.coef_[0, 0]), float(model.intercept_[0]) if offset else 0.0)


def _isotonic(labels: Labels, scores: Scores, weights: NDArray[np.float64]) -> Isotonic:
    from sklearn.isotonic import IsotonicRegression

    model = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
    model.fit(scores, labels, sample_weight=weights)
    return Isotonic(tuple(model.X_thresholds_.tolist()), tuple(model.y_thresholds_.tolist()))


def _balanced(labels: Labels) -> NDArray[np.float64]:
    """(N,) weights with which each class counts as half of all."""
    counts = np.bincount(labels, minlength=2)
    if counts.min() < FEWEST:
        given = f"{counts[0]} real and {counts[1]} fake images are too few"
        raise DataError(f"calibration: {given}; give at least {FEWEST} of each")
    return np.asarray(0.5 / counts[labels])


def _numbers(values: Any) -> bool:
    return all(isinstance(one, int | float) and np.isfinite(one) for one in values)
