"""The sampler: which rows an epoch visits, and when, as a pure function of (seed, epoch)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Sampler:
    """The rows of every epoch.

    Attributes:
        rows: how many rows the manifest has
        seed: with the epoch, decides the shuffle
        shuffle: False visits the rows in their order
        labels: (rows,) class of each row: given, smaller classes are repeated up to the largest one
        rank: this process's share, of `world` shares; shares are disjoint and complete
    """

    rows: int
    seed: int = 0
    shuffle: bool = True
    labels: np.ndarray | None = None
    rank: int = 0
    world: int = 1

    def __len__(self) -> int:
        """How many images one epoch of this share visits."""
        return len(range(self.rank, self._total(), self.world))

    def epoch(self, epoch: int, start: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Rows and repeats, each (n,) int64, from position `start` of this share on.

        `repeats` counts how often a row has come before in the same epoch.
        """
        key = np.array([self.seed & (2**64 - 1), epoch], np.uint64)
        generator = np.random.Generator(np.random.Philox(key=key))
        rows, repeats = self._visits(generator)
        if self.shuffle:
            shuffled = generator.permutation(len(rows))
            rows, repeats = rows[shuffled], repeats[shuffled]
        share = slice(self.rank, None, self.world)
        return rows[share][start:], repeats[share][start:]

    def _visits(self, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        if self.labels is None:
            return np.arange(self.rows), np.zeros(self.rows, np.int64)
        # Permuted, so that the rows of an incomplete last turn differ from epoch to epoch.
        members = [
            generator.permutation(np.flatnonzero(self.labels == label)) for label in np.unique(self.labels)
        ]
        turns = np.arange(max(map(len, members)))
        rows = np.concatenate([of_class[turns % len(of_class)] for of_class in members])
        repeats = np.concatenate([turns // len(of_class) for of_class in members])
        return rows, repeats

    def _total(self) -> int:
        if self.labels is None:
            return self.rows
        counts = np.unique(self.labels, return_counts=True)[1]
        return int(counts.max() * len(counts))


@dataclass(frozen=True)
class FixedRows:
    """The same rows in every epoch; takes the place of a planner's sampler.

    Attributes:
        rows, repeats: (N,) int64 as a sampler gives them
    """

    rows: np.ndarray
    repeats: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def epoch(self, epoch: int, start: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """See Sampler.epoch."""
        return self.rows[start:], self.repeats[start:]


@dataclass(frozen=True)
class Repeated:
    """The rows of a sampler, each several times in succession; a row's k-th time is repeat k."""

    sampler: Sampler | FixedRows
    times: int

    def __len__(self) -> int:
        return len(self.sampler) * self.times

    def epoch(self, epoch: int, start: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """As Sampler.epoch."""
        rows, _ = self.sampler.epoch(epoch)
        return np.repeat(rows, self.times)[start:], np.tile(np.arange(self.times), len(rows))[start:]
