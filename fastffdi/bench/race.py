"""Streams that take turns within a budget: what a turn costs is learnt from the first batches of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from fastffdi.bench.budget import LONGEST_SECONDS, MOST_TURNS, SHORTEST_SECONDS, Budget, turn_seconds
from fastffdi.bench.stopwatch import Pass, timed_pass
from fastffdi.bench.stream import Stream

#: A turn that takes so many times as long as expected is ended.
PATIENCE = 2

#: Part of the time that is left for which turns are planned, since some take longer.
_PLANNED = 0.95


class Racer(Protocol):
    """What `race` runs.

    Attributes:
        weight: length of its turns beside those of others
        cost: seconds of its shortest turn, by the last one, or its start
        passes: what was counted, turn by turn
        cut: whether time sufficed for one turn only, or for part of one
        problem: why there is nothing to count
        ended: whether it takes no more turns
    """

    name: str
    ceiling: bool
    weight: float
    cost: float
    passes: list[Pass]
    cut: bool
    problem: str | None

    @property
    def ended(self) -> bool: ...

    def open(self, within: float) -> None:
        """Start it, in at most so many seconds."""

    def turn(self, seconds: float, within: float) -> None:
        """Count for so many seconds, or until `within` seconds are over."""

    def settle(self) -> None:
        """Where there was no turn: let what was counted while it started be one, cut short."""


def race(racers: Sequence[Racer], budget: Budget, progress: Callable[[str], None]) -> float:
    """Turns of all, in at most MOST_TURNS rounds, while one fits in the time; the least seconds of a turn.

    Where a second round does not fit, those with the costliest turns stay out of it. `progress` gets a name
    before each turn.
    """
    _open(racers, budget, progress)
    planned = [LONGEST_SECONDS]
    for number in range(MOST_TURNS):
        ready = [racer for racer in racers if not racer.ended and len(racer.passes) == number]
        left = _PLANNED * budget.left
        fitting = _fitting(ready, left) if number else ready
        if not fitting or (number > 1 and len(fitting) < len(ready)):
            break
        planned.append(_planned(fitting, left, number))
        for racer in fitting:
            expected = max(racer.cost, planned[-1] * racer.weight)
            if budget.left >= expected:
                progress(racer.name)
                racer.turn(planned[-1] * racer.weight, min(budget.left, PATIENCE * expected))
    for racer in racers:
        racer.settle()
        racer.cut |= len(racer.passes) == 1
    return min(planned)


def _fitting(racers: Sequence[Racer], left: float) -> list[Racer]:
    """Those of which a short turn fits in the time, in their order: without the costliest."""
    lengths = {racer.name: max(racer.cost, SHORTEST_SECONDS * racer.weight) for racer in racers}
    while sum(lengths.values()) > left:
        del lengths[max(lengths, key=lambda name: lengths[name])]
    return [racer for racer in racers if racer.name in lengths]


def _planned(racers: Sequence[Racer], left: float, number: int) -> float:
    """Seconds of a turn from this round on; in the first one a second is reckoned with."""
    costs = {racer.name: racer.cost for racer in racers}
    weights = {racer.name: racer.weight for racer in racers}
    return turn_seconds(costs, weights, left, MOST_TURNS - number, 1 if number else 2)


def _open(racers: Sequence[Racer], budget: Budget, progress: Callable[[str], None]) -> None:
    """Start all, each within its part of the time."""
    for k, racer in enumerate(racers):
        if not racer.ended:
            progress(racer.name)
            waiting = sum(other.weight for other in racers[k:])
            # More than its part, since others that need less leave the rest to the turns.
            racer.open(budget.left * 2 * racer.weight / (waiting + 2))


class Reopened:
    """A stream in this process that is started anew for each turn, so that it does no work between them.

    Args:
        warmup: batches of each turn that are not counted
    """

    def __init__(self, stream: Stream, weight: float, warmup: int) -> None:
        self.name, self.ceiling, self.problem = stream.name, stream.ceiling, stream.problem
        self.weight, self.cut, self._stream, self._warmup = weight, False, stream, warmup
        self.cost = 0.0
        self.passes: list[Pass] = []
        self._opening: Pass | None = None

    @property
    def ended(self) -> bool:
        return self.problem is not None

    def open(self, within: float) -> None:
        """See Racer; `within` is left unused, since a ceiling's batches take no time to speak of."""
        self._opening = self._timed(0.0)

    def turn(self, seconds: float, within: float) -> None:
        """See Racer; `within` is left unused as well."""
        self.passes.append(self._timed(seconds))

    def settle(self) -> None:
        """See Racer."""
        if not self.passes and self._opening is not None:
            self.passes, self.cut = [self._opening], True

    def _timed(self, seconds: float) -> Pass:
        """A pass; all else that it takes, from starting to ending the stream, is part of the cost."""
        stream, began = self._stream, time.perf_counter()
        with stream.open() as arrivals:
            timed = timed_pass(arrivals, max(seconds, 1e-3), self._warmup, stream.group)
        rest = time.perf_counter() - began - timed.seconds
        self.cost = rest + timed.seconds * stream.group / timed.batches
        return timed
