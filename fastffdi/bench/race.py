"""Streams that take turns within a budget: what a turn costs is learnt from the first batches of each."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

from fastffdi.bench.budget import MOST_TURNS, Budget, turn_seconds
from fastffdi.bench.stopwatch import Pass, timed_pass
from fastffdi.bench.stream import Stream

#: A turn that takes so many times as long as expected is ended.
PATIENCE = 2


class Racer(Protocol):
    """What `race` runs.

    Attributes:
        weight: length of its turns beside those of others
        passes: what was counted, turn by turn
        cut: whether time sufficed for one turn only, or for part of one
        problem: why there is nothing to count
        ended: whether it takes no more turns
    """

    name: str
    ceiling: bool
    weight: float
    passes: list[Pass]
    cut: bool
    problem: str | None

    @property
    def ended(self) -> bool: ...

    def open(self, within: float) -> float:
        """Start it, in at most so many seconds; the seconds that its shortest turn takes."""

    def turn(self, seconds: float, within: float) -> None:
        """Count for so many seconds, or until `within` seconds are over."""

    def settle(self) -> None:
        """Where there was no turn: let what was counted while it started be one, cut short."""


def race(racers: Sequence[Racer], budget: Budget, progress: Callable[[str], None]) -> float:
    """Turns of all, in rounds, at most MOST_TURNS, while a round fits in the time; the seconds of a turn.

    Where a second round does not fit, those with the costliest turns stay out of it. `progress` gets a name
    before each turn.
    """
    costs = _opened(racers, budget, progress)
    seconds = turn_seconds(costs, {racer.name: racer.weight for racer in racers}, budget.left)
    for number in range(MOST_TURNS):
        ready = [racer for racer in racers if not racer.ended and len(racer.passes) == number]
        lengths = {racer.name: max(costs[racer.name], seconds * racer.weight) for racer in ready}
        if number == 1:
            lengths = _fitting(lengths, budget.left)
        elif number and budget.left < sum(lengths.values()):
            break
        for racer in ready:
            if budget.left >= lengths.get(racer.name, math.inf):
                progress(racer.name)
                costs[racer.name] = _turn(racer, seconds, budget, lengths[racer.name])
    for racer in racers:
        racer.settle()
        racer.cut |= len(racer.passes) == 1
    return seconds


def _fitting(lengths: dict[str, float], left: float) -> dict[str, float]:
    """Those of the seconds, by name, that fit together: without the longest."""
    found = dict(sorted(lengths.items(), key=lambda item: item[1]))
    while sum(found.values()) > left:
        found.popitem()
    return found


def _turn(racer: Racer, seconds: float, budget: Budget, expected: float) -> float:
    """A turn, and how long it took."""
    before = budget.left
    racer.turn(seconds * racer.weight, min(before, PATIENCE * expected))
    return before - budget.left


def _opened(racers: Sequence[Racer], budget: Budget, progress: Callable[[str], None]) -> dict[str, float]:
    """Seconds of the shortest turn of each that could be started, each within its part of the time."""
    costs = {}
    for k, racer in enumerate(racers):
        if racer.ended:
            continue
        progress(racer.name)
        waiting = sum(other.weight for other in racers[k:])
        # More than its part, since others that need less leave the rest to the turns.
        cost = racer.open(budget.left * 2 * racer.weight / (waiting + 2))
        if not racer.ended:
            costs[racer.name] = cost
    return costs


class Reopened:
    """A stream in this process that is started anew for each turn, so that it does no work between them.

    Args:
        warmup: batches of each turn that are not counted
    """

    def __init__(self, stream: Stream, weight: float, warmup: int) -> None:
        self.name, self.ceiling, self.problem = stream.name, stream.ceiling, stream.problem
        self.weight, self.cut, self._stream, self._warmup = weight, False, stream, warmup
        self.passes: list[Pass] = []
        self._opening: Pass | None = None

    @property
    def ended(self) -> bool:
        return self.problem is not None

    def open(self, within: float) -> float:
        """See Racer; it is timed from opening to closing."""
        budget = Budget(within)
        self._opening = self._timed(0.0)
        return within - budget.left

    def turn(self, seconds: float, within: float) -> None:
        """See Racer; `within` is left unused, since a ceiling's batches take no time to speak of."""
        self.passes.append(self._timed(seconds))

    def settle(self) -> None:
        """See Racer."""
        if not self.passes and self._opening is not None:
            self.passes, self.cut = [self._opening], True

    def _timed(self, seconds: float) -> Pass:
        stream = self._stream
        with stream.open() as arrivals:
            return timed_pass(arrivals, max(seconds, 1e-3), self._warmup, stream.group)
