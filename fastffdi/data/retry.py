"""Reads that are tried again, since the error may pass: on network mounts above all."""

from __future__ import annotations

import errno
from collections.abc import Callable
from time import sleep
from typing import TypeVar

from fastffdi.errors import UndecodableImage

T = TypeVar("T")

#: Before each further try, in seconds.
WAITS = (0.1, 0.4, 1.6)

_NAMES = (
    "EIO", "ESTALE", "ETIMEDOUT", "EAGAIN", "EBUSY", "ECONNRESET", "ENETDOWN", "ENETUNREACH", "EHOSTUNREACH",
    "EHOSTDOWN", "ENFILE", "EMFILE", "EREMOTEIO",
)  # fmt: skip

#: Errors that may pass; not every system has them all.
PASSING = frozenset(getattr(errno, name) for name in _NAMES if hasattr(errno, name))


def retried(path: str, read: Callable[[], T]) -> T:
    """What `read` gives of the file `path`, called again after each of WAITS where its error may pass.

    Raises UndecodableImage where the last try has failed too, and whatever else `read` raises.
    """
    waits = iter(WAITS)
    while True:
        try:
            return read()
        except OSError as error:
            if error.errno not in PASSING:
                raise
            wait = next(waits, None)
            if wait is None:
                raise UndecodableImage(path, f"{error.strerror}, {len(WAITS) + 1} times") from None
        sleep(wait)
