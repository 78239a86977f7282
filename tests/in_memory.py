"""A source of one image that is in no file."""

import io
from typing import BinaryIO

from fastffdi.data.source import Identity


class InMemory:
    """An ImageSource whose one image is `data`, whatever its name."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def read(self, path: str) -> bytes:
        return self.data

    def open(self, path: str) -> BinaryIO:
        return io.BytesIO(self.data)

    def identity(self, path: str) -> Identity:
        return Identity(len(self.data), 0)
