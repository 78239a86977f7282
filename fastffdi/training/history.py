"""The epochs of a run so far, and which of them is the best."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from fastffdi.training.result import EpochResult


class History:
    """The figures of every epoch that is over.

    Attributes:
        results: in their order
        times: when each was over, in seconds since 1970
    """

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self.results: list[EpochResult] = []
        self.times: list[float] = []

    def add(self, result: EpochResult) -> bool:
        """Add the next epoch, which is over now; whether it is the best so far."""
        self.results.append(replace(result, scores=None))
        self.times.append(time.time())
        return self.best is self.results[-1]

    @property
    def best(self) -> EpochResult | None:
        """The first of those with the highest AUC; None before the first epoch."""
        return max(self.results, key=lambda result: rank(result.validation), default=None)

    @property
    def since_best(self) -> int:
        """How many epochs there are since the best one."""
        return 0 if self.best is None else len(self.results) - 1 - self.results.index(self.best)

    @property
    def seconds(self) -> float:
        """Of running, without what lay between two processes, or was lost with one."""
        return time.perf_counter() - self._began

    def state_dict(self) -> dict[str, Any]:
        """The epochs as plain data."""
        return {
            "results": [asdict(result) for result in self.results],
            "times": self.times,
            "seconds": self.seconds,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Hold what `state_dict` gave."""
        self.results = [EpochResult(**result) for result in state["results"]]
        self.times = list(state["times"])
        self._began = time.perf_counter() - state["seconds"]


def rank(validation: Mapping[str, float | None]) -> float:
    """Higher is better: AUC, or less loss where one class is absent and AUC is undefined."""
    auc, loss = validation["auc"], validation["log_loss"]
    return auc if auc is not None else -(loss or 0.0)
