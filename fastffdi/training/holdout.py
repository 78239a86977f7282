"""The images that were held out of a run, scored by its best model: holdout_scores.csv in its folder."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fastffdi.data.holdout import parse
from fastffdi.data.manifest import Manifest
from fastffdi.evaluation import metrics
from fastffdi.evaluation.bootstrap import Interval, auc_interval
from fastffdi.training import scores
from fastffdi.training.best import best_predictor
from fastffdi.training.folder import HELD_OUT
from fastffdi.training.settings import Settings


@dataclass(frozen=True)
class HeldOut:
    """What the best model makes of the group `of` (COLUMN=VALUE) and the images beside it.

    Attributes:
        images: of the group; `beside` are validation images of the class that it lacks
        auc: None where a class is absent; `auc_interval` 95 % by a stratified bootstrap
    """

    of: str
    images: int
    beside: int
    auc: float | None
    auc_interval: Interval | None

    def to_data(self) -> dict[str, Any]:
        """It as plain data, for the summary."""
        return asdict(self)


def judge(settings: Settings, parts: tuple[Manifest, ...]) -> HeldOut:
    """Score the images of `Dataset.held_out` by best.safetensors, and write them. Raises as Predictor."""
    assert settings.holdout is not None, "it says which images these are"
    column, value = parse(settings.holdout)
    predictor = best_predictor(settings)
    found = [predictor(part) for part in parts]
    cells = [part.column(column) for part in parts]
    scores.write(settings.output / HELD_OUT, parts, found, column, cells)
    labels = np.concatenate([part.labels for part in parts if part.labels is not None])
    own, values = np.concatenate(cells) == value, np.concatenate(found)
    known = np.isfinite(values)
    return HeldOut(
        settings.holdout,
        int((own & known).sum()),
        int((~own & known).sum()),
        metrics.auc(labels[known], values[known]),
        auc_interval(labels[known], values[known]),
    )
