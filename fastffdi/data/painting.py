"""Procedural portraits: what the demo pictures show.

A picture is (H, W, 3) RGB, uint8 while flat colours are drawn and float32 in [0, 255] from the lighting
on. Lengths are in px.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[Any]
Colour = tuple[int, int, int]

SIDE_PX = (200, 700)


@dataclass(frozen=True)
class Face:
    """Where the face is: its centre and half axes in px, and its tilt in degrees."""

    x: float
    y: float
    across: float
    down: float
    tilt: float

    def at(self, right: float, below: float) -> tuple[float, float]:
        """The point (px) at a place given in half axes from the centre, tilted with the face."""
        turn = np.deg2rad(self.tilt)
        dx, dy = right * self.across, below * self.down
        return self.x + dx * np.cos(turn) - dy * np.sin(turn), self.y + dx * np.sin(turn) + dy * np.cos(turn)


@dataclass(frozen=True)
class Portrait:
    """A painted sitter: (H, W, 3) float32, and where the face is."""

    picture: Pixels
    face: Face


def paint_portrait(rng: np.random.Generator) -> Portrait:
    """Paint a sitter before a wall, central enough that a crop of the middle shows mostly face."""
    width, height = (int(side) for side in rng.integers(SIDE_PX[0], SIDE_PX[1] + 1, size=2))
    face = _place_face(rng, width, height)
    return Portrait(_paint(rng, width, height, face), face)


def face_mask(face: Face, height: int, width: int, size: float) -> Pixels:
    """(H, W) float32: 1 within the face times `size`, 0 without, with a soft edge."""
    mask = np.zeros((height, width), np.uint8)
    _ellipse(mask, (face.x, face.y), (face.across * size, face.down * size), (255, 255, 255), face.tilt)
    softened: Pixels = blurred(mask, 0.05 * face.across).astype(np.float32) / 255
    return softened


def smooth_noise(rng: np.random.Generator, height: int, width: int, cell_px: float) -> Pixels:
    """(H, W) float32 without jumps, of unit variance at its knots, which lie `cell_px` apart."""
    knots = rng.standard_normal((int(height / cell_px) + 3, int(width / cell_px) + 3), dtype=np.float32)
    noise: Pixels = cv2.resize(knots, (width, height), interpolation=cv2.INTER_CUBIC)
    return noise


def blurred(picture: Pixels, sigma_px: float) -> Pixels:
    """`picture` under a Gaussian of `sigma_px`; shape and dtype stay."""
    result: Pixels = cv2.GaussianBlur(picture, (0, 0), sigma_px)
    return result


def mixed(one: Pixels, other: Pixels, share: float) -> Pixels:
    """`share` of `one` and the rest of `other`; shape and dtype stay."""
    result: Pixels = cv2.addWeighted(one, share, other, 1 - share, 0.0)
    return result


def to_uint8(picture: Pixels) -> Pixels:
    """`picture` rounded and clipped to uint8."""
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _place_face(rng: np.random.Generator, width: int, height: int) -> Face:
    across = rng.uniform(0.26, 0.33) * min(width, 1.1 * height)
    return Face(
        x=width * rng.uniform(0.46, 0.54),
        y=height * rng.uniform(0.48, 0.54),
        across=across,
        down=min(across * rng.uniform(1.2, 1.4), 0.4 * height),
        tilt=rng.uniform(-8, 8),
    )


def _paint(rng: np.random.Generator, width: int, height: int, face: Face) -> Pixels:
    """A sitter before a wall, as float32."""
    skin = _colour(rng, hue=(0.04, 0.08), saturation=(0.3, 0.55), value=(0.5, 0.95))
    hair = _colour(rng, hue=(0.03, 0.11), saturation=(0.2, 0.7), value=(0.1, 0.6))
    picture = _paint_wall(rng, width, height)
    _paint_clothes(rng, picture, face)
    _paint_hair_and_neck(rng, picture, face, skin, hair)
    _paint_head(rng, picture, face, skin)
    _paint_features(rng, picture, face, skin, hair)
    return _light(rng, picture, face)


def _paint_wall(rng: np.random.Generator, width: int, height: int) -> Pixels:
    """A two-coloured gradient with out-of-focus lights, as uint8."""
    hue = rng.uniform()
    ends = [_colour(rng, (hue, hue + 0.2), (0.15, 0.6), value) for value in ((0.25, 0.6), (0.5, 0.9))]
    down = np.linspace(0, rng.uniform(0.3, 1.0), height, dtype=np.float32)[:, None]
    right = np.linspace(0, rng.uniform(0.0, 0.6), width, dtype=np.float32)[None, :]
    slope = np.clip(down + right + 0.12 * smooth_noise(rng, height, width, 90), 0, 1)[..., None]
    dark, bright = (np.array(end, np.float32) for end in ends)
    wall = to_uint8(bright * (1 - slope) + dark * slope)
    lights = wall.copy()
    for _ in range(int(rng.integers(0, 14))):
        spot = rng.uniform(0, width), rng.uniform(0, height)
        radius = rng.uniform(0.02, 0.08) * (width + height) / 2
        _ellipse(lights, spot, (radius, radius), _colour(rng, (0, 1), (0.1, 0.5), (0.7, 1.0)))
    return mixed(blurred(lights, 2.5), wall, 0.6)


def _paint_clothes(rng: np.random.Generator, picture: Pixels, face: Face) -> None:
    colour = _colour(rng, (0, 1), (0.2, 0.8), (0.2, 0.9))
    middle = face.x, face.y + 2.75 * face.down
    _ellipse(picture, middle, (2.0 * face.across, 1.55 * face.down), colour)
    darker = _shade(colour, 0.8)
    for step in range(1, int(rng.integers(1, 9))):  # a yoke, or a striped jumper
        ring = 2.0 * face.across * (1 - 0.09 * step), 1.55 * face.down * (1 - 0.09 * step)
        _ellipse(picture, middle, ring, darker if step % 2 else colour)


def _paint_hair_and_neck(
    rng: np.random.Generator, picture: Pixels, face: Face, skin: Colour, hair: Colour
) -> None:
    length = rng.uniform(1.05, 1.6)
    back = face.at(0, -0.25 + 0.6 * (length - 1))
    _ellipse(picture, back, (face.across * 1.28, face.down * length), hair, face.tilt)
    _ellipse(picture, face.at(0, 1.1), (face.across * 0.5, face.down * 0.6), _shade(skin, 0.75))


def _paint_head(rng: np.random.Generator, picture: Pixels, face: Face, skin: Colour) -> None:
    for side in (-1, 1):
        ear = face.at(side * 0.99, 0.05)
        _ellipse(picture, ear, (face.across * 0.14, face.down * 0.2), _shade(skin, 0.85), face.tilt)
    _ellipse(picture, (face.x, face.y), (face.across, face.down), skin, face.tilt)


def _paint_features(
    rng: np.random.Generator, picture: Pixels, face: Face, skin: Colour, hair: Colour
) -> None:
    a, d, tilt = face.across, face.down, face.tilt
    iris = _colour(rng, (0.05, 0.65), (0.3, 0.7), (0.25, 0.6))
    lips = _colour(rng, (0.96, 1.02), (0.45, 0.7), (0.45, 0.8))
    part = rng.uniform(-0.4, 0.4)
    _ellipse(picture, face.at(part, -0.92), (a * 0.9, d * 0.34), hair, tilt)  # the fringe
    for side in (-1, 1):
        eye = face.at(side * 0.4, -0.12)
        _ellipse(picture, eye, (a * 0.21, d * 0.095), _shade(skin, 0.62), tilt)
        _ellipse(picture, eye, (a * 0.18, d * 0.075), (240, 236, 230), tilt)
        _ellipse(picture, eye, (d * 0.072, d * 0.072), iris)
        _ellipse(picture, eye, (d * 0.035, d * 0.035), (15, 12, 12))
        _ellipse(picture, (eye[0] + d * 0.02, eye[1] - d * 0.025), (d * 0.014, d * 0.014), (250, 250, 250))
        _ellipse(
            picture, face.at(side * 0.42, -0.34), (a * 0.25, d * 0.035), _shade(hair, 0.8), tilt - 5 * side
        )
    _ellipse(picture, face.at(0.03, 0.14), (a * 0.1, d * 0.24), _shade(skin, 1.08), tilt)
    for side in (-1, 1):
        _ellipse(picture, face.at(side * 0.09, 0.36), (a * 0.06, d * 0.025), _shade(skin, 0.55), tilt)
    _ellipse(picture, face.at(0, 0.62), (a * rng.uniform(0.28, 0.38), d * 0.085), lips, tilt)
    _ellipse(picture, face.at(0, 0.615), (a * 0.27, d * 0.014), _shade(lips, 0.5), tilt)


def _light(rng: np.random.Generator, picture: Pixels, face: Face) -> Pixels:
    """Round the head with light from one side, and give every surface a texture."""
    height, width = picture.shape[:2]
    lit = blurred(picture, max(0.012 * face.across, 0.6)).astype(np.float32)
    side = np.clip((np.arange(width, dtype=np.float32) - face.x) / face.across, -1.2, 1.2)[None, :]
    depth = np.clip((np.arange(height, dtype=np.float32) - face.y) / face.down, -1.2, 1.2)[:, None]
    glow = rng.choice((-1, 1)) * rng.uniform(0.08, 0.22) * side - 0.12 * depth - 0.18 * side**2
    head = face_mask(face, height, width, size=1.0)
    texture = 0.030 * smooth_noise(rng, height, width, rng.uniform(3, 6)) + 0.02 * smooth_noise(
        rng, height, width, 40
    )
    texture = texture * rng.uniform(0.6, 2.0)
    shaded: Pixels = lit * (1 + head * glow + texture)[..., None]
    return shaded


def _ellipse(
    picture: Pixels, centre: tuple[float, float], axes: tuple[float, float], colour: Colour, tilt: float = 0.0
) -> None:
    cv2.ellipse(picture, (centre, (2 * axes[0], 2 * axes[1]), tilt), colour, -1, cv2.LINE_AA)


def _colour(
    rng: np.random.Generator,
    hue: tuple[float, float],
    saturation: tuple[float, float],
    value: tuple[float, float],
) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(
        rng.uniform(*hue) % 1.0, rng.uniform(*saturation), rng.uniform(*value)
    )
    return round(255 * red), round(255 * green), round(255 * blue)


def _shade(colour: Colour, factor: float) -> Colour:
    red, green, blue = (min(255, round(channel * factor)) for channel in colour)
    return red, green, blue
