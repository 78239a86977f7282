"""A model over several sets of images: the mean of each figure, how far they differ, and the worst."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fastffdi.evaluation.figures import Figure

#: Beginnings of the names of measures of which less is better.
_LESS_IS_BETTER = ("eer", "log_loss", "brier", "ece", "cllr")


@dataclass(frozen=True)
class Across:
    """A measure over the sets that have it, each counting the same, however many images it has.

    Attributes:
        sd: sample standard deviation of the sets' values; None of a single one
        worst: the least favourable value, and `worst_set` whose it is, the first on a tie
        sets: how many have a value
    """

    mean: float
    sd: float | None
    worst: float
    worst_set: str
    sets: int


def across(found: Mapping[str, Mapping[str, Figure]]) -> dict[str, Across]:
    """Each measure that some set has, by name; `found` has the figures by the name of the set."""
    values: dict[str, dict[str, float]] = {}
    for of, figures in found.items():
        for name, figure in figures.items():
            if figure.value is not None:
                values.setdefault(name, {})[of] = figure.value
    return {name: _over(name, known) for name, known in values.items()}


def _over(name: str, values: dict[str, float]) -> Across:
    worst = (max if name.startswith(_LESS_IS_BETTER) else min)(values, key=values.__getitem__)
    numbers = np.array(list(values.values()))
    sd = float(numbers.std(ddof=1)) if len(numbers) > 1 else None
    return Across(float(numbers.mean()), sd, values[worst], worst, len(numbers))
