"""Optimiser and learning-rate schedule: backward, clipping, update, next rate."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from fastffdi.errors import SettingError
from fastffdi.training.optimisation import Optimisation
from fastffdi.training.schedule import schedule, warm_up


class Optimiser:
    """One of timm's optimisers under a schedule; parameters first, then the schedule.

    Those of the model's weights take part that require a gradient when it is made; of these, an update leaves
    out those that have none.

    Args:
        updates: in all, which the schedule needs
        per_epoch: of these, in an epoch

    Attributes:
        inner: the torch optimiser
        updates: that were made so far, those before a resumption included
    """

    def __init__(
        self,
        model: nn.Module,
        learning_rate: float,
        updates: int,
        scaler: torch.amp.GradScaler,
        how: Optimisation | None = None,
        per_epoch: float = 1.0,
    ):
        how = Optimisation() if how is None else how
        self.inner = _made(model, learning_rate, how)
        self._schedule = schedule(self.inner, how, learning_rate, updates, per_epoch)
        self._warm_up = warm_up(how, updates)
        self._clip, self._scaler = how.clip_gradient, scaler
        self.updates = 0
        self._schedule.at(0)

    @property
    def learning_rate(self) -> float:
        """The rate of the next update; the highest one, where layers have their own."""
        return max(float(group["lr"]) for group in self.inner.param_groups)

    @property
    def warm_up(self) -> int:
        """In how many updates the learning rate rises."""
        return self._warm_up

    def step(self, loss: torch.Tensor) -> torch.Tensor:
        """Backward, update, next learning rate. `loss` is a scalar with a graph; returns as `update`."""
        self.backward(loss)
        return self.update()

    def backward(self, loss: torch.Tensor) -> None:
        """Add the gradient of a loss to what the next update has."""
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]

    def update(self, factor: torch.Tensor | None = None) -> torch.Tensor:
        """Update along the gradient, `factor` times what it is; then the next learning rate.

        Returns the norm that the gradient had, on the device: a scalar, for which nothing has waited.
        """
        self._scaler.unscale_(self.inner)
        norm = self._norm_of_scaled(factor)
        self._scaler.step(self.inner)
        self._scaler.update()
        self.inner.zero_grad(set_to_none=True)
        self.updates += 1
        self._schedule.at(self.updates)
        return norm

    def _norm_of_scaled(self, factor: torch.Tensor | None) -> torch.Tensor:
        """Scale the gradient, clip it, and return its norm in between."""
        weights = [weight for group in self.inner.param_groups for weight in group["params"]]
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        if factor is not None and gradients:
            torch._foreach_mul_(gradients, factor)
        norm = torch.nn.utils.get_total_norm(gradients)
        if self._clip is not None:
            torch.nn.utils.clip_grads_with_norm_(weights, self._clip, norm)
        return norm

    def state_dict(self) -> dict[str, Any]:
        """What the next update depends on besides weights and gradients: moments, schedule and scale."""
        return {
            "inner": self.inner.state_dict(),
            "schedule": self._schedule.state_dict(),
            "updates": self.updates,
            "scaler": self._scaler.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was called. Raises ValueError for the state of another model."""
        self.inner.load_state_dict(dict(state["inner"]))
        for weight, moments in self.inner.state.items():
            for name, moment in moments.items():
                if isinstance(moment, torch.Tensor) and moment.shape == weight.shape:
                    # As the optimiser had made it, channels-last where the weight is: along other strides
                    # torch may round otherwise.
                    moments[name] = torch.empty_like(weight, dtype=moment.dtype).copy_(moment)
        self._schedule.load_state_dict(state["schedule"])
        self._scaler.load_state_dict(state["scaler"])
        self.updates = state["updates"]
        self._schedule.at(self.updates)


def _made(model: nn.Module, learning_rate: float, how: Optimisation) -> torch.optim.Optimizer:
    """Raises SettingError where the optimiser does not go with the model."""
    from timm.optim import create_optimizer_v2

    # On CUDA a few kernels for all parameters together, which take the scaler's factor and verdict as
    # tensors: unfused, fp16 makes the host wait for the device at every step.
    fused = {"fused": True} if _on_cuda(model) and _can_be_fused(how.optimiser) else {}
    try:
        made: torch.optim.Optimizer = create_optimizer_v2(
            model,
            how.optimiser,
            lr=learning_rate,
            weight_decay=how.weight_decay,
            momentum=how.momentum,
            layer_decay=how.layer_decay,
            **fused,
        )
    except (AssertionError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise SettingError(
            f"optimiser {how.optimiser}: timm cannot make it ({reason}); change its settings, or take adamw"
        ) from error
    return made


def _can_be_fused(name: str) -> bool:
    from timm.optim import get_optimizer_class

    return "fused" in inspect.signature(get_optimizer_class(name, bind_defaults=False)).parameters


def _on_cuda(model: nn.Module) -> bool:
    return all(weight.is_cuda for weight in model.parameters())
