"""From scores to decisions: a threshold that was chosen for a reason, and a band in which none is made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastffdi.errors import DataError, SettingError, did_you_mean
from fastffdi.evaluation import calibration
from fastffdi.evaluation.calibration import Calibration
from fastffdi.evaluation.metrics import Labels, Scores

REAL, FAKE, INCONCLUSIVE = "real", "fake", "inconclusive"
RULES = ("eer", "youden", "fpr", "cost")


@dataclass(frozen=True)
class Band:
    """Where no decision is made: from `low` to `high`, ends included, at that error rate."""

    low: float
    high: float
    error_rate: float


@dataclass(frozen=True)
class Decision:
    """How a model's scores become decisions; all of it was fitted on images that were not trained on.

    Attributes:
        threshold: a calibrated score of at least this is fake
        rule: why that threshold
        images: how many it was fitted on
        calibration: applied to the scores first; None: they are taken as they are
        band: calibrated scores in it are inconclusive, and those between it and the threshold; None: none is
        manner: how the scores that it is for were made, as predict's options; empty: by one look at an image
    """

    threshold: float
    rule: str
    images: int
    calibration: Calibration | None = None
    band: Band | None = None
    manner: str = ""

    def calibrated(self, scores: Scores) -> NDArray[np.float64]:
        """Calibrated scores (N,)."""
        return np.asarray(scores, np.float64) if self.calibration is None else self.calibration(scores)

    def __call__(self, scores: Scores) -> NDArray[np.object_]:
        """(N,) real, fake or inconclusive, of scores as the model gives them; of NaN, inconclusive."""
        values = self.calibrated(scores)
        fake, real = values >= self.threshold, values < self.threshold
        if self.band is not None:
            fake, real = fake & (values > self.band.high), real & (values < self.band.low)
        return np.where(fake, FAKE, np.where(real, REAL, INCONCLUSIVE)).astype(object)

    def cut(self) -> float | None:
        """The lowest score, as the model gives them, from the threshold on; above 1 where none is.

        None where calibration turns scores round.
        """
        if self.calibration is None:
            return self.threshold
        if self.calibrated(np.zeros(1))[0] > self.calibrated(np.ones(1))[0]:
            return None
        low, high = 0.0, math.nextafter(1.0, 2.0)
        while low < (middle := (low + high) / 2) < high:
            low, high = (
                (low, middle) if self.calibrated(np.array([middle]))[0] >= self.threshold else (middle, high)
            )
        return low if self.calibrated(np.array([low]))[0] >= self.threshold else high

    def to_data(self) -> dict[str, Any]:
        """It as plain data, for a checkpoint."""
        band = None if self.band is None else [self.band.low, self.band.high, self.band.error_rate]
        fitted = None if self.calibration is None else self.calibration.to_data()
        return {
            "threshold": self.threshold,
            "rule": self.rule,
            "images": self.images,
            "calibration": fitted,
            "band": band,
            "manner": self.manner,
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Decision:
        """What `to_data` gave. Raises ValueError for anything else."""
        try:
            threshold, rule, images = float(data["threshold"]), str(data["rule"]), int(data["images"])
            fitted, band, manner = data["calibration"], data["band"], str(data.get("manner", ""))
            ends = None if band is None else Band(*(float(one) for one in band))
            known = None if fitted is None else calibration.from_data(fitted)
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
            raise ValueError(f"decision: {error} is missing, or not what it should be") from None
        values = [threshold] if ends is None else [threshold, ends.low, ends.high, ends.error_rate]
        if not all(math.isfinite(value) for value in values):
            raise ValueError("decision: its numbers are not finite")
        return cls(threshold, rule, images, known, ends, manner)


def fit(
    labels: Labels,
    scores: Scores,
    method: str | None = None,
    rule: str = "youden",
    error_rate: float | None = None,
) -> Decision:
    """The decision by images that were not trained on: calibrated by a method, then `choose` and `band`."""
    known = None if method is None else calibration.fit(labels, scores, method)
    values = np.asarray(scores, np.float64) if known is None else known(scores)
    threshold = choose(labels, values, rule)
    ends = None if error_rate is None else band(labels, values, error_rate)
    return Decision(threshold, rule, len(values), known, ends)


def choose(labels: Labels, scores: Scores, rule: str) -> float:
    """The threshold by a rule, halfway between two scores; both classes have to be there.

    `eer`: where the error rates are nearest; `youden`: the highest TPR − FPR; `fpr=R`: the highest TPR with
    an FPR of at most R; `cost=C`: the least cost, where a missed fake costs C false alarms and both classes
    are as likely. Raises SettingError for another rule, DataError where a class is absent.
    """
    name, given = _parsed(rule)
    labels, scores = np.asarray(labels), np.asarray(scores, np.float64)
    if not (labels == 0).any() or not (labels == 1).any():
        raise DataError("--choose-threshold: needs real and fake images; only one class is there")
    distinct = np.unique(scores)
    # As many thresholds as ways to part the images: below all scores, between two, above all.
    cuts = np.concatenate([distinct[:1], (distinct[:-1] + distinct[1:]) / 2, [np.nextafter(distinct[-1], 2)]])
    fpr, tpr = (1 - np.searchsorted(np.sort(scores[labels == k]), cuts) / (labels == k).sum() for k in (0, 1))
    if name == "eer":
        best = np.argmin(np.abs(1 - tpr - fpr))
    elif name == "youden":
        best = np.argmax(tpr - fpr)
    elif name == "fpr":
        best = np.argmax(fpr <= given)
    else:
        best = np.argmin(fpr + given * (1 - tpr))
    return float(cuts[best])


def band(labels: Labels, scores: Scores, error_rate: float) -> Band:
    """The scores that are inconclusive at an error rate, by split conformal prediction within each class.

    Outside it an image is called what it is not with a probability of at most `error_rate`, whichever its
    class, as long as it is like those given (Vovk 2012, Mondrian). Raises DataError for too few images.
    """
    labels, scores = np.asarray(labels), np.asarray(scores, np.float64)
    if not 0 < error_rate < 1:
        raise SettingError(f"--error-rate {error_rate}: give a number between 0 and 1")
    ends = []
    for label, strange in ((1, 1 - scores[labels == 1]), (0, scores[labels == 0])):
        rank = math.ceil((len(strange) + 1) * (1 - error_rate))
        if rank > len(strange):
            needed = math.ceil(1 / error_rate) - 1
            raise DataError(
                f"--error-rate {error_rate:g}: needs {needed:,} {(REAL, FAKE)[label]} images; there are "
                f"{len(strange):,}"
            )
        ends.append(float(np.sort(strange)[rank - 1]))
    # Fakes are usual from 1 − ends[0] on, real images up to ends[1]: between them both are, or neither is.
    low, high = sorted((1 - ends[0], ends[1]))
    return Band(low, high, error_rate)


def _parsed(rule: str) -> tuple[str, float]:
    name, sign, value = rule.partition("=")
    if name not in RULES or bool(sign) != (name in ("fpr", "cost")):
        hint = did_you_mean(name, RULES)
        raise SettingError(f"--choose-threshold {rule}: unknown{hint}; give eer, youden, fpr=0.01 or cost=10")
    try:
        given = float(value) if sign else 0.0
    except ValueError:
        given = math.nan
    if not (0 <= given <= 1 if name == "fpr" else 0 <= given < math.inf):
        raise SettingError(f"--choose-threshold {rule}: give fpr from 0 to 1, or a cost of at least 0")
    return name, given
