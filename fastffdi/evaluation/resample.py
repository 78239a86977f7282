"""Resamples of a set of scored images, many at once: how many of each class have each score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from fastffdi.evaluation.metrics import Scores

T = TypeVar("T")


@dataclass(frozen=True)
class Resample:
    """Some resamples of a set of images, R of them, by its K distinct scores.

    Attributes:
        scores: (K,) float64, ascending
        reals, fakes: (R, K) float64, whole numbers: how many images have that score
        known: what was worked out from the scores alone, by name; all resamples of a set share it
    """

    scores: Scores
    reals: NDArray[np.float64]
    fakes: NDArray[np.float64]
    known: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def of_scores(self, name: str, work_out: Callable[[Scores], T]) -> T:
        """What a function gives for the scores, worked out once for all resamples of a set."""
        if name not in self.known:
            self.known[name] = work_out(self.scores)
        return cast(T, self.known[name])

    @cached_property
    def reals_below(self) -> NDArray[np.float64]:
        """(R, K + 1): how many reals have a lower score; in the last column, all of them."""
        return _below(self.reals)

    @cached_property
    def fakes_below(self) -> NDArray[np.float64]:
        """(R, K + 1): how many fakes have a lower score; in the last column, all of them."""
        return _below(self.fakes)

    @property
    def counts(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """How many reals (R,) and fakes (R,) there are."""
        return self.reals_below[:, -1], self.fakes_below[:, -1]

    @property
    def fpr(self) -> NDArray[np.float64]:
        """(R, K): the share of reals that have that score or a higher one."""
        return _share_above(self.reals_below)

    @property
    def tpr(self) -> NDArray[np.float64]:
        """(R, K): the share of fakes that have that score or a higher one."""
        return _share_above(self.fakes_below)

    def rates(self, places: NDArray[np.intp]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """FPR (R,) and TPR (R,) at one of the scores each; place K is above all of them."""
        rows = np.arange(len(places))
        fpr, tpr = (
            (below[:, -1] - below[rows, places]) / below[:, -1]
            for below in (self.reals_below, self.fakes_below)
        )
        return fpr, tpr

    def first(self, holds: Callable[[NDArray[np.intp]], NDArray[np.bool_]]) -> NDArray[np.intp]:
        """(R,) the first place, of 0 to K, where something holds that holds from there on, at K at least."""
        low, high = np.zeros(len(self.reals), np.intp), np.full(len(self.reals), len(self.scores))
        while (low < high).any():
            middle = (low + high) // 2
            found = holds(middle)
            low, high = np.where(found, low, middle + 1), np.where(found, middle, high)
        return low

    @cached_property
    def steps(self) -> Steps:
        """The scores that fakes have."""
        count, places = self.fakes.shape
        flat = np.flatnonzero(self.fakes > 0)
        starts = np.searchsorted(flat, np.arange(count) * places)
        # Where these are in arrays that are one place wider.
        wide = flat + np.repeat(np.arange(count), np.diff(starts, append=len(flat)))
        reals, fakes = self.reals.ravel()[flat], self.fakes.ravel()[flat]
        return Steps(starts, reals, fakes, self.reals_below.ravel()[wide], self.fakes_below.ravel()[wide])


@dataclass(frozen=True)
class Steps:
    """The scores that fakes have, S of them in all R resamples, one resample after the other.

    Attributes:
        starts: (R,) where each resample begins
        reals, fakes: (S,) how many images have that score
        reals_below, fakes_below: (S,) how many have a lower one
    """

    starts: NDArray[np.intp]
    reals: NDArray[np.float64]
    fakes: NDArray[np.float64]
    reals_below: NDArray[np.float64]
    fakes_below: NDArray[np.float64]

    def sums(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(R,) the sum of values (S,) over each resample."""
        return np.asarray(np.add.reduceat(values, self.starts))

    def of_each(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(S,) the value of the resample that each belongs to, of (R,)."""
        return np.repeat(values, np.diff(self.starts, append=len(self.fakes)))


def _below(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    below = np.zeros((len(counts), counts.shape[1] + 1))
    np.cumsum(counts, axis=1, out=below[:, 1:])
    return below


def _share_above(below: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((below[:, -1:] - below[:, :-1]) / below[:, -1:])
