"""Optimiser and learning-rate schedule, both timm's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

#: AdamW's decoupled weight decay; biases and norms are left out, as timm does.
WEIGHT_DECAY = 0.05

#: The part of all updates in which the learning rate rises from a hundredth to its full value.
WARM_UP = 0.15


class Optimiser:
    """AdamW under one cosine with a warm-up, stepped once per batch; parameters first, then the schedule.

    Attributes:
        updates: that were made so far, those before a resumption included
    """

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
        self.updates = 0
        self._schedule.step_update(0)

    @property
    def learning_rate(self) -> float:
        """The rate of the next update."""
        return float(self.adamw.param_groups[0]["lr"])

    @property
    def warm_up(self) -> int:
        """In how many updates the learning rate rises."""
        return int(self._schedule.warmup_t)

    def step(self, loss: torch.Tensor) -> None:
        """Backward, update, next learning rate. `loss` is a scalar with a graph."""
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self._scaler.step(self.adamw)
        self._scaler.update()
        self.adamw.zero_grad(set_to_none=True)
        self.updates += 1
        self._schedule.step_update(self.updates)

    def state_dict(self) -> dict[str, Any]:
        """What the next update depends on besides weights and gradients: moments, schedule and scale."""
        return {
            "adamw": self.adamw.state_dict(),
            "updates": self.updates,
            "scaler": self._scaler.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was called. Raises ValueError for the state of another model."""
        self.adamw.load_state_dict(dict(state["adamw"]))
        for weight, moments in self.adamw.state.items():
            for name, moment in moments.items():
                if moment.shape == weight.shape:
                    # As the optimiser had made it, channels-last where the weight is: along other strides
                    # torch may round otherwise.
                    moments[name] = torch.empty_like(weight, dtype=moment.dtype).copy_(moment)
        self._scaler.load_state_dict(state["scaler"])
        self.updates = state["updates"]
        self._schedule.step_update(self.updates)


def _on_cuda(model: nn.Module) -> bool:
    return all(weight.is_cuda for weight in model.parameters())
