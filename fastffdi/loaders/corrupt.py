"""What is known of an image that could not be decoded. It imports nothing that takes time."""

from __future__ import annotations

from typing import NamedTuple

from fastffdi.errors import UndecodableImage


class Corrupt(NamedTuple):
    """An image that could not be decoded: its place in the batch, 0 to N − 1, and why."""

    place: int
    error: UndecodableImage
