"""What is needed of a store, and how much of it is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastffdi.cache.index import ROW_BYTES
from fastffdi.cache.store import Store, capacities


@dataclass(frozen=True)
class Contents:
    """Images that are needed of one store, each once.

    Attributes:
        sizes: (N, 2) height, width
        there: (N,) bool: which are stored, also of files that have changed since
    """

    sizes: np.ndarray
    there: np.ndarray

    @property
    def stored(self) -> int:
        """How many of them are stored."""
        return int(np.count_nonzero(self.there))

    @property
    def bytes(self) -> int:
        """What they take when all are stored, with their rows in the index."""
        return _bytes(self.sizes)

    @property
    def missing_bytes(self) -> int:
        """What those will take that are not stored."""
        return _bytes(self.sizes[~self.there])


def contents(needed: Sequence[tuple[Path, np.ndarray, np.ndarray]]) -> list[Contents]:
    """What is needed of each store: its folder, digests of paths (N,) S16 and sizes (N, 2), in any parts.

    Raises SettingError where a store is damaged.
    """
    found = []
    for folder in dict.fromkeys(folder for folder, _, _ in needed):
        parts = [(paths, sizes) for other, paths, sizes in needed if other == folder]
        paths, sizes = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        paths, first = np.unique(paths, return_index=True)
        there = Store(folder).holds(paths) if folder.is_dir() else np.zeros(len(paths), bool)
        found.append(Contents(sizes[first], there))
    return found


def _bytes(sizes: np.ndarray) -> int:
    return int(capacities(sizes).sum()) + len(sizes) * ROW_BYTES
