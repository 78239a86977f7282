"""A real and a fake JPEG file of one portrait: the pairs of the demo set.

The fake's face is warped, blurred and compressed once more. That saves bytes, so the real image is
softened as a whole until both files are about equally large: what a header says does not tell them apart.
The softening itself does so weakly: by the sharpness at an image's border, AUC 0.66.
"""

from __future__ import annotations

from bisect import bisect_left

import cv2
import numpy as np
from simplejpeg import decode_jpeg, encode_jpeg

from fastffdi.demo.painting import Face, paint_portrait, smooth_noise


def make_pair(rng: np.random.Generator) -> tuple[bytes, bytes]:
    """Two JPEG files, real and fake, of equal size in pixels (200 to 700 a side) and equal JPEG quality."""
    image, face = paint_portrait(rng)
    quality = int(rng.integers(72, 96))
    fake = _encode(_forge(rng, image, face), quality)
    return _encode_to_size(image, quality, len(fake)), fake


def _forge(rng: np.random.Generator, image: np.ndarray, face: Face) -> np.ndarray:
    x, y, across, down = map(round, face)
    fake = image.copy()
    patch = fake[y - down : y + down, x - across : x + across]  # a view: to write to it changes `fake`
    changed = cv2.GaussianBlur(_warp(rng, patch), (0, 0), rng.uniform(0.7, 1.0))
    changed = decode_jpeg(_encode(changed, int(rng.integers(50, 81))))
    rows, columns = np.linspace(-1, 1, 2 * down)[:, None, None], np.linspace(-1, 1, 2 * across)[:, None]
    mask = np.clip(8 * (1 - rows**2 - columns**2), 0, 1)  # no hard edge, which would be an easy clue
    patch[:] = np.rint(mask * changed + (1 - mask) * patch)
    return fake


def _warp(rng: np.random.Generator, patch: np.ndarray) -> np.ndarray:
    height, width = patch.shape[:2]
    rows, columns = np.indices((height, width), np.float32)
    down, right = (0.015 * width * smooth_noise(rng, height, width, width / 3) for _ in range(2))
    return cv2.remap(patch, columns + right, rows + down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def _encode_to_size(image: np.ndarray, quality: int, size: int) -> bytes:
    """The image as a JPEG file of nearly `size` bytes, by the nearest of 33 degrees of softening."""
    soft = cv2.GaussianBlur(image, (0, 0), 1.0)

    def file(degree: int) -> bytes:
        return _encode(cv2.addWeighted(soft, degree / 32, image, 1 - degree / 32, 0), quality)

    below = bisect_left(range(1, 32), -size, key=lambda degree: -len(file(degree)))
    return min(file(below), file(below + 1), key=lambda one: abs(len(one) - size))


def _encode(image: np.ndarray, quality: int) -> bytes:
    return encode_jpeg(image, quality, colorsubsampling="420")
