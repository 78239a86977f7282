"""How often something is done in a run: by time, or by updates."""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass

from fastffdi.errors import SettingError

_SECONDS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True)
class Interval:
    """Every so many seconds, or every so many updates; the other one is infinite."""

    seconds: float = math.inf
    updates: float = math.inf

    @classmethod
    def parse(cls, text: str, option: str) -> Interval:
        """`30s`, `10m` and `2h` are times, `500` is a number of updates; else SettingError names `option`."""
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])|(\d+)", text.strip())
        count = float(found[1] or found[3]) if found else 0
        if found is None or not count:
            raise SettingError(
                f"{option} {text}: give a time such as 10m, or a number of updates such as 500"
            )
        return cls(updates=count) if found[3] else cls(seconds=count * _SECONDS[found[2]])


def time_of(text: str, option: str) -> Interval:
    """As Interval.parse, but only times are allowed."""
    found = Interval.parse(text, option)
    if math.isfinite(found.updates):
        raise SettingError(f"{option} {text}: give a time such as 30m or 2h")
    return found


class Alarm:
    """Tells when an interval is over since the last `reset`."""

    def __init__(self, interval: Interval, updates: int = 0) -> None:
        self._interval = interval
        self.reset(updates)

    def reset(self, updates: int) -> None:
        """Begin again, after so many updates of the run."""
        self._time, self._updates = time.monotonic(), updates

    def is_due(self, updates: int) -> bool:
        """Whether the interval is over, after so many updates of the run."""
        by_time = time.monotonic() - self._time >= self._interval.seconds
        return by_time or updates - self._updates >= self._interval.updates
