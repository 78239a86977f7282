"""How long an image is waited for, by those who do not read it themselves."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

#: How long one image may take, where nothing else is asked for.
READ_SECONDS = 120.0

#: Between two looks, at most. The death of whoever is waited for is noticed as soon.
_LOOK_SECONDS = 1.0

H = TypeVar("H", bound=Hashable)


class Patience(Generic[H]):
    """Finds what readers stay with for too long.

    Args:
        seconds: that one image may take

    Attributes:
        pause: seconds between two calls of `look`. They are counted, where a clock would go on while the
            process is stopped
    """

    def __init__(self, seconds: float = READ_SECONDS) -> None:
        self.seconds, self.pause = seconds, min(_LOOK_SECONDS, seconds / 4)
        self._since: dict[tuple[int, H], float] = {}

    def look(self, at: Mapping[int, H]) -> H | None:
        """What each reader is at, by its number: what one of them was at in all looks of that time, if any.

        What a reader is at later has to differ, even if it is the same image again.
        """
        since = {now: self._since.get(now, -self.pause) + self.pause for now in at.items()}
        self._since = since
        return next((image for (_, image), seconds in since.items() if seconds >= self.seconds), None)
