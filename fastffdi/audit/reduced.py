"""JPEGs decoded in grey and at a reduced size: all compressed data is read, most arithmetic is left out.

Damage shows when the coefficients are decompressed, which is the same at every size; what comes after that
cannot fail. So a check takes less time than decoding, and finds what the decoder of a loader would.
"""

from __future__ import annotations

import numpy as np

from fastffdi.audit.facts import FORMATS, MODES, Header
from fastffdi.render.cpu.decode import decode, reduced, reduction, upright

_LEAST_SIDE = 64  # pixels, where the image has so many: twice those of a thumbnail
_JPEG = FORMATS.index("JPEG")
_PLAIN = (MODES.index("RGB"), MODES.index("grey"))


def decoded(data: bytes, header: Header | None) -> np.ndarray:
    """(H, W, 3) uint8 RGB, upright, or of a plain JPEG (H', W') grey, with H' = H / 1, 2, 4 or 8.

    Raises ValueError and what decoders raise, where a loader could not decode the file.
    """
    if header is not None and header.format == _JPEG and header.mode in _PLAIN:
        try:
            return upright(_grey(data, header.height, header.width), header.orientation)
        except ValueError:
            pass  # what the strict fast path refuses, the loaders' decoder may know how to read
    return decode(data)


def _grey(data: bytes, height: int, width: int) -> np.ndarray:
    factor = reduction(min(height, width) / _LEAST_SIDE)
    return reduced(data, "GRAY", height, width, factor)[..., 0]
