"""Timing streams of batches: what a pass is, and what several passes say together."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from fastffdi.bench.processes import cpu_seconds


@dataclass(frozen=True)
class Quartiles:
    """The middle of some measurements and the range of the middle half, in their unit."""

    median: float
    q25: float
    q75: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Quartiles:
        """Of at least one value, interpolated linearly between neighbours."""
        q25, median, q75 = np.percentile(np.asarray(values, float), [25, 50, 75]).tolist()
        return cls(median, q25, q75)

    def to_data(self, digits: int = 1) -> dict[str, float]:
        """Rounded to so many decimals."""
        return {name: round(value, digits) for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Pass:
    """What was counted of a stream, in how many seconds.

    cpu_seconds  user and system time of this process and those it has started
    """

    images: int
    batches: int
    seconds: float
    cpu_seconds: float

    @property
    def rate(self) -> float:
        """img/s"""
        return self.images / self.seconds

    @property
    def cpu_seconds_per_1000(self) -> float:
        """CPU seconds per 1000 images."""
        return 1000 * self.cpu_seconds / self.images


def timed_pass(arrivals: Iterator[int], seconds: float, warmup: int, group: int) -> Pass:
    """Time a stream that gives the number of images of each batch when the batch is there.

    seconds  the pass lasts at least so long
    warmup   batches not counted: what lay ready, and what it takes to reach full speed again
    group    the pass ends on a multiple of so many batches. Workers that make a batch each deliver in bursts
             of as many as they are; a pass that ends amid a burst would be too long or too short
    """
    for _ in range(warmup):
        next(arrivals)
    used = cpu_seconds()
    began = now = time.perf_counter()
    images = batches = 0
    while now - began < seconds or batches % group:
        images += next(arrivals)
        batches += 1
        now = time.perf_counter()
    cpu = cpu_seconds() - used
    return Pass(images, batches, now - began, cpu)
