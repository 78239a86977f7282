"""The validation of a model, and of the moving average of its weights beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from torch import nn

from fastffdi.evaluation import metrics
from fastffdi.inference.forward import Autocast
from fastffdi.inference.scoring import score_all
from fastffdi.loaders.loader import DeviceLoader
from fastffdi.model.precision import Precision
from fastffdi.training.history import rank


@dataclass(frozen=True)
class Verdict:
    """Which of some models is the best, by AUC.

    Attributes:
        name: of the first of the best ones
        figures: of that one, as metrics.summary gives them
        aucs: of all, by name
    """

    name: str
    figures: dict[str, float | None]
    aucs: dict[str, float | None]


def scores_of(
    models: Mapping[str, nn.Module],
    precision: Precision,
    loader: DeviceLoader,
    count: int,
    progress: Callable[[int], None],
) -> dict[str, np.ndarray]:
    """(images,) P(fake) of each model, by name, as Scorer gives them; the images are rendered once."""
    forwards = [Autocast(model.eval(), precision) for model in models.values()]
    return dict(zip(models, score_all(forwards, loader, count, progress), strict=True))


def best_of(labels: np.ndarray, scores: Mapping[str, np.ndarray]) -> Verdict:
    """The verdict on (n,) scores of each model, by name; labels (n,)."""
    figures = {name: metrics.summary(labels, one) for name, one in scores.items()}
    name = max(figures, key=lambda one: rank(figures[one]))
    return Verdict(name, figures[name], {one: found["auc"] for one, found in figures.items()})
