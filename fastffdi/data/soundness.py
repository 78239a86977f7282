"""Whether a file is built as its format says, all the way to its end.

Decoders agree about such files. Of others some refuse to give what came before the first fault.
"""

from __future__ import annotations

import re
import zlib

from fastffdi.data.formats import PNG_SIGNATURE

#: Frames of Huffman-coded JPEGs: baseline, extended, progressive.
_FRAMES = (0xC0, 0xC1, 0xC2)
_SCAN, _END, _FILL = 0xDA, 0xD9, 0xFF
_BITS = 8
#: Tables, restart interval, comment and applications' data.
_SEGMENTS = {0xC4, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)}
#: In a scan, a marker other than those that belong there: a stuffed zero, and the restarts.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7]")


def is_sound(data: bytes, format: str) -> bool:
    """Whether the bytes of a file of that format are sound; False for formats that this knows nothing of.

    JPEG: ITU-T T.81, annex B. PNG: the W3C's specification, section 5, checksums included. WebP: RFC 9649,
    section 2, the length alone, since its decoder is one library everywhere.
    """
    if format == "JPEG":
        return _jpeg(data)
    if format == "PNG":
        return _png(data)
    return format == "WebP" and len(data) >= int.from_bytes(data[4:8], "little") + 8


def _jpeg(data: bytes) -> bool:
    at, frames, scans = 2, 0, 0
    while at + 5 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == _FILL:
            at += 1
            continue
        if marker in _FRAMES:
            frames += 1 if data[at + 4] == _BITS else 2
        elif marker not in _SEGMENTS and marker != _SCAN:
            return False
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == _SCAN:
            scans += 1
            found = _MARKER.search(data, at)
            if found is None:
                return False
            at = found.start()
            if data[at + 1] == _END:
                return frames == 1
    return False


def _png(data: bytes) -> bool:
    at = len(PNG_SIGNATURE)
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if end + 4 > len(data) or zlib.crc32(data[at + 4 : end]) != int.from_bytes(
            data[end : end + 4], "big"
        ):
            return False
        if data[at + 4 : at + 8] == b"IEND":
            return True
        at = end + 4
    return False
