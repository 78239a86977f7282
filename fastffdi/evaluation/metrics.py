"""Measures of a real/fake classifier over a whole set, with DeepfakeBench's conventions.

Everywhere: `labels` (N,) integers, 0 = real, 1 = fake, the positive class; `scores` (N,) P(fake) in [0, 1].
A measure that needs both classes is None where only one is there, and any is None for an empty set. Scores
that are not finite raise RunError, since they come from a model that has diverged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastffdi.errors import RunError

Labels = NDArray[np.integer]
Scores = NDArray[np.floating]

# A rate that rests on fewer false positives than this says little.
FEWEST_FALSE_POSITIVES = 10


@dataclass(frozen=True)
class Rate:
    """A true positive rate, the number of negatives behind it, and whether those are enough."""

    value: float | None
    negatives: int
    reliable: bool


def auc(labels: Labels, scores: Scores) -> float | None:
    """Area under the ROC curve: the chance that a fake scores above a real image, ties counting half."""
    from sklearn.metrics import roc_auc_score

    labels, scores = _checked(labels, scores)
    return float(roc_auc_score(labels, scores)) if _both(labels) else None


def average_precision(labels: Labels, scores: Scores) -> float | None:
    """Precision averaged over the steps of recall, without interpolation (scikit-learn's)."""
    from sklearn.metrics import average_precision_score

    labels, scores = _checked(labels, scores)
    return float(average_precision_score(labels, scores)) if _both(labels) else None


def accuracy(labels: Labels, scores: Scores, threshold: float = 0.5) -> float | None:
    """Share of images on the right side; a score equal to `threshold` counts as fake."""
    labels, scores = _checked(labels, scores)
    return float(np.mean((scores >= threshold) == (labels == 1))) if len(labels) else None


def log_loss(labels: Labels, scores: Scores) -> float | None:
    """Mean negative log likelihood in nats, scores clipped to [1e-7, 1 − 1e-7], float32's reach."""
    labels, scores = _checked(labels, scores)
    if not len(labels):
        return None
    fake = np.clip(scores, 1e-7, 1 - 1e-7)
    return float(-np.mean(np.log(np.where(labels == 1, fake, 1 - fake))))


def eer(labels: Labels, scores: Scores) -> float | None:
    """Equal error rate: the FPR where FNR and FPR are nearest, at the higher threshold on a tie."""
    labels, scores = _checked(labels, scores)
    if not _both(labels):
        return None
    fpr, tpr = _roc(labels, scores)
    return float(fpr[np.argmin(np.abs(1 - tpr - fpr))])


def tpr_at_fpr(labels: Labels, scores: Scores, target: float) -> Rate:
    """The highest TPR whose FPR is at most `target`; unreliable if target × negatives < 10."""
    labels, scores = _checked(labels, scores)
    negatives = int(np.sum(labels == 0))
    if not _both(labels):
        return Rate(None, negatives, False)
    fpr, tpr = _roc(labels, scores)
    return Rate(float(tpr[fpr <= target].max()), negatives, target * negatives >= FEWEST_FALSE_POSITIVES)


def summary(labels: Labels, scores: Scores) -> dict[str, float | None]:
    """The measures by name, always the same names; a TPR is None too where it would be unreliable."""
    one_percent, one_permille = (tpr_at_fpr(labels, scores, target) for target in (0.01, 0.001))
    return {
        "auc": auc(labels, scores),
        "ap": average_precision(labels, scores),
        "accuracy": accuracy(labels, scores),
        "log_loss": log_loss(labels, scores),
        "eer": eer(labels, scores),
        "tpr_at_fpr_0.01": one_percent.value if one_percent.reliable else None,
        "tpr_at_fpr_0.001": one_permille.value if one_permille.reliable else None,
    }


def _roc(labels: Labels, scores: Scores) -> tuple[Scores, Scores]:
    from sklearn.metrics import roc_curve

    # Every threshold: scikit-learn's default drops points on straight runs, and the nearest may be one.
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    return fpr, tpr


def _both(labels: Labels) -> bool:
    return bool(np.any(labels == 0)) and bool(np.any(labels == 1))


def _checked(labels: Labels, scores: Scores) -> tuple[Labels, Scores]:
    scores = np.asarray(scores, dtype=np.float64)
    if not np.isfinite(scores).all():
        broken = int(np.sum(~np.isfinite(scores)))
        raise RunError(
            f"{broken} of {scores.size} scores are not finite: the model has diverged; "
            "lower the learning rate, or switch mixed precision off (--amp off)"
        )
    return np.asarray(labels), scores
