"""Whether an image may be given to a decoder, from its length and header alone."""

from __future__ import annotations

from functools import partial

from fastffdi.data.headers import Header, header_of, reason_of
from fastffdi.data.limits import LIMITS, Limits
from fastffdi.data.retry import retried
from fastffdi.data.source import FILES, ImageSource
from fastffdi.errors import UndecodableImage


def checked_header(path: str, limits: Limits = LIMITS, source: ImageSource = FILES) -> Header:
    """The header of an image that may be decoded, as far as length and header tell.

    For those who decode by other means than `decode_path`, which asks the same. Few bytes are read, nothing
    is decoded. Raises UndecodableImage for what is no image of a known format, or larger than the limits.
    """
    try:
        limits.check_bytes(source.identity(path).size_bytes)
        header = retried(path, partial(_header, path, source))
        limits.check_pixels(header.height, header.width)
    except UndecodableImage:
        raise
    except Exception as error:  # Pillow raises nearly every kind of exception on hostile bytes
        raise UndecodableImage(path, reason_of(error)) from None
    return header


def refusal(path: str, limits: Limits = LIMITS, source: ImageSource = FILES) -> str | None:
    """The reason for which `checked_header` refuses an image, None where it does not."""
    try:
        checked_header(path, limits, source)
    except UndecodableImage as error:
        return error.reason
    return None


def _header(path: str, source: ImageSource) -> Header:
    with source.open(path) as file:
        return header_of(file)
