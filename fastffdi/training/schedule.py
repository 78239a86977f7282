"""Learning-rate schedules, timm's and torch's: a rate for every update."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch

from fastffdi.training.optimisation import Optimisation

#: What the rate begins and ends with, as shares of the highest one.
FIRST, LAST = 1e-2, 1e-3

#: What timm calls them: a polynomial of power 1, and steps by a factor of 1.
_TIMMS = {"linear": "poly", "constant": "step"}


class Schedule(Protocol):
    """Sets the learning rates of an optimiser."""

    def at(self, updates: int) -> None:
        """Set those of the update after so many: one after the other, from `load_state_dict` on."""

    def state_dict(self) -> Mapping[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


def schedule(
    optimiser: torch.optim.Optimizer, how: Optimisation, rate: float, updates: int, per_epoch: float
) -> Schedule:
    """That of a run of so many updates in all, and in an epoch; `rate` is the highest."""
    if how.schedule == "one-cycle":
        return _OneCycle(optimiser, how, rate, updates)
    return _Timms(optimiser, how, rate, updates, per_epoch)


def warm_up(how: Optimisation, updates: int) -> int:
    """In how many updates the rate rises, of so many in all."""
    return max(1, round(updates * how.warmup)) if how.warmup else 0


class _Timms:
    """One of timm's, which follows from the number of updates alone."""

    def __init__(
        self, optimiser: torch.optim.Optimizer, how: Optimisation, rate: float, updates: int, per_epoch: float
    ) -> None:
        from timm.scheduler import create_scheduler_v2

        rising, steps = warm_up(how, updates), how.schedule == "step"
        # In updates instead of epochs.
        self._timms, _ = create_scheduler_v2(
            optimiser,
            _TIMMS.get(how.schedule, how.schedule),
            num_epochs=max(2, updates - rising),  # of 1, timm would say that it has no effect
            decay_epochs=max(1, how.decay_every * per_epoch),
            decay_rate=how.decay_rate if steps else 1.0,  # and the power of what is linear
            min_lr=rate * LAST,
            warmup_epochs=rising,
            warmup_lr=rate * FIRST,
            warmup_prefix=not steps,  # whose steps are at the borders of epochs
            step_on_epochs=False,
            updates_per_epoch=1,
        )

    def at(self, updates: int) -> None:
        self._timms.step_update(updates)

    def state_dict(self) -> Mapping[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        pass


class _OneCycle:
    """torch's, of the rate alone: momentum stays as it is."""

    def __init__(
        self, optimiser: torch.optim.Optimizer, how: Optimisation, rate: float, updates: int
    ) -> None:
        self._torchs = torch.optim.lr_scheduler.OneCycleLR(
            optimiser,
            [rate * group.get("lr_scale", 1.0) for group in optimiser.param_groups],
            total_steps=updates + 1,  # the last of which comes when all are over
            pct_start=how.warmup,
            cycle_momentum=False,
            div_factor=1 / FIRST,
            final_div_factor=FIRST / LAST,
        )

    def at(self, updates: int) -> None:
        if updates > self._torchs.last_epoch:
            self._torchs.step()

    def state_dict(self) -> Mapping[str, Any]:
        return self._torchs.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._torchs.load_state_dict(dict(state))
