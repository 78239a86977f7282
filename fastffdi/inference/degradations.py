"""What happens to images on their way: compressed, scaled, cropped; each with one number that says how much.

A degradation changes the decoded image, before a checkpoint's own preprocessing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from fastffdi.recipe.kernels import Noise, Resize
from fastffdi.recipe.program import Program
from fastffdi.render.cpu.renderer import render
from fastffdi.render.cpu.texture import round_trip

#: No side of an image of the WebP format is longer.
_WEBP_LONGEST = 16383

#: Of the screenshot: quality of its JPEG, and how much the darker values are lifted.
_SCREENSHOT_QUALITY, _SCREENSHOT_GAMMA = 90, 1.1

#: Quality of the second compression of double_jpeg.
_SECOND_QUALITY = 90

Change = Callable[[np.ndarray, float, int], np.ndarray]
Sides = Callable[[np.ndarray, float], np.ndarray]


def jpeg(image: np.ndarray, strength: float, key: int) -> np.ndarray:
    """Compressed as JPEG of that quality, chroma halved."""
    return round_trip(image, int(strength))


def double_jpeg(image: np.ndarray, strength: float, key: int) -> np.ndarray:
    """Compressed as JPEG of that quality and once more at 90, on blocks that lie elsewhere."""
    once = round_trip(image, int(strength))
    shifted = round_trip(np.roll(once, (4, 4), axis=(0, 1)), _SECOND_QUALITY)
    return np.roll(shifted, (-4, -4), axis=(0, 1))


def webp(image: np.ndarray, strength: float, key: int) -> np.ndarray:
    """Compressed as lossy WebP of that quality; in parts where the format knows no image as large."""
    if max(image.shape[:2]) > _WEBP_LONGEST:
        axis = int(np.argmax(image.shape[:2]))
        halves = np.array_split(image, 2, axis)
        return np.concatenate([webp(half, strength, key) for half in halves], axis)
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    data = cv2.imencode(".webp", bgr, [cv2.IMWRITE_WEBP_QUALITY, int(strength)])[1]
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def blur(image: np.ndarray, strength: float, key: int) -> np.ndarray:
    """Smoothed by a Gaussian of that deviation in pixels."""
    return cv2.GaussianBlur(image, (0, 0), strength)


def noise(image: np.ndarray, strength: float, key: int) -> np.ndarray:
    """With noise of that deviation in pixel values."""
    kernel = Noise(np.array([strength], np.float32), np.array([key]), np.zeros(1, np.int32))
    return render(image, Program((kernel,)), 0)


def resize(image: np.ndarray, strength: float, key: int) -> np.ndarray:
    """Scaled by that factor and back to its size, antialiased."""
    return _resized(scale(image, strength, key), image.shape[:2])


def scale(image: np.ndarray, strength: float, key: int) -> np.ndarray:
    """Scaled by that factor, antialiased."""
    return _resized(image, _sides(image, scaled, strength))


def enlarge(image: np.ndarray, strength: float, key: int) -> np.ndarray:
    """Scaled so that the shorter side has so many more pixels."""
    return _resized(image, _sides(image, enlarged, strength))


def crop(image: np.ndarray, strength: float, key: int) -> np.ndarray:
    """The middle, with that share of both sides."""
    height, width = _sides(image, scaled, strength)
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top : top + height, left : left + width]


def screenshot(image: np.ndarray, strength: float, key: int) -> np.ndarray:
    """As a screen shows it and a messenger sends it: scaled by that factor, gamma 1.1, JPEG at 90."""
    values = np.rint(255 * (np.arange(256) / 255) ** (1 / _SCREENSHOT_GAMMA)).astype(np.uint8)
    return round_trip(cv2.LUT(scale(image, strength, key), values), _SCREENSHOT_QUALITY)


def scaled(sizes: np.ndarray, strength: float) -> np.ndarray:
    """Sizes (N, 2) by that factor, rounded, at least a pixel."""
    return np.maximum(1, np.rint(sizes * strength)).astype(np.int32)


def enlarged(sizes: np.ndarray, strength: float) -> np.ndarray:
    """Sizes (N, 2), the shorter side longer by so many pixels."""
    shorter = np.maximum(sizes.min(axis=1, keepdims=True), 1)
    return np.rint(sizes * ((shorter + strength) / shorter)).astype(np.int32)


#: Name → its strength in words, what it does, and the sizes after it; None where they stay.
_KINDS: dict[str, tuple[str, Change, Sides | None]] = {
    "jpeg": ("quality {:g}", jpeg, None),
    "double_jpeg": ("quality {:g}, then 90", double_jpeg, None),
    "webp": ("quality {:g}", webp, None),
    "blur": ("sigma {:g} px", blur, None),
    "noise": ("sigma {:g} of 255", noise, None),
    "resize": ("factor {:g}", resize, None),
    "scale": ("factor {:g}", scale, scaled),
    "enlarge": ("{:g} px more", enlarge, enlarged),
    "crop": ("share {:g}", crop, scaled),
    "screenshot": ("factor {:g}", screenshot, scaled),
}


@dataclass(frozen=True)
class Degradation:
    """One of the table above, by its `name`, with a `strength`. May be pickled."""

    name: str
    strength: float

    def __str__(self) -> str:
        return f"{self.name}_{self.strength:g}"

    @property
    def parameter(self) -> str:
        """The strength in words."""
        return _KINDS[self.name][0].format(self.strength)

    def __call__(self, image: np.ndarray, key: int = 0) -> np.ndarray:
        """Of an image (H, W, 3) uint8 the degraded one, perhaps a view; `key` decides noise."""
        return _KINDS[self.name][1](image, self.strength, key)

    def sizes(self, sizes: np.ndarray) -> np.ndarray:
        """Height, width (N, 2) of degraded images, from those before."""
        after = _KINDS[self.name][2]
        return sizes if after is None else after(sizes, self.strength)


def _family(name: str, *strengths: float) -> tuple[Degradation, ...]:
    return tuple(Degradation(name, strength) for strength in strengths)


#: What an image goes through that is sent and shown, and looks as before: those of predict --stability.
MILD = (
    *_family("jpeg", 90, 70, 50),
    *_family("resize", 0.5),
    *_family("blur", 1),
    *_family("crop", 0.9),
    *_family("enlarge", 64),
    *_family("webp", 80),
)

#: Those of evaluate --stress, each from mild to strong.
STRESS = (
    *_family("jpeg", 95, 85, 75, 50, 30),
    *_family("double_jpeg", 75, 50),
    *_family("webp", 80, 50, 20),
    *_family("blur", 0.5, 1, 2),
    *_family("resize", 0.75, 0.5, 0.25),
    *_family("noise", 2, 5, 10),
    *_family("crop", 0.9, 0.75, 0.5),
    *_family("screenshot", 1.5),
)

#: Those of evaluate --bias for each fact that may stand in for the forgery.
BIAS = {
    "JPEG quality": _family("jpeg", 90, 75, 50),
    "size": _family("scale", 0.75, 0.5),
    "sharpness": _family("blur", 0.5, 1),
}

#: An image as it is, for scores to compare with.
AS_IT_IS = Degradation("crop", 1)


def _sides(image: np.ndarray, after: Sides, strength: float) -> tuple[int, int]:
    height, width = after(np.array([image.shape[:2]]), strength)[0].tolist()
    return height, width


def _resized(image: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    kernel = Resize(np.array([[0, 0, 1, 1]], np.float32), np.array([size], np.int32))
    return render(image, Program((kernel,)), 0)
