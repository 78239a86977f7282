"""Kernels that move pixels, on one image (H, W, 3) uint8 at a time: image i of a kernel.

`out` is memory of the result's shape that a kernel may write to; if it did, it returns `out`.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch

from fastffdi.recipe.kernels import Fill, Flip, Resize, Warp, Window

Out = np.ndarray | None

_BORDER = {
    "constant": cv2.BORDER_CONSTANT,
    "edge": cv2.BORDER_REPLICATE,
    "reflect": cv2.BORDER_REFLECT_101,
    "symmetric": cv2.BORDER_REFLECT,
}
_RESIZE = {
    "bilinear": torch.ops.aten._upsample_bilinear2d_aa.out,
    "bicubic": torch.ops.aten._upsample_bicubic2d_aa.out,
}
_INTERPOLATION = {"nearest": cv2.INTER_NEAREST, "bilinear": cv2.INTER_LINEAR}


def window(image: np.ndarray, kernel: Window, i: int, out: Out = None) -> np.ndarray:
    part = _cut(image, kernel, i)
    if kernel.horizontal is None or kernel.vertical is None:
        return part
    return _flipped(part, bool(kernel.horizontal[i]), bool(kernel.vertical[i]), out)


def _cut(image: np.ndarray, kernel: Window, i: int) -> np.ndarray:
    top, left = kernel.start[i].tolist()
    height, width = kernel.size[i].tolist()
    bottom, right = top + height, left + width
    if top >= 0 and left >= 0 and bottom <= image.shape[0] and right <= image.shape[1]:
        return image[top:bottom, left:right]
    inside = image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    if kernel.mode != "constant" or not inside.size:
        return _window_of_padded(image, (top, left, bottom, right), kernel)
    margins = max(-top, 0), max(bottom - image.shape[0], 0), max(-left, 0), max(right - image.shape[1], 0)
    return cv2.copyMakeBorder(inside, *margins, cv2.BORDER_CONSTANT, value=_channels(kernel.fill))


def _window_of_padded(image: np.ndarray, box: tuple[int, int, int, int], kernel: Window) -> np.ndarray:
    """Pad first: mirrored pixels may come from parts of the image that the window leaves out."""
    top, left, bottom, right = box
    above, before = max(-top, 0), max(-left, 0)
    margins = above, max(bottom - image.shape[0], 0), before, max(right - image.shape[1], 0)
    padded = cv2.copyMakeBorder(image, *margins, _BORDER[kernel.mode], value=_channels(kernel.fill))
    return padded[top + above : bottom + above, left + before : right + before]


def _channels(fill: Fill) -> tuple[int, int, int]:
    return (fill,) * 3 if isinstance(fill, int) else fill


def resize(image: np.ndarray, kernel: Resize, i: int, out: Out = None) -> np.ndarray:
    region = image[kernel.part(i, *image.shape[:2]).slices]
    top, left, bottom, right = kernel.roi[i].tolist()
    resized = _antialiased(region, kernel.size[i].tolist(), kernel.interpolation, out)
    place = resized if out is None and resized is not region else out
    return _flipped(resized, left > right, top > bottom, place)


def _antialiased(image: np.ndarray, size: list[int], interpolation: str, out: Out) -> np.ndarray:
    if list(image.shape[:2]) == size:
        return image
    if out is None:
        out = np.empty((*size, 3), np.uint8)
    # What F.interpolate(..., antialias=True) calls, which has no `out`.
    _RESIZE[interpolation](_as_batch(image), size, False, None, None, out=_as_batch(out))
    return out


def _as_batch(image: np.ndarray) -> torch.Tensor:
    """(1, 3, H, W), permuted so that torch sees it as channels-last, and its uint8 kernel copies nothing."""
    return torch.from_numpy(image)[None].permute(0, 3, 1, 2)


def flip(image: np.ndarray, kernel: Flip, i: int, out: Out = None) -> np.ndarray:
    return _flipped(image, bool(kernel.horizontal[i]), bool(kernel.vertical[i]), out)


def _flipped(image: np.ndarray, horizontal: bool, vertical: bool, out: Out) -> np.ndarray:
    if not (horizontal or vertical):
        return image
    code = -1 if horizontal and vertical else int(horizontal)
    if out is None:
        return cv2.flip(image, code)
    if image is not out:
        np.copyto(out, image)  # flipped in place, in the cache: OpenCV is slow at flipping into other memory
    return cv2.flip(out, code, dst=out)


#: Moves the horizon of a tilt off the centres of pixels.
_BESIDE = np.array([[1, 1, 1], [1, 1, 1], [1 + 2**-22, 1 + 2**-22, 1]])


def warp(image: np.ndarray, kernel: Warp, i: int, out: Out = None) -> np.ndarray:
    height, width = image.shape[:2]
    flags = cv2.WARP_INVERSE_MAP | _INTERPOLATION[kernel.interpolation]
    fill, matrix = _channels(kernel.fill), kernel.matrix[i]
    if kernel.projective and _has_horizon(matrix, height, width):
        matrix = matrix * _BESIDE  # OpenCV draws black where it divides by zero
    return cv2.warpPerspective(image, matrix, (width, height), out, flags=flags, borderValue=fill)


def _has_horizon(matrix: np.ndarray, height: int, width: int) -> bool:
    """Whether a tilt's divisor changes its sign within the image, or is 0 at a corner."""
    corners = np.array([[0, 0, 1], [width - 1, 0, 1], [0, height - 1, 1], [width - 1, height - 1, 1]])
    return bool((corners @ matrix[2]).min() <= 0)
