"""Decoding no more of a JPEG than the part that is wanted, by nvImageCodec, which DALI brings along.

It uses libjpeg-turbo as the whole decoder does, and gives the same bits. To decode a part it still reads the
entropy-coded data down to the part's last row, but transforms and converts no block outside the part.
"""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

import numpy as np

from fastffdi.recipe.kernels import Part

#: How the time to decode an image divides: reading entropy-coded data, and making pixels of it.
_READING, _PIXELS = 0.8, 0.2

#: A part is decoded by itself where that takes no more of the time that the whole takes.
_WORTHWHILE = 0.9

#: In columns: of a part of a single one, libjpeg-turbo interpolates the colours otherwise.
_NARROWEST = 32

#: At which a file ends that is not cut off; of others, the part alone would not show the damage.
_END = b"\xff\xd9"

_OF_THREAD = threading.local()


def decode_part(data: bytes, part: Part, height: int, width: int) -> np.ndarray | None:
    """(height, width, 3) uint8 RGB of a JPEG of that size in which only `part` has been written.

    None where the part is empty or narrow, where it would not be faster, and where it cannot be decoded.
    """
    large = part.right - part.left >= _NARROWEST and part.bottom > part.top
    if not large or _cost(part, height, width) > _WORTHWHILE or not data.endswith(_END):
        return None
    pixels = _decoded(data, part)
    if pixels is None:
        return None
    image = np.empty((height, width, 3), np.uint8)
    image[part.slices] = pixels
    return image


def _cost(part: Part, height: int, width: int) -> float:
    """Roughly the time to decode it, as a fraction of that for an image of that size."""
    area = (part.bottom - part.top) * (part.right - part.left)
    return _READING * part.bottom / height + _PIXELS * area / (height * width)


def _decoded(data: bytes, part: Part) -> np.ndarray | None:
    codec = _codec()
    if codec is None:
        return None
    try:
        stream = codec.CodeStream(data).get_sub_code_stream(region=codec.Region(*part))
        image = _decoder(codec).decode(stream, params=_parameters(codec))
    except RuntimeError:  # it refuses headers that the whole decoders read
        return None
    return None if image is None else np.asarray(image)


@cache
def _codec() -> Any:
    try:
        from nvidia import nvimgcodec
    except Exception:  # not installed, or broken in its own way: images are decoded whole
        return None
    return nvimgcodec


@cache
def _parameters(codec: Any) -> Any:
    return codec.DecodeParams(apply_exif_orientation=False, color_spec=codec.ColorSpec.SRGB)


def _decoder(codec: Any) -> Any:
    """This thread's own, which works on this thread."""
    if not hasattr(_OF_THREAD, "decoder"):
        _OF_THREAD.decoder = codec.Decoder(
            device_id=codec.NVIMGCODEC_DEVICE_CPU_ONLY,
            max_num_cpu_threads=1,
            backends=[codec.Backend(codec.CPU_ONLY)],
            options=":fancy_upsampling=1 :fast_idct=0",
        )
    return _OF_THREAD.decoder
