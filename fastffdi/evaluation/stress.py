"""How good scores stay when all images are degraded."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from fastffdi.evaluation import bootstrap, measures
from fastffdi.evaluation.bootstrap import RESAMPLES, Measure
from fastffdi.evaluation.figures import Figure
from fastffdi.evaluation.metrics import Labels, Scores


def stressed(
    labels: Labels, scores: Scores, threshold: float, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Figure]:
    """AUC, accuracy where a score of at least `threshold` is fake, log-loss and ECE, with intervals.

    `labels` and finite `scores` (N,) are as in `metrics`; both classes have to be there. The resamples are
    the same for every degradation of the same images.
    """
    known = _measures(threshold)
    whole = measures.whole(labels, scores)
    found = bootstrap.intervals(labels, scores, known, resamples, seed)
    return {name: Figure(float(measure(whole)[0]), found[name]) for name, measure in known.items()}


def common(scores: Scores, degraded: Scores) -> np.ndarray:
    """(N,) bool: the images that have a score as they are (N,) and in every version (N, K)."""
    return np.isfinite(scores) & np.isfinite(degraded).all(axis=1)


def _measures(threshold: float) -> Mapping[str, Measure]:
    return {
        "auc": bootstrap.auc,
        "accuracy_at_threshold": partial(measures.accuracy, threshold=threshold),
        "log_loss": measures.log_loss,
        "ece": measures.ece,
    }
