"""Several batches for one update."""

from __future__ import annotations

import torch

from fastffdi.training.optimiser import Optimiser


class Group:
    """Batches whose gradients make one update: that of the mean loss over all their valid images together."""

    def __init__(self, optimiser: Optimiser, batches: int) -> None:
        self._optimiser, self._batches = optimiser, batches
        self._begin()

    def _begin(self) -> None:
        self._usual = 0
        self._valid: torch.Tensor | float = 0.0

    def add(self, mean: torch.Tensor, images: int, valid: torch.Tensor, last: bool) -> torch.Tensor:
        """Add a batch: the mean loss of its valid images, how many images, and on the device how many valid.

        The last one makes the update. Returns the norm of its gradient times the valid images of the group, 0
        before: to be summed up.
        """
        # How many count in all is not known before the last one: until then, by as many as there usually are.
        self._usual = self._usual or images * self._batches
        self._optimiser.backward(mean * (valid / self._usual))
        self._valid = self._valid + valid
        if not last:
            return torch.zeros_like(valid)
        of, usual = self._valid, self._usual
        assert isinstance(of, torch.Tensor)
        self._begin()
        return self._optimiser.update(usual / of.clamp(min=1)) * of
