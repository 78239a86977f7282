"""What the quick protocol is given: a minute, and where its processes start."""

from __future__ import annotations

from dataclasses import dataclass
from multiprocessing.context import BaseContext

from fastffdi.bench.budget import Budget, quick_budget
from fastffdi.bench.processes import fresh_processes


@dataclass(frozen=True)
class Minute:
    """A budget that is running.

    Attributes:
        context: where the loaders' processes start
        fixed_batch: keep the batch size also for large images
    """

    budget: Budget
    context: BaseContext
    fixed_batch: bool = False


def begin(fixed_batch: bool = False) -> Minute:
    """A minute that begins now; what the processes need is imported meanwhile."""
    return Minute(quick_budget(), fresh_processes("fastffdi.bench.timed_loader"), fixed_batch)
