"""Procedural portraits: what the demo images show. Lengths are in pixels."""

from __future__ import annotations

import colorsys
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np


class Face(NamedTuple):
    """An upright ellipse: its centre and its half axes."""

    x: float
    y: float
    across: float
    down: float


def paint_portrait(rng: np.random.Generator) -> tuple[np.ndarray, Face]:
    """An (H, W, 3) uint8 RGB image, sides 200 to 700 pixels, and where the face is: it covers the centre."""
    width, height = rng.integers(200, 701, 2).tolist()
    across = rng.uniform(0.26, 0.33) * min(width, 1.1 * height)
    down = min(rng.uniform(1.2, 1.4) * across, 0.4 * height)
    face = Face(width * rng.uniform(0.46, 0.54), height * rng.uniform(0.48, 0.54), across, down)
    corners = np.array([[_colour(rng, value) for value in (0.4, 0.8)] for _ in range(2)], np.uint8)
    image = cv2.resize(corners, (width, height))
    for x, y, half_width, half_height, colour in _shapes(rng):
        box = (face.x + x * across, face.y + y * down), (2 * half_width * across, 2 * half_height * down), 0
        cv2.ellipse(image, box, colour.tolist(), -1, cv2.LINE_AA)
    return _photograph(rng, image, face), face


def smooth_noise(rng: np.random.Generator, height: int, width: int, cell: float) -> np.ndarray:
    """(H, W) float32 without jumps, of unit variance at its knots, which lie `cell` pixels apart."""
    knots = rng.standard_normal((int(height / cell) + 3, int(width / cell) + 3), dtype=np.float32)
    return cv2.resize(knots, (width, height), interpolation=cv2.INTER_CUBIC)


def _shapes(rng: np.random.Generator) -> Iterator[tuple[float, float, float, float, np.ndarray]]:
    """Ellipses from back to front: x, y, half width, half height and colour, the face as unit circle."""
    skin, hair = _colour(rng, rng.uniform(0.55, 0.95), 0.06), _colour(rng, rng.uniform(0.1, 0.6), 0.07)
    yield 0, -0.1, 1.3, rng.uniform(1.1, 1.4), hair
    yield 0, 1.1, 0.5, 0.6, 0.75 * skin  # neck
    yield 0, 2.7, 2.0, 1.5, _colour(rng, 0.6)  # shoulders
    yield 0, 0, 1, 1, skin
    yield rng.uniform(-0.4, 0.4), -0.92, 0.9, 0.34, hair
    iris = _colour(rng, 0.4)
    for side in (-0.4, 0.4):
        yield side, -0.32, 0.25, 0.035, hair
        yield side, -0.1, 0.19, 0.08, np.array([240, 236, 230])
        yield side, -0.1, 0.09, 0.07, iris
        yield side, -0.1, 0.04, 0.03, 0.2 * iris
    yield 0, 0.25, 0.12, 0.17, 0.75 * skin  # nose
    yield 0, 0.17, 0.10, 0.22, skin
    yield 0, 0.62, rng.uniform(0.28, 0.38), 0.08, skin * (0.85, 0.55, 0.65)  # mouth


def _colour(rng: np.random.Generator, value: float, hue: float | None = None) -> np.ndarray:
    """RGB in [0, 255] of a brightness `value` in [0, 1]; any hue where none is given."""
    hue = rng.uniform() if hue is None else hue + rng.uniform(-0.02, 0.02)
    return 255 * np.array(colorsys.hsv_to_rgb(hue, 0.45, value))


def _photograph(rng: np.random.Generator, image: np.ndarray, face: Face) -> np.ndarray:
    """The image in the light of a lamp beside the face, with texture on every surface and film grain."""
    height, width = image.shape[:2]
    right = (np.arange(width, dtype=np.float32) - face.x) / face.across + rng.uniform(-0.7, 0.7)
    below = (np.arange(height, dtype=np.float32)[:, None] - face.y) / face.down + 0.4
    lamp = 0.6 + 0.5 * np.exp(-(right**2 + below**2) / 3)
    texture = 1 + rng.uniform(0.02, 0.06) * smooth_noise(rng, height, width, rng.uniform(3, 6))
    grain = rng.uniform(4, 11) * rng.standard_normal((height, width), dtype=np.float32)
    lit = cv2.GaussianBlur(image, (0, 0), 0.5 + 0.01 * face.across) * (lamp * texture)[..., None]
    return np.clip(lit + cv2.GaussianBlur(grain, (0, 0), 0.5)[..., None], 0, 255).astype(np.uint8)
