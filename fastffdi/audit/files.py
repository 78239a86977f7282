"""What is found out about one file: quickly from its header and its end, or fully by decoding it."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from typing import BinaryIO, NamedTuple

import numpy as np

from fastffdi.audit.endings import TAIL_BYTES, ends_well, has_end
from fastffdi.audit.facts import FORMATS, Header, problem_row, row
from fastffdi.audit.irregular import pillow_header
from fastffdi.audit.jpeg import jpeg_header
from fastffdi.audit.looks import thumbnail
from fastffdi.audit.png import png_header
from fastffdi.audit.reduced import decoded
from fastffdi.data.formats import HEAD_BYTES, PNG_SIGNATURE, format_of, unknown
from fastffdi.data.headers import reason_of
from fastffdi.data.limits import LIMITS
from fastffdi.data.pillow import webp_size
from fastffdi.data.source import FILES
from fastffdi.errors import UndecodableImage

# Most headers fit the first read; four reads reach 16 MiB, as in data/headers.py.
_READS = (8 << 10, 64 << 10, 1 << 20, 16 << 20)


class Inspected(NamedTuple):
    """A row of FACTS; why the file cannot be used, else ""; its thumbnail where it was decoded."""

    facts: tuple[object, ...]
    reason: str = ""
    thumbnail: np.ndarray | None = None


class _Faulty(Exception):
    """A file that cannot be used: one of PROBLEMS, and the reason in words."""

    def __init__(self, problem: str, reason: str) -> None:
        super().__init__(problem, reason)
        self.problem, self.reason = problem, reason


def inspect(path: str, size_bytes: int, full: bool) -> Inspected:
    """Read a file of `size_bytes` bytes: header and end, or with `full` all of it, decoded and hashed.

    Never raises for what is in a file: a fault is the `problem` of the facts.
    """
    try:
        if not size_bytes:
            raise _Faulty("empty", "no bytes")
        _check(LIMITS.check_bytes, size_bytes)
        return _full(path, size_bytes) if full else _quick(path, size_bytes)
    except _Faulty as fault:
        return Inspected(problem_row(fault.problem), fault.reason)
    except UndecodableImage as error:
        return Inspected(problem_row("unreadable"), error.reason)
    except OSError as error:
        return Inspected(problem_row("unreadable"), error.strerror or "cannot be read")


def _quick(path: str, size_bytes: int) -> Inspected:
    handle = os.open(path, os.O_RDONLY)
    try:
        head = os.pread(handle, _READS[0], 0)
        header, scan = _header(head, size_bytes, lambda n: os.pread(handle, n, 0), lambda: FILES.open(path))
        tail = head[-TAIL_BYTES:]
        if size_bytes > len(head):
            tail = os.pread(handle, TAIL_BYTES, size_bytes - TAIL_BYTES)
        if not ends_well(header.format, head, tail, size_bytes):
            _check_end(header.format, os.pread(handle, size_bytes, 0), scan)
    finally:
        os.close(handle)
    return Inspected(row(header))


def _full(path: str, size_bytes: int) -> Inspected:
    data = _read(path, size_bytes)
    try:
        header, scan = _header(data, len(data), lambda n: data, lambda: io.BytesIO(data))
    except _Faulty as fault:
        if fault.problem in ("not an image", "oversized"):
            raise
        return _decoded(data, None, 0)  # the decoder may understand what was not understood here
    return _decoded(data, header, scan)


def _read(path: str, size_bytes: int) -> bytes:
    """All bytes of a file, in fewer calls than `FILES.read`: each lets go of the interpreter for a moment."""
    handle = os.open(path, os.O_RDONLY)
    try:
        data = os.pread(handle, size_bytes, 0)
        while len(data) < size_bytes and (more := os.pread(handle, size_bytes - len(data), len(data))):
            data += more
        return data
    finally:
        os.close(handle)


def _decoded(data: bytes, header: Header | None, scan: int) -> Inspected:
    format = header.format if header else FORMATS.index(format_of(data[:HEAD_BYTES]) or "")
    try:
        image = decoded(data, header)
    except Exception as error:  # decoders raise whatever they like
        _check_end(format, data, scan)
        raise _Faulty("undecodable", reason_of(error)) from None
    content = hashlib.sha256(data).digest()[:16]
    header = header or Header(format, *image.shape[:2])
    return Inspected(row(header, True, content), "", thumbnail(image))


def _header(
    head: bytes, size_bytes: int, read: Callable[[int], bytes], reopen: Callable[[], BinaryIO]
) -> tuple[Header, int]:
    """The header of a file that begins with `head`, and where a JPEG's pixels begin."""
    if format_of(head[:HEAD_BYTES]) is None:
        raise _Faulty("not an image", unknown(head[:HEAD_BYTES]))
    found = _fast_header(head, size_bytes, read)
    header, scan = found or (_slow_header(head, size_bytes, read, reopen), 0)
    _check(LIMITS.check_pixels, header.height, header.width)
    return header, scan


def _fast_header(head: bytes, size_bytes: int, read: Callable[[int], bytes]) -> tuple[Header, int] | None:
    if head[:3] == b"\xff\xd8\xff":
        for length in _READS:
            head = head if length <= len(head) else read(length)
            found = jpeg_header(head)
            if found is not None or len(head) >= size_bytes:
                return found
    elif head[:8] == PNG_SIGNATURE:
        header = png_header(head)
        return None if header is None else (header, 0)
    return None


def _slow_header(
    head: bytes, size_bytes: int, read: Callable[[int], bytes], reopen: Callable[[], BinaryIO]
) -> Header:
    format = format_of(head[:HEAD_BYTES]) or ""
    try:
        if format == "WebP":  # opening it allocates all pixels
            LIMITS.check_pixels(*webp_size(head))
        with reopen() as file:
            return pillow_header(file)
    except Exception as error:  # Pillow raises nearly every kind of exception on hostile bytes
        _check_end(FORMATS.index(format), read(size_bytes), 0)
        raise _Faulty("undecodable", reason_of(error)) from None


def _check(check: Callable[..., None], *values: int) -> None:
    try:
        check(*values)
    except ValueError as error:
        raise _Faulty("oversized", reason_of(error)) from None


def _check_end(format: int, data: bytes, scan: int) -> None:
    """Raise for a file that does not go on to its end; `data` is all of it."""
    if not ends_well(format, data, data[-TAIL_BYTES:], len(data)) and not has_end(format, data, scan):
        raise _Faulty("truncated", f"it ends after {len(data):,} bytes, without the mark of its end")
