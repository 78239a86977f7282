"""Random numbers for images: each a pure function of where it is used.

Numbers come from a counter-based hash (the finaliser of splitmix64, Steele, Lea and Flood, "Fast splittable
pseudorandom number generators", OOPSLA 2014), so they do not depend on threads, ranks, batch size or history.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: Streams of numbers that do not belong to a step of the recipe.
MIX_STREAM = 1 << 32

#: Distance between the streams of a step for two consecutive views of an image.
VIEW_STREAMS = 1 << 16

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_TO_UNIT = 2.0**-53


@dataclass(frozen=True)
class CounterRNG:
    """Uniform numbers keyed by (seed, epoch, row, repeat, step)."""

    seed: int

    def uniform(
        self, epoch: int, rows: np.ndarray, repeats: np.ndarray, stream: int, draws: int
    ) -> np.ndarray:
        """(N, draws) float64 in [0, 1) for the images (rows, repeats), both (N,), of an epoch.

        `stream` is the step's position in the recipe, or one of the named streams of this module.
        """
        return self._uniform(epoch, rows, repeats, [(stream, k) for k in range(draws)])

    def steps(
        self, epoch: int, rows: np.ndarray, repeats: np.ndarray, draws: Sequence[int], first: int = 0
    ) -> list[np.ndarray]:
        """`uniform` for several steps at once: the one with draws[k] gets (N, draws[k]), stream first + k."""
        places = [(stream, k) for stream, count in enumerate(draws, first) for k in range(count)]
        ends = np.cumsum([0, *draws])
        numbers = self._uniform(epoch, rows, repeats, places)
        return [numbers[:, begin:end] for begin, end in itertools.pairwise(ends)]

    def _uniform(
        self, epoch: int, rows: np.ndarray, repeats: np.ndarray, places: list[tuple[int, int]]
    ) -> np.ndarray:
        key = np.zeros(1, np.uint64)
        for part in (self.seed, epoch, rows, repeats):
            key = _absorb(key, part)
        streams, counters = np.array(places, np.uint64).reshape(-1, 2).T
        bits = _absorb(_absorb(np.broadcast_to(key, rows.shape)[:, None], streams), counters)
        return (bits >> np.uint64(11)) * _TO_UNIT


def _absorb(key: np.ndarray, part: int | np.ndarray) -> np.ndarray:
    if isinstance(part, int):
        word = np.array([part & 0xFFFFFFFFFFFFFFFF], np.uint64)
    else:
        word = part.astype(np.uint64)
    return _scramble((key ^ word) + _GOLDEN)


def _scramble(word: np.ndarray) -> np.ndarray:
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))
