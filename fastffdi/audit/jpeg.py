"""The header of a JPEG: size, quality, subsampling, colours, EXIF, in some ten microseconds."""

from __future__ import annotations

from fastffdi.audit.facts import FORMATS, MODES, SUBSAMPLINGS, Header
from fastffdi.audit.quality import jpeg_quality
from fastffdi.data.headers import orientation

_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length
_JPEG = FORMATS.index("JPEG")
_CHANNELS = {1: MODES.index("grey"), 3: MODES.index("RGB"), 4: MODES.index("CMYK")}
# Samples of luminance per sample of chroma, across and down.
_RATIOS = {
    (1, 1): SUBSAMPLINGS.index("4:4:4"),
    (2, 1): SUBSAMPLINGS.index("4:2:2"),
    (2, 2): SUBSAMPLINGS.index("4:2:0"),
    (1, 2): SUBSAMPLINGS.index("4:4:0"),
    (4, 1): SUBSAMPLINGS.index("4:1:1"),
}
_OTHER = SUBSAMPLINGS.index("other")


def jpeg_header(data: bytes) -> tuple[Header, int] | None:
    """What stands before the first scan, and where that begins.

    None where `data` does not reach the scan, or is built in a way that only a full parser understands.
    """
    at, end = 2, len(data) - 4
    frame, quality, exif = b"", 0, False
    while at < end and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF or marker in _BARE:
            at += 1 if marker == 0xFF else 2
            continue
        if marker == 0xDA:
            header = _header(frame, quality, exif, data)
            return None if header is None else (header, at)
        after = at + 2 + (data[at + 2] << 8 | data[at + 3])
        if after > len(data):
            return None
        if marker in _FRAMES:
            if frame:
                return None
            frame = data[at + 4 : after]
        elif marker == 0xDB:
            quality = _quality(data, at + 4, after) or quality
        elif marker == 0xE1 and data[at + 4 : at + 10] == b"Exif\0\0":
            exif = True
        at = after
    return None


def _header(frame: bytes, quality: int, exif: bool, data: bytes) -> Header | None:
    """From the frame: a byte of precision, height, width, then three bytes for each of its components."""
    if len(frame) < 6 or len(frame) < 6 + 3 * frame[5]:
        return None
    height, width, components = frame[1] << 8 | frame[2], frame[3] << 8 | frame[4], frame[5]
    mode = _CHANNELS.get(components, 0)
    if not height * width or frame[0] != 8:
        return None
    turned = orientation(data) if exif else 1
    subsampling = _subsampling(frame) if components == 3 else 0
    return Header(_JPEG, height, width, mode, quality, subsampling, False, turned, exif)


def _subsampling(frame: bytes) -> int:
    luminance, blue, red = frame[7], frame[10], frame[13]
    across, down = blue >> 4, blue & 15
    if blue != red or not across or not down or (luminance >> 4) % across or (luminance & 15) % down:
        return _OTHER
    return _RATIOS.get(((luminance >> 4) // across, (luminance & 15) // down), _OTHER)


def _quality(data: bytes, at: int, end: int) -> int:
    """Of the 8-bit table 0 in a segment of tables, 0 without one."""
    while at < end:
        kind = data[at]
        length = 128 if kind >> 4 else 64
        if kind == 0 and at + 65 <= end:
            return jpeg_quality(data[at + 1 : at + 65])
        at += 1 + length
    return 0
