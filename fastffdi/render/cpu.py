"""The CPU renderer: one picture at a time, a few calls into C code that release the GIL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from fastffdi.recipe.kernels import Flip, Kernel, Matrix, Program, Resize, Warp, Window

_INTERPOLATION = {"nearest": cv2.INTER_NEAREST, "bilinear": cv2.INTER_LINEAR}


def render(image: np.ndarray, program: Program, i: int) -> np.ndarray:
    """Picture i of a program: (H, W, 3) uint8 RGB in, (h, w, 3) uint8 out, perhaps a view of `image`."""
    for kernel in program.kernels:
        image = KERNELS[type(kernel)](image, kernel, i)
    return image


def _window(image: np.ndarray, kernel: Window, i: int) -> np.ndarray:
    top, left = kernel.start[i].tolist()
    height, width = kernel.size[i].tolist()
    bottom, right = top + height, left + width
    if top >= 0 and left >= 0 and bottom <= image.shape[0] and right <= image.shape[1]:
        return image[top:bottom, left:right]
    out = np.full((height, width, 3), kernel.fill, np.uint8)
    inside = image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    y, x = max(-top, 0), max(-left, 0)
    out[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    return out


def _resize(image: np.ndarray, kernel: Resize, i: int) -> np.ndarray:
    height, width = image.shape[:2]
    top, left, bottom, right = kernel.roi[i].tolist()
    rows = sorted((round(top * height), round(bottom * height)))
    columns = sorted((round(left * width), round(right * width)))
    region = image[rows[0] : rows[1], columns[0] : columns[1]]
    out = _antialiased(region, kernel.size[i].tolist())
    return _flipped(out, left > right, top > bottom)


def _antialiased(image: np.ndarray, size: list[int]) -> np.ndarray:
    if list(image.shape[:2]) == size:
        return image
    # With N, H, W, C permuted so, torch sees channels-last on both sides and its uint8 kernel copies nothing.
    batch = torch.from_numpy(image)[None].permute(0, 3, 1, 2)
    out = F.interpolate(batch, size, mode="bilinear", antialias=True)
    return np.asarray(out.permute(0, 2, 3, 1)[0].numpy())


def _flip(image: np.ndarray, kernel: Flip, i: int) -> np.ndarray:
    return _flipped(image, bool(kernel.horizontal[i]), bool(kernel.vertical[i]))


def _flipped(image: np.ndarray, horizontal: bool, vertical: bool) -> np.ndarray:
    if not (horizontal or vertical):
        return image
    return cv2.flip(image, -1 if horizontal and vertical else int(horizontal))


def _warp(image: np.ndarray, kernel: Warp, i: int) -> np.ndarray:
    height, width = image.shape[:2]
    flags = cv2.WARP_INVERSE_MAP | _INTERPOLATION[kernel.interpolation]
    fill = (kernel.fill,) * 3
    return cv2.warpPerspective(image, kernel.matrix[i], (width, height), flags=flags, borderValue=fill)


def _matrix(image: np.ndarray, kernel: Matrix, i: int) -> np.ndarray:
    return cv2.transform(image, kernel.matrix[i])


KERNELS: dict[type[Kernel], Callable[[np.ndarray, Any, int], np.ndarray]] = {
    Window: _window,
    Resize: _resize,
    Flip: _flip,
    Warp: _warp,
    Matrix: _matrix,
}
