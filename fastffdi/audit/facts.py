"""What an audit knows about one file, as a row of numbers: a million of them must stay cheap."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastffdi.data import formats

#: What is wrong with a file, gravest first after "": such a file cannot be used.
PROBLEMS = ("", "missing", "empty", "unreadable", "not an image", "oversized", "truncated", "undecodable")
#: By content; "" where it is not known.
FORMATS = ("", *formats.FORMATS)
#: How pixels are stored; all but the first are converted to RGB when they are decoded.
MODES = ("RGB", "grey", "CMYK", "alpha", "palette", "16 bit")
#: Chroma subsampling of a JPEG; "" where it has none.
SUBSAMPLINGS = ("", "4:4:4", "4:2:2", "4:2:0", "4:4:0", "4:1:1", "other")

#: `quality` 1..100 or 0 for unknown; `height`, `width` after EXIF orientation; `content` a hash of the bytes,
#: `look` a perceptual hash, 0 for none, and `small` 8×8 pixel values, all three only where the file has been
#: decoded (`full`).
FACTS = np.dtype(
    [
        ("problem", "u1"),
        ("format", "u1"),
        ("height", "<i4"),
        ("width", "<i4"),
        ("mode", "u1"),
        ("quality", "u1"),
        ("subsampling", "u1"),
        ("animated", "?"),
        ("orientation", "u1"),
        ("exif", "?"),
        ("full", "?"),
        ("content", "S16"),
        ("look", "<u8"),
        ("small", "V64"),
    ]
)


class Header(NamedTuple):
    """What the header of an image says: indices into FORMATS, MODES and SUBSAMPLINGS, the size as stored."""

    format: int
    height: int
    width: int
    mode: int = 0
    quality: int = 0
    subsampling: int = 0
    animated: bool = False
    orientation: int = 1
    exif: bool = False


def row(header: Header, full: bool = False, content: bytes = b"") -> tuple[object, ...]:
    """The row of FACTS of a file that can be used; its `look` and `small` are filled in later."""
    height, width = header.height, header.width
    if header.orientation >= 5:
        height, width = width, height
    return (0, header.format, height, width, *header[3:], full, content, 0, b"")


def problem_row(problem: str) -> tuple[object, ...]:
    """The row of FACTS of a file that cannot be used."""
    return (PROBLEMS.index(problem), 0, 0, 0, 0, 0, 0, False, 1, False, False, b"", 0, b"")
