"""DeLong's test (DeLong, DeLong and Clarke-Pearson 1988): whether two models' AUCs on the same images differ.

By midranks (Sun and Xu 2014), in the time of sorting.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastffdi.evaluation.metrics import Labels, Scores


@dataclass(frozen=True)
class Difference:
    """The AUC of the first model less that of the second, its standard error, and the two-sided p-value."""

    value: float
    error: float
    p: float


def difference(labels: Labels, first: Scores, second: Scores) -> Difference | None:
    """Compare two models' scores (N,) of the same images; None with fewer than two images of a class."""
    from scipy.special import ndtr

    fake = np.asarray(labels) == 1
    if min(fake.sum(), (~fake).sum()) < 2:
        return None
    parts = [_placements(fake, np.asarray(scores, np.float64)) for scores in (first, second)]
    fakes, reals = (parts[0][k] - parts[1][k] for k in (0, 1))
    value = float(fakes.mean())
    error = float(np.sqrt(fakes.var(ddof=1) / len(fakes) + reals.var(ddof=1) / len(reals)))
    if error == 0:  # always the same, or one is always better: nothing varies
        return Difference(value, 0.0, 1.0 if value == 0 else 0.0)
    return Difference(value, error, float(2 * ndtr(-abs(value) / error)))


def _placements(fake: NDArray[np.bool_], scores: Scores) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of each fake, the share of reals below it; of each real, the share of fakes above it. Ties are half."""
    from scipy.stats import rankdata

    ranks, m, n = rankdata(scores), int(fake.sum()), int((~fake).sum())
    return (
        (ranks[fake] - rankdata(scores[fake])) / n,
        1 - (ranks[~fake] - rankdata(scores[~fake])) / m,
    )
