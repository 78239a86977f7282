"""Images of two classes, each saved with its own JPEG quality, and a model that looks at more than that."""

import numpy as np
import torch
from PIL import Image
from torch import nn

SIDE = 48

RECIPE = f"""\
train:
  - resize: {{size: [{SIDE}, {SIDE}]}}
  - horizontal_flip
  - normalize: {{mean: imagenet, std: imagenet}}
eval:
  - resize: {{size: [{SIDE}, {SIDE}]}}
  - normalize: {{mean: imagenet, std: imagenet}}
"""


def write_split(folder, split, images, real, fake):
    """Save images, real and fake in turn, as files of these qualities."""
    (folder / f"{split}set").mkdir(parents=True)
    rows = ["img_name,target"]
    for k, image in enumerate(images):
        name = f"{k:03d}.jpg"
        Image.fromarray(image).save(folder / f"{split}set" / name, quality=(real, fake)[k % 2])
        rows.append(f"{name},{k % 2}")
    (folder / f"{split}set_label.txt").write_text("\n".join(rows) + "\n")


def grainy(count, apart):
    """Images of grain about mean grey; every second one, a fake, is brighter by `apart` pixel values."""
    rng = np.random.default_rng(0)
    for k in range(count):
        level = 120 + apart * (k % 2) + rng.normal(0, 4)
        yield rng.normal(level, 10, (SIDE, SIDE, 3)).clip(0, 255).astype(np.uint8)


class Smoothness(nn.Module):
    """The logit grows with the brightness of images and, by `weight`, with how smooth they are."""

    def __init__(self, weight):
        super().__init__()
        self.weight = weight

    def forward(self, images):
        grey = 255 * images.float().mean(dim=1)
        edges = (grey[:, 1:] - grey[:, :-1]).abs().mean(dim=(1, 2))
        fake = (grey.mean(dim=(1, 2)) - 125) / 4 - self.weight * (edges - 6)
        return torch.stack([torch.zeros_like(fake), fake], dim=1)
