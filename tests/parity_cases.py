"""What every step is in torchvision, and how far off an image may be."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torchvision.transforms.v2.functional as tv
from recipes import step
from torchvision.transforms import InterpolationMode

from fastffdi.recipe.steps.base import Range, Step

#: reference(image (3, H, W) uint8, the first kernel of the lowered step, which image, its numbers): the
#: image (3, h, w) uint8, or several views of it
Reference = Callable[[torch.Tensor, Any, int, np.ndarray], torch.Tensor | Sequence[torch.Tensor]]

TURN, AROUND_ONE, HUE = Range(-45, 45), Range(0.5, 1.5), Range(-0.3, 0.3)


@dataclass(frozen=True)
class Case:
    """A step, what it is in torchvision, and how far off an image may be: on average, and anywhere."""

    step: Step
    reference: Reference
    mean: float
    most: int = 255


def always(function: Callable[..., Any], *arguments: Any, **named: Any) -> Reference:
    return lambda x, kernel, i, u: function(x, *arguments, **named)


def where(p: float, function: Callable[..., Any], *arguments: Any, **named: Any) -> Reference:
    """For images whose first number is below p."""
    return lambda x, kernel, i, u: function(x, *arguments, **named) if u[0] < p else x


def resized_crop(mode: str) -> Reference:
    def reference(x: torch.Tensor, kernel: Any, i: int, u: np.ndarray) -> torch.Tensor:
        height, width = x.shape[1:]
        ends = np.rint(kernel.roi[i] * [height, width, height, width]).astype(int).tolist()
        top, left, bottom, right = ends
        part = top, left, bottom - top, right - left
        return tv.resized_crop(x, *part, [160, 160], InterpolationMode(mode), antialias=True)

    return reference


def cropped(x: torch.Tensor, kernel: Any, i: int, u: np.ndarray) -> torch.Tensor:
    return tv.crop(x, *kernel.start[i].tolist(), *kernel.size[i].tolist())


def padded_crop(x: torch.Tensor, kernel: Any, i: int, u: np.ndarray) -> torch.Tensor:
    below, right = max(300 - x.shape[1], 0), max(240 - x.shape[2], 0)
    return place_crop(tv.pad(x, [right, below], fill=7), u, 300, 240)


def mirrored_crop(x: torch.Tensor, kernel: Any, i: int, u: np.ndarray) -> torch.Tensor:
    return place_crop(tv.pad(x, [31, 8, 5, 40], padding_mode="reflect"), u, 150, 99)


def place_crop(x: torch.Tensor, u: np.ndarray, height: int, width: int) -> torch.Tensor:
    top, left = (
        int(v * (side + 1)) for v, side in zip(u, (x.shape[1] - height, x.shape[2] - width), strict=True)
    )
    return tv.crop(x, top, left, height, width)


def rotated(mode: str, **named: Any) -> Reference:
    return lambda x, kernel, i, u: tv.rotate(x, float(TURN.at(u[0])), InterpolationMode(mode), **named)


def affine(mode: str, center: list[float] | None = None) -> Reference:
    def reference(x: torch.Tensor, kernel: Any, i: int, u: np.ndarray) -> torch.Tensor:
        height, width = x.shape[1:]
        shift = [round(0.1 * width * (2 * u[1] - 1)), round(0.2 * height * (2 * u[2] - 1))]
        shear = [float(Range(-10, 10).at(u[4])), float(Range(5, 15).at(u[5]))]
        turn, scale = float(TURN.at(u[0])), float(Range(0.7, 1.4).at(u[3]))
        return tv.affine(x, turn, shift, scale, shear, InterpolationMode(mode), center=center)

    return reference


def tilted(mode: str) -> Reference:
    def reference(x: torch.Tensor, kernel: Any, i: int, u: np.ndarray) -> torch.Tensor:
        height, width = x.shape[1:]
        reach = np.array([width // 4, height // 4])
        low = [[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]]
        first = np.where(np.array(low) > 0, np.array(low) - reach, 0)
        corners = (first + np.floor(u[1:].reshape(4, 2) * (reach + 1))).astype(int).tolist()
        return tv.perspective(x, low, corners, InterpolationMode(mode)) if u[0] < 0.8 else x

    return reference


def blurred(x: torch.Tensor, kernel: Any, i: int, u: np.ndarray) -> torch.Tensor:
    return tv.gaussian_blur(x, [5, 9], float(Range(0.1, 5).at(u[0])))


def compressed(x: torch.Tensor, kernel: Any, i: int, u: np.ndarray) -> torch.Tensor:
    """By Pillow, to the same bytes as torchvision's own codec, which is deprecated."""
    image = tv.to_pil_image(x)
    return tv.pil_to_tensor(tv.jpeg(image, 30 + int(u[1] * 66)) if u[0] < 0.8 else image)


def erased(x: torch.Tensor, kernel: Any, i: int, u: np.ndarray) -> torch.Tensor:
    top, left, bottom, right = kernel.box[i].tolist()
    return tv.erase(x, top, left, bottom - top, right - left, torch.tensor([9, 80, 200])[:, None, None])


def noisy(x: torch.Tensor, kernel: Any, i: int, u: np.ndarray) -> torch.Tensor:
    """Not torchvision's numbers: MurmurHash3's finaliser of place and key, in 64 bits."""
    key = np.uint64(u[1] * 2**24)
    word = (np.arange(x.numel(), dtype=np.uint64) * np.uint64(0x9E3779B9) + key) % np.uint64(2**32)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        word = ((word ^ (word >> np.uint64(shift))) * np.uint64(factor)) % np.uint64(2**32)
    bell = sum((word >> np.uint64(8 * k)) & np.uint64(255) for k in range(4)).astype(np.int64) - 510
    added = np.rint(bell * (0.08 * 255 / np.sqrt((256**2 - 1) / 3)))
    out = x.permute(1, 2, 0) + torch.from_numpy(added).view(*x.shape[1:], 3)
    return out.clamp(0, 255).to(torch.uint8).permute(2, 0, 1)


def transformed(x: torch.Tensor, kernel: Any, i: int, u: np.ndarray) -> torch.Tensor:
    matrix = torch.from_numpy(kernel.matrix[i].astype(np.float64))
    out = torch.einsum("ij,jhw->ihw", matrix[:, :3], x.double()) + matrix[:, 3, None, None]
    return out.round().clamp(0, 255).to(torch.uint8)


_PADDING, _TURN = [20, 5, 0, 31], [TURN.low, TURN.high]
_SHEAR = {"translate": [0.1, 0.2], "scale": [0.7, 1.4], "shear": [-10, 10, 5, 15]}
_COLOURS = {"brightness": 0.5, "contrast": 0.5, "saturation": 0.5, "hue": 0.3}
_COLOUR = [9, 80, 200]
_ERASE = {"p": 0.8, "value": _COLOUR}

CASES = {
    "resize smaller": Case(
        step("resize", size=[128, 150]), always(tv.resize, [128, 150], antialias=True), 0.3
    ),
    "resize larger": Case(
        step("resize", size=[410, 460]), always(tv.resize, [410, 460], antialias=True), 0.3
    ),
    "resize the shorter side": Case(step("resize", size=150), always(tv.resize, [150], antialias=True), 0.3),
    "resize by bicubic interpolation": Case(
        step("resize", size=[128, 150], interpolation="bicubic"),
        always(tv.resize, [128, 150], InterpolationMode.BICUBIC, antialias=True),
        0.3,
    ),
    "resize larger by bicubic interpolation": Case(
        step("resize", size=[410, 460], interpolation="bicubic"),
        always(tv.resize, [410, 460], InterpolationMode.BICUBIC, antialias=True),
        0.4,
    ),
    "resize the shorter side, the longer limited": Case(
        step("resize", size=150, max_size=190), always(tv.resize, [150], max_size=190, antialias=True), 0.3
    ),
    "resize the longer side": Case(
        step("resize", size=None, max_size=140), always(tv.resize, None, max_size=140, antialias=True), 0.3
    ),
    "center_crop": Case(step("center_crop", size=[181, 260]), always(tv.center_crop, [181, 260]), 0),
    "random_crop": Case(step("random_crop", size=[150, 99]), cropped, 0),
    "random_crop where needed padded": Case(
        step("random_crop", size=[300, 240], pad_if_needed=True, fill=7), padded_crop, 0
    ),
    "random_crop padded": Case(
        step("random_crop", size=[150, 99], padding=[31, 8, 5, 40], padding_mode="reflect"), mirrored_crop, 0
    ),
    "random_resized_crop": Case(step("random_resized_crop", size=160), resized_crop("bilinear"), 0.3),
    "random_resized_crop by bicubic interpolation": Case(
        step("random_resized_crop", size=160, interpolation="bicubic"), resized_crop("bicubic"), 0.4
    ),
    "five_crop": Case(step("five_crop", size=[100, 91]), always(tv.five_crop, [100, 91]), 0),
    "ten_crop": Case(step("ten_crop", size=[100, 91]), always(tv.ten_crop, [100, 91]), 0),
    "ten_crop upside down": Case(
        step("ten_crop", size=[101, 90], vertical_flip=True), always(tv.ten_crop, [101, 90], True), 0
    ),
    **{
        f"pad {mode}": Case(
            step("pad", padding=_PADDING, fill=9, padding_mode=mode),
            always(tv.pad, _PADDING, fill=9, padding_mode=mode),
            0,
        )
        for mode in ("constant", "edge", "reflect", "symmetric")
    },
    "pad with a colour": Case(
        step("pad", padding=_PADDING, fill=_COLOUR), always(tv.pad, _PADDING, fill=_COLOUR), 0
    ),
    "horizontal_flip": Case(step("horizontal_flip"), where(0.5, tv.horizontal_flip), 0),
    "vertical_flip": Case(step("vertical_flip"), where(0.5, tv.vertical_flip), 0),
    "random_rotation": Case(step("random_rotation", degrees=_TURN), rotated("bilinear"), 0.05, 1),
    "random_rotation to the nearest": Case(
        step("random_rotation", degrees=_TURN, interpolation="nearest"), rotated("nearest"), 0.1
    ),
    # With a fill, torchvision blends it twice into the outermost pixels; without, once, as we do.
    "random_rotation over a fill": Case(
        step("random_rotation", degrees=_TURN, fill=100), rotated("bilinear", fill=100), 0.4, 64
    ),
    "random_rotation about a point": Case(
        step("random_rotation", degrees=_TURN, center=[30, 60.5]),
        rotated("bilinear", center=[30, 60.5]),
        0.05,
        1,
    ),
    "random_rotation to the nearest, over a colour": Case(
        step("random_rotation", degrees=_TURN, interpolation="nearest", fill=_COLOUR),
        rotated("nearest", fill=_COLOUR),
        0.1,
    ),
    "random_affine": Case(step("random_affine", degrees=_TURN, **_SHEAR), affine("bilinear"), 0.05, 1),
    "random_affine to the nearest, about a point": Case(
        step("random_affine", degrees=_TURN, **_SHEAR, interpolation="nearest", center=[30, 60]),
        affine("nearest", [30, 60]),
        0.1,
    ),
    "random_perspective": Case(step("random_perspective", p=0.8), tilted("bilinear"), 0.05),
    "random_perspective to the nearest": Case(
        # Now and then a row falls half way between two.
        step("random_perspective", p=0.8, interpolation="nearest"),
        tilted("nearest"),
        0.3,
    ),
    # Deliberately not torchvision's: the reference is the step's own matrix in double precision.
    "color_jitter": Case(step("color_jitter", **_COLOURS), transformed, 0.3, 1),
    "grayscale": Case(step("grayscale"), always(tv.rgb_to_grayscale, 3), 0.6, 1),
    "random_grayscale": Case(step("random_grayscale", p=0.6), where(0.6, tv.rgb_to_grayscale, 3), 0.6, 1),
    "random_invert": Case(step("random_invert"), where(0.5, tv.invert), 0),
    "random_posterize": Case(step("random_posterize", bits=3), where(0.5, tv.posterize, 3), 0),
    "random_solarize": Case(step("random_solarize", threshold=99.5), where(0.5, tv.solarize, 99.5), 0),
    "random_equalize": Case(step("random_equalize"), where(0.5, tv.equalize), 0),
    "random_autocontrast": Case(step("random_autocontrast"), where(0.5, tv.autocontrast), 0),
    "gaussian_blur": Case(step("gaussian_blur", kernel_size=[5, 9], sigma=[0.1, 5]), blurred, 0.01, 1),
    "random_adjust_sharpness": Case(
        step("random_adjust_sharpness", sharpness_factor=2.3), where(0.5, tv.adjust_sharpness, 2.3), 0.5, 1
    ),
    "random_adjust_sharpness to smooth": Case(
        step("random_adjust_sharpness", sharpness_factor=0.3), where(0.5, tv.adjust_sharpness, 0.3), 0.5, 1
    ),
    "jpeg_compression": Case(step("jpeg_compression", quality=[30, 95], p=0.8), compressed, 0),
    "random_erasing": Case(step("random_erasing", **_ERASE), erased, 0),
    "gaussian_noise": Case(step("gaussian_noise", sigma=0.08), noisy, 0.01, 1),
}
