"""The forward pass of prediction: images to logits, plain or compiled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from fastffdi.model.compilation import compiled, explained
from fastffdi.model.precision import Precision

#: Images (N, 3, H, W) on the model's device → logits (N, 2).
Forward = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Autocast:
    """A Forward: a model in its precision."""

    model: nn.Module
    precision: Precision

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        with self.precision.autocast(images.device):
            logits: torch.Tensor = self.model(images)
        return logits


def compiled_forward(plain: Forward, device: torch.device, full: int) -> Forward:
    """A Forward that is compiled for batches of `full` images; others, for which torch would compile anew,
    are left to `plain`.

    On CUDA the next call overwrites what it returns. Raises SettingError where the machine cannot compile.
    """
    fast = compiled(plain, device)

    def forward(images: torch.Tensor) -> torch.Tensor:
        if len(images) != full:
            return plain(images)
        with explained():
            return fast(images)

    return forward
