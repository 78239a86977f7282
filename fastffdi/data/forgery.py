"""A real and a fake JPEG of one portrait: the pairs of the demo set.

Both twins come from one painting and pass through two JPEG compressions. The fake's face is warped,
blurred and compressed once more on its own. That saves bytes, so its real twin is softened as a whole
until the two files are about equally large: only local traces tell them apart.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from fastffdi.data.painting import (
    Face,
    Pixels,
    blurred,
    face_mask,
    mixed,
    paint_portrait,
    smooth_noise,
    to_uint8,
)

_SOFTENING_PX = 1.0


@dataclass(frozen=True)
class Twins:
    """The two JPEG files of one pair: equal in picture size and in quality setting."""

    real: bytes
    fake: bytes


def make_twins(rng: np.random.Generator) -> Twins:
    """Paint one portrait, with sides of 200 to 700 px, and return a real and a fake JPEG of it."""
    first, last = (int(quality) for quality in (rng.integers(80, 96), rng.integers(72, 95)))
    portrait = paint_portrait(rng)
    shot = _recompressed(_photograph(rng, portrait.picture), first)
    # Some softening in every picture, so that softening in itself tells nothing.
    shot = mixed(blurred(shot, _SOFTENING_PX), shot, rng.uniform(0.1, 0.6))
    return _equal_in_bytes(shot, _forge(rng, shot, portrait.face), last)


def _forge(rng: np.random.Generator, shot: Pixels, face: Face) -> Pixels:
    """`shot` with its face warped, blurred, compressed on its own, and blended back."""
    height, width = shot.shape[:2]
    swing = 0.03 * face.across
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    cell = max(face.across / 1.5, 8.0)
    patch = cv2.remap(
        shot,
        columns + swing * smooth_noise(rng, height, width, cell),
        rows + swing * smooth_noise(rng, height, width, cell),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT,
    )
    patch = blurred(patch, rng.uniform(0.7, 1.0))
    top, left = rng.integers(1, 8, size=2)  # off the 8 px grid of the two other compressions
    patch[top:, left:] = _recompressed(patch[top:, left:], int(rng.integers(50, 81)))
    mask = face_mask(face, height, width, size=rng.uniform(0.85, 1.05))
    return _blend(shot, patch, mask)


def _equal_in_bytes(real: Pixels, fake: Pixels, quality: int) -> Twins:
    """Both as JPEG files; the one whose file is larger is softened until they are about equal."""
    real_file, fake_file = _encode(real, quality), _encode(fake, quality)
    if len(real_file) > len(fake_file):
        return Twins(real=_soften_to_bytes(real, quality, len(fake_file)), fake=fake_file)
    return Twins(real=real_file, fake=_soften_to_bytes(fake, quality, len(real_file)))


def _soften_to_bytes(picture: Pixels, quality: int, target_bytes: int) -> bytes:
    """`picture` as a JPEG file of nearly `target_bytes`, found by halving the softening's range."""
    low, high, soft = 0.0, 1.0, blurred(picture, _SOFTENING_PX)
    best = _encode(picture, quality)
    for _ in range(6):
        share = (low + high) / 2
        file = _encode(mixed(soft, picture, share), quality)
        low, high = (share, high) if len(file) > target_bytes else (low, share)
        best = min(best, file, key=lambda one: abs(len(one) - target_bytes))
    return best


def _encode(picture: Pixels, quality: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(file, "JPEG", quality=quality)
    return file.getvalue()


def _recompressed(picture: Pixels, quality: int) -> Pixels:
    return np.array(Image.open(io.BytesIO(_encode(picture, quality))))


def _photograph(rng: np.random.Generator, painting: Pixels) -> Pixels:
    """The painting through a lens, with vignette and film grain, as uint8."""
    height, width = painting.shape[:2]
    rows = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    columns = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    vignette = 1 - rng.uniform(0.05, 0.2) * (rows**2 + columns**2)
    lit = blurred(painting, rng.uniform(0.5, 0.9)) * vignette[..., None]
    grain = rng.standard_normal((height, width, 3), dtype=np.float32)
    grain = 0.35 * grain + 0.65 * grain[..., :1]  # mostly of brightness, as in film
    grain = blurred(grain, rng.uniform(0.4, 0.6))
    return to_uint8(lit + rng.uniform(5, 14) * grain)


def _blend(below: Pixels, above: Pixels, mask: Pixels) -> Pixels:
    return to_uint8(below + (above.astype(np.float32) - below) * mask[..., None])
