"""The public Loader with recipes and settings for tests, and all it gives, as bytes."""

from contextlib import contextmanager

import torch
from recipes import normalised, step

from fastffdi.loaders.loader import Loader
from fastffdi.recipe.mix import Mix

CPU = torch.device("cpu")
STEPS = normalised(step("random_resized_crop", size=[20, 24]), step("color_jitter", hue=0.2))
FLAT = normalised(step("resize", size=[20, 24]))
TEN = normalised(step("resize", size=[20, 24]), step("ten_crop", size=[8, 8]))
BOTH = Mix(mixup=0.4, cutmix=1.0)


@contextmanager
def loader_of(manifest, steps=STEPS, **more):
    chosen = {"batch_size": 4, "device": "cpu", "backend": "cpu", "threads": 2} | more
    with Loader(manifest, steps, **chosen) as loader:
        yield loader


def bits(loader):
    """All batches of an iteration, as bytes."""
    return [(images.numpy().tobytes(), labels.numpy().tobytes()) for images, labels in loader]
