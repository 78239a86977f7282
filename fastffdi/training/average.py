"""A moving average of a model's weights."""

from __future__ import annotations

from torch import nn


class Average:
    """timm's ModelEmaV3 of a model, whose decay begins low; it changes nothing of the model.

    Attributes:
        model: with the average of all weights and buffers, on the same device, in eval mode
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        from timm.utils import ModelEmaV3

        self._timms = ModelEmaV3(model, decay, use_warmup=True)
        self.model: nn.Module = self._timms.module.requires_grad_(False)

    def update(self, model: nn.Module, updates: int) -> None:
        """Take in the model, after so many updates; after the first, it is the average."""
        self._timms.update(model, step=updates)
