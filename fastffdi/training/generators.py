"""The random numbers that torch draws in a run, for dropout and the like; those of images are others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Generators:
    """Where torch's generators are: the CPU's, and that of the device where it is another."""

    device: torch.device

    def state_dict(self) -> dict[str, Any]:
        """The states, each a tensor of bytes on the CPU."""
        own = {"device": torch.cuda.get_rng_state(self.device)} if self.device.type == "cuda" else {}
        return {"cpu": torch.get_rng_state(), **own}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Let torch go on where `state_dict` was called."""
        torch.set_rng_state(state["cpu"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(state["device"], self.device)
