"""Timing streams of batches, and statistics over several turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fastffdi.bench.processes import cpu_seconds


@dataclass(frozen=True)
class Quartiles:
    """Median and quartiles of some measurements, in their unit."""

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


def median_ratio(rates: Sequence[float], others: Sequence[float]) -> float:
    """The median of the ratios of each round, in which a machine that slows down slows both sides."""
    return statistics.median(own / other for own, other in zip(rates, others, strict=True))


def speed_data(rates: Sequence[float], digits: int = 1) -> dict[str, Any]:
    """The images/s of all turns as plain data; None where there are none."""
    return {
        "images_per_second": Quartiles.of(rates).to_data() if rates else None,
        "images_per_second_each": [round(rate, digits) for rate in rates],
    }


@dataclass(frozen=True)
class Pass:
    """What was counted in one turn of a stream.

    Attributes:
        cpu_seconds: user and system time of this process and its children
    """

    images: int
    batches: int
    seconds: float
    cpu_seconds: float

    @property
    def rate(self) -> float:
        """Images/s."""
        return self.images / self.seconds

    @property
    def cpu_seconds_per_1000(self) -> float:
        """CPU seconds per 1000 images."""
        return 1000 * self.cpu_seconds / self.images


def timed_pass(arrivals: Iterator[int], seconds: float, warmup: int, group: int) -> Pass:
    """Time a stream that gives the number of images of each batch when the batch has arrived.

    Args:
        seconds: least length of the pass
        warmup: batches that are not counted: those that were ready before, and what a start costs
        group: the pass ends on a multiple of so many batches: worker processes that make a batch each deliver
            in bursts of as many as they are, and part of a burst would distort the rate
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
    return Pass(images, batches, now - began, cpu_seconds() - used)


#: How often a growing pass is told, at most.
_PERIOD_SECONDS = 0.25


def growing_pass(
    arrivals: Iterator[int], seconds: float, group: int, most: float
) -> Iterator[tuple[Pass, bool]]:
    """A pass so far, several times while it grows, and whether it has ended.

    It ends on a multiple of `group` batches after `seconds`, but after `most` seconds with any batch.
    """
    used = cpu_seconds()
    began = told = time.perf_counter()
    images = batches = 0
    ended = False
    while not ended:
        images += next(arrivals)
        batches += 1
        now = time.perf_counter()
        ended = now - began >= (most if batches % group else seconds)
        if ended or now - told >= _PERIOD_SECONDS:
            told = now
            yield Pass(images, batches, now - began, cpu_seconds() - used), ended
