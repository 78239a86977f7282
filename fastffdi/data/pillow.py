"""Images by Pillow: of the formats in the allow-list only, within the limits, to one meaning of RGB.

Pillow's plugin of the format is called by name. Image.open would try others too, some of which run programs,
and applies limits of its own, with warnings; it also maps files to memory, and then turns some TIFFs wrongly.
"""

from __future__ import annotations

from typing import BinaryIO

import numpy as np
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    ImageOps,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from fastffdi.data.formats import HEAD_BYTES, format_of, unknown
from fastffdi.data.limits import LIMITS, Limits

_PLUGINS: dict[str, type[ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WebP": WebPImagePlugin.WebPImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
}

#: What Pillow would cut to 0..255, or convert otherwise than DALI.
_REFUSED = {"I": "32-bit integers", "F": "floating-point numbers", "LAB": "CIE Lab colours"}


def opened(file: BinaryIO, limits: Limits = LIMITS) -> ImageFile.ImageFile:
    """A file's first image, its header read and its pixels not yet decoded.

    Args:
        file: at its beginning; it has to stay open
        limits: as to pixels; the length of the file is not looked at

    Raises ValueError for other formats, too many pixels, and pixel values that have no one meaning as RGB;
    besides that, whatever Pillow raises for headers that it cannot read.
    """
    head = file.read(HEAD_BYTES)
    file.seek(0)
    name = format_of(head)
    if name is None:
        raise ValueError(unknown(head))
    if name == "WebP":  # its decoder allocates all pixels when the file is opened
        limits.check_pixels(*webp_size(head))
    try:
        image = _PLUGINS[name](file, "")
    except SyntaxError as error:  # which Pillow means for the syntax of the file
        raise ValueError(f"its {name} header is broken: {error}") from None
    limits.check_pixels(image.height, image.width)
    if image.mode in _REFUSED:
        raise ValueError(f"{_REFUSED[image.mode]}; convert it to 8-bit RGB")
    return image


def rgb_image(file: BinaryIO, limits: Limits = LIMITS) -> Image.Image:
    """The first image of a file in 8-bit RGB, its EXIF orientation applied, apart from the file.

    Alpha is dropped, a palette's too: the colours of transparent pixels are what the file has there. 16 bits
    are scaled down to 8. Raises what `opened` and Pillow's decoders raise.
    """
    with opened(file, limits) as image:
        turned = ImageOps.exif_transpose(image)
        if turned.mode.startswith("I;16"):
            return Image.fromarray(_eight_bits(np.asarray(turned), _bits(image))).convert("RGB")
        # It changes no pixel of the RGB, but Pillow warns where a palette has several transparent colours.
        turned.info.pop("transparency", None)
        return turned.convert("RGB")


def webp_size(head: bytes) -> tuple[int, int]:
    """(height, width) of a WebP image, of an animation its canvas, from HEAD_BYTES of the file.

    RFC 9649, section 2. Raises ValueError for other bytes.
    """
    kind, body = head[12:16], head[20:30]
    if len(body) == 10:
        if kind == b"VP8X":
            return 1 + _little(body[7:10]), 1 + _little(body[4:7])
        if kind == b"VP8L" and body[0] == 0x2F:
            both = _little(body[1:5])
            return 1 + (both >> 14 & 0x3FFF), 1 + (both & 0x3FFF)
        if kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
            return _little(body[8:10]) & 0x3FFF, _little(body[6:8]) & 0x3FFF
    raise ValueError("its WebP header is broken")


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _bits(image: Image.Image) -> int:
    """Bits of a pixel value: of a PNG's always 16, a TIFF may have 12."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return 16
    (bits,) = image.tag_v2[TiffImagePlugin.BITSPERSAMPLE]
    return int(bits)


def _eight_bits(values: np.ndarray, bits: int) -> np.ndarray:
    """Values of 0 to 2^bits - 1 scaled to 0..255 and rounded, as by DALI; Pillow cuts them off at 255."""
    most = (1 << bits) - 1
    return ((values.astype(np.uint32) * 255 + most // 2) // most).astype(np.uint8)
