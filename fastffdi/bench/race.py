"""Streams that take turns within a budget: what a turn costs is learnt from the first batches of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from fastffdi.bench.budget import Budget, Turns, share_out
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


def race(racers: Sequence[Racer], budget: Budget, progress: Callable[[str], None]) -> Turns:
    """Turns of all, in rounds, until each has had its turns or the time is over; what was planned.

    `progress` gets a name before each turn.
    """
    costs = _opened(racers, budget, progress)
    planned = share_out(costs, {racer.name: racer.weight for racer in racers}, budget.left)
    for number in range(planned.of_most()):
        still = [racer for racer in racers if not racer.ended and planned.counts[racer.name] > number]
        lengths = [max(costs[racer.name], planned.seconds * racer.weight) for racer in still]
        if number and budget.left < sum(lengths):
            break
        for racer, expected in zip(still, lengths, strict=True):
            if budget.left >= expected:
                progress(racer.name)
                racer.turn(planned.seconds * racer.weight, min(budget.left, PATIENCE * expected))
    for racer in racers:
        racer.settle()
        racer.cut |= len(racer.passes) == 1
    return planned


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
