"""The header of a PNG, as far as its first pixels."""

from __future__ import annotations

from fastffdi.audit.facts import FORMATS, MODES, Header

_PNG = FORMATS.index("PNG")
_GREY, _ALPHA, _DEEP = MODES.index("grey"), MODES.index("alpha"), MODES.index("16 bit")
_MODES = {0: _GREY, 2: MODES.index("RGB"), 3: MODES.index("palette"), 4: _ALPHA, 6: _ALPHA}


def png_header(data: bytes) -> Header | None:
    """None where `data` does not reach the pixels, and where EXIF may turn them: Pillow has to look there."""
    if data[12:16] != b"IHDR" or len(data) < 33:
        return None
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    mode = _DEEP if data[24] == 16 else _MODES.get(data[25])
    if not height * width or mode is None:
        return None
    at, animated = 33, False
    while at + 8 <= len(data):
        kind = data[at + 4 : at + 8]
        if kind == b"IDAT":
            return Header(_PNG, height, width, mode, animated=animated)
        if kind == b"eXIf":
            return None
        if kind == b"tRNS" and mode != _DEEP:
            mode = _ALPHA
        animated |= kind == b"acTL"
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return None
