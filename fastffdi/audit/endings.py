"""Whether a file goes on to its end, by the mark or the length that its format puts there."""

from __future__ import annotations

from fastffdi.audit.facts import FORMATS

_JPEG, _PNG, _WEBP, _BMP, _GIF = (FORMATS.index(name) for name in ("JPEG", "PNG", "WebP", "BMP", "GIF"))
TAIL_BYTES = 12  # the longest mark, a PNG's last chunk


def ends_well(format: int, head: bytes, tail: bytes, size_bytes: int) -> bool:
    """Whether the last bytes of a file are its end.

    True where the format tells nothing. Where it is False for a JPEG, PNG or GIF, something may come after
    the end: `has_end` looks for it.
    """
    if format == _JPEG:
        return tail.endswith(b"\xff\xd9")
    if format == _PNG:
        return tail[-8:-4] == b"IEND"
    if format == _GIF:
        return tail.endswith(b";")
    if format == _WEBP:  # its length after RIFF, without those eight bytes
        return size_bytes >= int.from_bytes(head[4:8], "little") + 8
    return format != _BMP or size_bytes >= int.from_bytes(head[2:6], "little")


def has_end(format: int, data: bytes, scan: int) -> bool:
    """Whether the end mark is anywhere in a file; `scan` is where a JPEG's pixels begin.

    The mark cannot stand among a JPEG's pixels, but a thumbnail before them has one too.
    """
    if format == _JPEG:
        return data.find(b"\xff\xd9", scan) >= 0
    if format == _PNG:
        return data.rfind(b"IEND") >= 0
    return format == _GIF and data.rstrip(b"\0").endswith(b";")
