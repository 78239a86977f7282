"""What each process of a run has of its own, and how it is brought together where it counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from fastffdi.model.processes import Processes, statistics
from fastffdi.training.generators import Generators
from fastffdi.training.place import Place


@dataclass
class Ranks:
    """A Part of a run: of every process its generators, its sums over an epoch, and its BatchNorm statistics.

    A run that goes on with as many processes as it was stopped with has them all again. With another number
    of them, the sums are process 0's, the statistics are the mean, and the generators begin anew.

    Attributes:
        begun_with: how many processes there were where it went on from; None where it did not
    """

    processes: Processes
    generators: Generators
    place: Place
    models: tuple[nn.Module, ...]
    begun_with: int | None = None

    def state_dict(self) -> dict[str, Any]:
        """All that the processes have of their own; of one that is alone, its generators."""
        own = self.generators.state_dict()
        if self.processes.world.alone:
            return own
        copies = [buffer.detach().cpu() for buffer in statistics(*self.models)]
        return {
            "each": self.processes.all({"generators": own, "sums": self.place.means.sums(), "norms": copies})
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was called; to be called after the model's and the place's."""
        world = self.processes.world
        each = state.get("each") or [{"generators": state, "sums": self.place.means.sums(), "norms": None}]
        self.begun_with = len(each)
        if len(each) == world.size:
            self.generators.load_state_dict(each[world.rank]["generators"])
            self._restore(each[world.rank]["sums"], each[world.rank]["norms"])
            return
        total = np.sum([one["sums"] for one in each], axis=0).tolist()
        norms = [[*one["norms"]] for one in each if one["norms"] is not None]
        means = [torch.stack(same).mean(dim=0) for same in zip(*norms, strict=True)]
        self._restore(total if world.first else [0.0] * len(total), means or None)

    def _restore(self, sums: list[float], norms: list[torch.Tensor] | None) -> None:
        self.place.means.load_sums(sums)
        with torch.no_grad():
            for buffer, value in zip(statistics(*self.models), norms or [], strict=norms is not None):
                buffer.copy_(value)


def seed_apart(seed: int, processes: Processes) -> None:
    """Let torch's random numbers of each process be others, as the seed decides; one alone has its own."""
    if not processes.world.alone:
        own = np.random.SeedSequence([seed, processes.world.rank]).generate_state(1, np.uint64)
        torch.manual_seed(int(own[0]) >> 1)
