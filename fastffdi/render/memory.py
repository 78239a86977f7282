"""Host memory for batches, used again and again: pages that are new to the process are cleared one by one."""

from __future__ import annotations

import math
import weakref
from collections import deque
from collections.abc import Sequence

import numpy as np
import torch


class Pool:
    """Lends memory to tensors; it comes back when nothing refers to a tensor or a view of it any more.

    A consumer may keep what it was given for as long as it likes: meanwhile others get other memory. May be
    used from many threads.

    Args:
        spare: the most blocks that are kept while nobody has them
    """

    def __init__(self, spare: int) -> None:
        self._free: deque[np.ndarray] = deque(maxlen=spare)

    def empty(self, shape: Sequence[int], dtype: torch.dtype = torch.uint8) -> torch.Tensor:
        """A tensor on the CPU of any values, contiguous."""
        nbytes = math.prod(shape) * dtype.itemsize
        block = self._block(nbytes)
        lent = block[:nbytes]  # an object of its own, which the tensor's storage keeps alive
        weakref.finalize(lent, self._free.append, block).atexit = False
        return torch.from_numpy(lent).view(dtype).view(*shape)

    def _block(self, nbytes: int) -> np.ndarray:
        """(B,) uint8, at least so large: the one that came back last, or a new one in its stead."""
        try:
            block = self._free.pop()
        except IndexError:
            return np.empty(nbytes, np.uint8)  # by numpy, which asks for huge pages where the system has them
        return block if len(block) >= nbytes else np.empty(nbytes, np.uint8)
