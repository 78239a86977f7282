"""Optimiser and learning-rate schedule, both timm's."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

#: AdamW's decoupled weight decay; biases and norms are left out, as timm does.
WEIGHT_DECAY = 0.05

#: The part of all updates in which the learning rate rises from a hundredth to its full value.
WARM_UP = 0.15


class Optimiser:
    """AdamW under one cosine with a warm-up, stepped once per batch; parameters first, then the schedule."""

    def __init__(self, model: nn.Module, learning_rate: float, updates: int, scaler: torch.amp.GradScaler):
        from timm.optim import create_optimizer_v2
        from timm.scheduler import CosineLRScheduler

        # On CUDA a few kernels for all parameters together, which take the scaler's factor and verdict as
        # tensors: unfused, fp16 makes the host wait for the device at every step.
        fused = {"fused": True} if _on_cuda(model) else {}
        self.adamw = create_optimizer_v2(model, "adamw", lr=learning_rate, weight_decay=WEIGHT_DECAY, **fused)
        warm_up = max(1, round(updates * WARM_UP))
        self._schedule: Any = CosineLRScheduler(
            self.adamw,
            t_initial=max(2, updates - warm_up),  # of 1, timm would say that it has no effect
            lr_min=learning_rate * 1e-3,
            warmup_t=warm_up,
            warmup_lr_init=learning_rate * 1e-2,
            warmup_prefix=True,
            t_in_epochs=False,
        )
        self._scaler = scaler
        self._updates, self._highest = 0, 0.0
        self._schedule.step_update(0)

    @property
    def learning_rate(self) -> float:
        """The rate of the next update."""
        return float(self.adamw.param_groups[0]["lr"])

    def highest_rate(self) -> float:
        """The highest rate of the updates since the last call."""
        highest, self._highest = self._highest, 0.0
        return highest

    def step(self, loss: torch.Tensor) -> None:
        """Backward, update, next learning rate. `loss` is a scalar with a graph."""
        self._highest = max(self._highest, self.learning_rate)
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self._scaler.step(self.adamw)
        self._scaler.update()
        self.adamw.zero_grad(set_to_none=True)
        self._updates += 1
        self._schedule.step_update(self._updates)


def _on_cuda(model: nn.Module) -> bool:
    return all(weight.is_cuda for weight in model.parameters())
