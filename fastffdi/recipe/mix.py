"""The mix block of a recipe: MixUp and CutMix on the batch, in training only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastffdi.recipe.block import read_block
from fastffdi.recipe.steps.base import one_of, param, probability, real, whole

IMAGE, BATCH = "image", "batch"


def alpha(value: Any) -> float:
    if real(value) < 0:
        raise ValueError(f"{value} is negative; 0 turns it off")
    return float(value)


def count(value: Any) -> int:
    if whole(value) < 0:
        raise ValueError(f"{value} is negative; 0 mixes to the end")
    return int(value)


@dataclass(frozen=True)
class Mix:
    """MixUp and CutMix on the batch.

    Attributes:
        mixup, cutmix: the α of each one's Beta(α, α); 0 turns it off
        p: how often an image is mixed at all
        switch: where both are on, how often CutMix is taken
        per: "image": each has its own share, box and kind; "batch": all have the first one's
        off_epochs: how many of the last epochs are not mixed
    """

    mixup: float = param(alpha, 0.0)
    cutmix: float = param(alpha, 0.0)
    p: float = param(probability, 1.0)
    switch: float = param(probability, 0.5)
    per: str = param(one_of(IMAGE, BATCH), IMAGE)
    off_epochs: int = param(count, 0)


def read_mix(data: Any, source: str) -> Mix:
    """The block from plain data; `source` names it in errors. Raises RecipeError."""
    return read_block(Mix, data, source, "mix: {mixup: 0.2, cutmix: 1.0}")
