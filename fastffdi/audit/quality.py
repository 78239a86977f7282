"""JPEG quality, estimated from the quantisation table of the luminance."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

# ITU-T T.81, table K.1, in the zigzag order that files have: libjpeg's table at quality 50.
_LUMINANCE = np.array(
    [
        [16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40],
        [26, 24, 22, 22, 24, 49, 35, 37, 29, 40, 58, 51, 61, 60, 57, 51],
        [56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81, 87],
        [95, 98, 103, 104, 103, 62, 77, 113, 121, 112, 100, 120, 92, 101, 103, 99],
    ]
).ravel()


@lru_cache(maxsize=4096)  # a data set has a handful of tables
def jpeg_quality(table: bytes) -> int:
    """The quality 1..100, in libjpeg's scale, whose table is nearest to this one of 64 bytes.

    Exact for files written by libjpeg and its kin (Pillow, OpenCV); nearest in the sum of absolute
    differences for those of cameras and other programs.
    """
    values = np.frombuffer(table, np.uint8).astype(np.int64)
    return int(np.abs(_tables() - values).sum(axis=1).argmin()) + 1


@lru_cache(maxsize=1)
def _tables() -> np.ndarray:
    """(100, 64) the luminance tables of qualities 1 to 100: jpeg_quality_scaling and jpeg_add_quant_table."""
    quality = np.arange(1, 101)[:, None]
    scale = np.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    return ((_LUMINANCE * scale + 50) // 100).clip(1, 255)
