"""Batches of a loader's process: how they are rendered in tests, and whether two loaders give the same."""

import numpy as np
import torch
from recipes import NORMALIZE

from fastffdi.loaders.batch import Batch
from fastffdi.recipe.steps import STEPS

CPU = torch.device("cpu")
RECIPE = (STEPS["random_resized_crop"]((20, 24)), STEPS["color_jitter"].read({"hue": 0.2}), NORMALIZE)


def agree(ours: list[Batch], theirs: list[Batch]) -> bool:
    return len(ours) == len(theirs) and all(
        torch.equal(a.images, b.images)
        and np.array_equal(a.rows, b.rows)
        and np.array_equal(a.labels, b.labels)
        and (a.epoch, len(a.remaining), a.views) == (b.epoch, len(b.remaining), b.views)
        and a.remaining.normalize == b.remaining.normalize
        for a, b in zip(ours, theirs, strict=True)
    )
