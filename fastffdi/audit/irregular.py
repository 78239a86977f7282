"""The header of everything else, by Pillow, in some hundred microseconds."""

from __future__ import annotations

from typing import BinaryIO

from PIL import ExifTags, Image

from fastffdi.audit.facts import FORMATS, MODES, Header
from fastffdi.data.formats import HEAD_BYTES, format_of
from fastffdi.data.limits import UNLIMITED
from fastffdi.data.pillow import opened

_MODES = {
    **dict.fromkeys(("1", "L"), MODES.index("grey")),
    **dict.fromkeys(("CMYK", "YCCK"), MODES.index("CMYK")),
    **dict.fromkeys(("RGBA", "RGBa", "LA", "La", "PA"), MODES.index("alpha")),
    "P": MODES.index("palette"),
    **dict.fromkeys(("I", "F", "I;16", "I;16B", "I;16L", "I;16N"), MODES.index("16 bit")),
}


def pillow_header(file: BinaryIO) -> Header:
    """What Pillow says of a file that is at its beginning, without decoding its pixels.

    Of a WebP all pixels are allocated: look at its size before. Raises ValueError for other formats than
    those that are read, and what Pillow raises.
    """
    head = file.read(HEAD_BYTES)
    file.seek(0)
    with opened(file, UNLIMITED) as image:
        format = format_of(head) or ""
        mode = MODES.index("alpha") if "transparency" in image.info else _MODES.get(image.mode, 0)
        width, height = image.size
        # Not image.getexif(): for a PNG that decodes the whole image first.
        exif = Image.Image.getexif(image)
        turn = exif.get(ExifTags.Base.Orientation, 1)
        turned = turn if isinstance(turn, int) and 1 <= turn <= 8 else 1
        if format == "TIFF" and turned >= 5:  # Pillow has turned this size already
            height, width = width, height
        return Header(
            FORMATS.index(format),
            height,
            width,
            mode,
            animated=format != "TIFF" and getattr(image, "is_animated", False),
            orientation=turned,
            exif="exif" in image.info or (format == "TIFF" and turned != 1),
        )
