"""A fixed time, and how it is shared out among streams that take turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

#: What the quick protocol may take from the start of the command to its end.
QUICK_SECONDS = 60.0

#: Of these, what Python's start, ending the processes, the table, the record and Python's end may take.
RESERVE_SECONDS = 5.0

#: Turns of a loader at the most, and the least and the most that a turn should take.
MOST_TURNS, SHORTEST_SECONDS, LONGEST_SECONDS = 5, 1.0, 3.0


class Budget:
    """Seconds from now on, by a clock that never goes back."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds, self._clock = seconds, clock
        self._end = clock() + seconds

    @property
    def left(self) -> float:
        """Seconds that are left; 0 once there are none."""
        return max(0.0, self._end - self._clock())

    def part(self, share: float) -> Budget:
        """A budget of this share, 0 to 1, of what is left."""
        return Budget(share * self.left, self._clock)


def quick_budget() -> Budget:
    """What remains for measuring of QUICK_SECONDS that begin now."""
    return Budget(QUICK_SECONDS - RESERVE_SECONDS)


def turn_seconds(
    costs: Mapping[str, float], weights: Mapping[str, float], left: float, most: int, least: int = 1
) -> float:
    """How long turns of weight 1 should be, so that as many as possible fit in the time that is left.

    That is from `least` to `most` turns of each. Where the least of all are too many, those with the
    costliest turns are taken to have one.

    Args:
        costs: seconds of the shortest turn, by name
        weights: of the streams' turns beside each other, by name
        left: seconds for all of them
    """
    several = dict(sorted(costs.items(), key=lambda item: item[1]))

    def taken(seconds: float) -> float:
        return sum(max(cost, seconds * weights[name]) for name, cost in several.items())

    while several and least * taken(SHORTEST_SECONDS) > left:
        _, cost = several.popitem()
        left -= min(cost, left / 2)
    turns = next((n for n in range(most, least, -1) if n * taken(SHORTEST_SECONDS) <= left), least)
    return _longest(lambda seconds: turns * taken(seconds) <= left)


def _longest(fits: Callable[[float], bool]) -> float:
    """The longest turn that fits, found by halving; in hundredths of a second."""
    low, high = 0.0, LONGEST_SECONDS
    if fits(high):
        return high
    for _ in range(10):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return round(low, 2)
