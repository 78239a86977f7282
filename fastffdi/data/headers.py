"""Sizes and orientations of images, from their headers alone.

A JPEG is a chain of segments; everything needed here comes before the first scan. The chain is walked by own
code because that takes microseconds where opening the image takes a hundred; whatever this code does not
understand goes to Pillow.
"""

from __future__ import annotations

import os
from functools import partial
from typing import BinaryIO, Literal, NamedTuple

from PIL import ExifTags, Image

from fastffdi.data.formats import HEAD_BYTES, format_of
from fastffdi.data.limits import UNLIMITED
from fastffdi.data.pillow import opened, webp_size
from fastffdi.data.retry import retried
from fastffdi.data.source import FILES, ImageSource
from fastffdi.errors import UndecodableImage

# The header of a camera JPEG with a thumbnail fits the second read; four reads reach 16 MiB.
_READS = (4 << 10, 60 << 10, 960 << 10, 15 << 20)
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BARE = frozenset({0x00, 0x01, *range(0xD0, 0xD8)})  # markers without a length
_ORDERS: dict[bytes, Literal["little", "big"]] = {b"II": "little", b"MM": "big"}
_VALUE_BYTES = {3: 2, 4: 4}  # of EXIF's types SHORT and LONG


class Header(NamedTuple):
    """What a file says about its image: format, one of FORMATS; pixels as stored; of a PNG, an animation."""

    format: str
    height: int
    width: int
    animated: bool = False

    @property
    def only_pillow(self) -> bool:
        """Whether Pillow has to decode it: DALI cannot, or not surely the same image."""
        return self.animated or self.format not in ("JPEG", "PNG", "WebP")


def orientation(data: bytes) -> int:
    """EXIF orientation of JPEG bytes, 1..8; 1 when there is none, or no valid one.

    Only EXIF counts: an orientation that stands in XMP alone is ignored.
    """
    if data[:2] != b"\xff\xd8":
        return 1
    start, end = _scan(data)[1]
    return _orientation_tag(data[start:end])


def plain_orientation(data: bytes) -> int | None:
    """The orientation of JPEG bytes as other programs understand them, too; None where they may not.

    Their header has one frame, of 8 bits.
    """
    size, (start, end), _ = _scan(data)
    return None if size is None else _orientation_tag(data[start:end])


def image_size(path: str, source: ImageSource = FILES) -> tuple[int, int]:
    """(height, width) in pixels after EXIF orientation, read from the header only, however many they are.

    Pillow may warn about odd headers. Raises UndecodableImage when the image is absent or has no header.
    """
    source.identity(path)  # refuses what is not a regular file
    try:
        return retried(path, partial(_upright_size, path, source))
    except UndecodableImage:
        raise
    except Exception as error:  # Pillow raises nearly every kind of exception on hostile bytes
        raise UndecodableImage(path, reason_of(error)) from error


def header_of(file: BinaryIO) -> Header:
    """The header of a file that is at its beginning; nothing is decoded.

    Raises ValueError for other formats than those in the allow-list, besides whatever Pillow raises.
    """
    if size := _jpeg_size(file, oriented=False):
        return Header("JPEG", *size)
    file.seek(0)
    head = file.read(HEAD_BYTES)
    name = format_of(head)
    if name == "PNG" and head[12:16] == b"IHDR":
        width, height = (int.from_bytes(head[at : at + 4], "big") for at in (16, 20))
        return Header(name, height, width, animated=_png_chunk(file, b"acTL", before=b"IDAT") is not None)
    if name == "WebP":
        return Header(name, *webp_size(head))
    file.seek(0)
    with opened(file, UNLIMITED) as image:
        return Header(str(name), image.height, image.width)


def reason_of(error: Exception) -> str:
    """What a decoder's exception says, in one line."""
    text = str(getattr(error, "strerror", None) or error)
    return " ".join(text.split()) or type(error).__name__


def _upright_size(path: str, source: ImageSource) -> tuple[int, int]:
    with source.open(path) as file:
        return _jpeg_size(file) or _pillow_size(file)


def _jpeg_size(file: BinaryIO, oriented: bool = True) -> tuple[int, int] | None:
    """The size if the file is a plain JPEG, None where Pillow has to look."""
    data = b""
    for length in _READS:
        data += file.read(length)
        if data[:3] != b"\xff\xd8\xff":
            return None
        size, (start, end), complete = _scan(data)
        if complete and not oriented:
            if not size:  # Pillow would take the last of two frames, others perhaps the first
                raise ValueError("its JPEG header is broken: not one frame of 8 bits with pixels")
            return size
        if complete:
            return _turned(size, _orientation_tag(data[start:end])) if size else None
    return None


def _pillow_size(file: BinaryIO) -> tuple[int, int]:
    file.seek(0)
    head = file.read(HEAD_BYTES)
    if format_of(head) == "WebP":
        return _turned(webp_size(head), _orientation_tag(_webp_exif(file)))
    file.seek(0)
    with opened(file, UNLIMITED) as image:
        width, height = image.size
        if image.format == "TIFF":  # Pillow has turned this size already
            return height, width
        if image.format == "JPEG":
            file.seek(0)
            return _turned((height, width), orientation(file.read()))
        if image.format == "PNG" and "exif" not in image.info:
            late = _png_exif(file)
            image.info.update({"exif": late} if late else {})
        # Not image.getexif(): for a PNG that decodes the whole image first.
        exif = Image.Image.getexif(image)
    return _turned((height, width), exif.get(ExifTags.Base.Orientation, 1))


def _png_exif(file: BinaryIO) -> bytes:
    """The eXIf chunk of a PNG, or b"": it may come after the pixels, where opening does not look."""
    length = _png_chunk(file, b"eXIf", before=b"IEND")
    return b"" if length is None else b"Exif\0\0" + file.read(min(length, 1 << 16))


def _png_chunk(file: BinaryIO, kind: bytes, before: bytes) -> int | None:
    """The length in bytes of a PNG's first chunk of a kind, at which the file is then; None without one."""
    file.seek(8)
    while len(head := file.read(8)) == 8 and head[4:] != before:
        length = int.from_bytes(head[:4], "big")
        if head[4:] == kind:
            return length
        file.seek(length + 4, os.SEEK_CUR)
    return None


def _webp_exif(file: BinaryIO) -> bytes:
    """The EXIF chunk of a WebP, or b""."""
    file.seek(12)
    while len(head := file.read(8)) == 8:
        length = int.from_bytes(head[4:], "little")
        if head[:4] == b"EXIF":
            return file.read(min(length, 1 << 16))
        file.seek(length + length % 2, os.SEEK_CUR)
    return b""


def _turned(size: tuple[int, int], turn: int) -> tuple[int, int]:
    return (size[1], size[0]) if turn in (5, 6, 7, 8) else size


def _scan(data: bytes) -> tuple[tuple[int, int] | None, tuple[int, int], bool]:
    """Walk a JPEG's segments to its first scan.

    Returns (height, width) as coded or None; where the TIFF part of its EXIF starts and ends, or (0, 0);
    and whether the scan was reached. A size that needs a closer look is None: of two frames, of no pixels,
    or of other than 8 bits.
    """
    size: tuple[int, int] | None = None
    exif = (0, 0)
    frames, at, end = 0, 2, len(data) - 3
    while at < end:
        if data[at] != 0xFF:  # junk between segments, which decoders skip
            at = data.find(b"\xff", at)
            if at < 0:
                break
            continue
        marker = data[at + 1]
        if marker == 0xFF or marker in _BARE:
            at += 1 if marker == 0xFF else 2
            continue
        if marker == 0xDA:
            return (size if frames == 1 else None), exif, True
        if marker == 0xD9:
            break
        length = data[at + 2] << 8 | data[at + 3]
        if marker in _FRAMES and at + 9 <= len(data):
            frames += 1 if data[at + 4] == 8 else 2
            height, width = data[at + 5] << 8 | data[at + 6], data[at + 7] << 8 | data[at + 8]
            size = (height, width) if height * width else None
        elif marker == 0xE1 and not exif[1] and data[at + 4 : at + 10] == b"Exif\0\0":
            exif = (at + 10, at + 2 + length)
        at += 2 + length
    return None, exif, False


def _orientation_tag(tiff: bytes) -> int:
    """Orientation (tag 0x0112) in the first directory of EXIF's TIFF structure; 1 unless it is 1..8."""
    if tiff[:6] == b"Exif\0\0":  # some writers put the signature twice
        tiff = tiff[6:]
    order = _ORDERS.get(tiff[:2])
    if order is None:
        return 1
    start = int.from_bytes(tiff[4:8], order)
    count = int.from_bytes(tiff[start : start + 2], order)
    entries = tiff[start + 2 : start + 2 + 12 * count]  # of tag, type, how many: 2 + 2 + 4 bytes; 4 of value
    value = 1
    for at in range(0, len(entries) - 11, 12):
        tag, kind, values = entries[at : at + 2], entries[at + 2 : at + 4], entries[at + 4 : at + 8]
        if int.from_bytes(tag, order) == 0x0112 and int.from_bytes(values, order) == 1:
            width = _VALUE_BYTES.get(int.from_bytes(kind, order), 0)
            value = int.from_bytes(entries[at + 8 : at + 8 + width], order)
    return value if 1 <= value <= 8 else 1
