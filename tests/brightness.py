"""A model whose scores can be worked out from the images."""

import torch
from torch import nn


class Brightness(nn.Module):
    """P(fake) is the mean of the image as it is shown; `shown` has every dtype, and whether in autocast."""

    def __init__(self):
        super().__init__()
        self.shown = set()

    def forward(self, images):
        self.shown.add((images.dtype, torch.is_autocast_enabled("cpu")))
        mean = images.float().mean(dim=(1, 2, 3)).clamp(1e-6, 1 - 1e-6)
        return torch.stack([(1 - mean).log(), mean.log()], dim=1)
