"""A source of images that a child process can have, of which one never comes."""

import threading
from dataclasses import dataclass

from fastffdi.data.source import FileSource, Identity

#: Set at the end of a test, for reads of this process that would never end.
RELEASED = threading.Event()


@dataclass(frozen=True)
class Stuck(FileSource):
    """Files, of which one never comes, or ends its thread."""

    path: str
    ends: bool = False

    def identity(self, path: str) -> Identity:
        """See ImageSource."""
        if path == self.path and self.ends:
            raise SystemExit
        if path == self.path:
            RELEASED.wait(100)
        return super().identity(path)
