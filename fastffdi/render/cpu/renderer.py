"""The CPU renderer: one image at a time, a few calls into C code that releases the GIL."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from fastffdi.recipe import kernels as k
from fastffdi.recipe.program import Program
from fastffdi.render.cpu import geometry, texture, tone


def render(image: np.ndarray, program: Program, i: int) -> np.ndarray:
    """Image i of a program: (H, W, 3) uint8 RGB in, (h, w, 3) uint8 out, perhaps a view of `image`."""
    for kernel in program.kernels:
        if not kernel.is_identity(i):
            image = KERNELS[type(kernel)](image, kernel, i)
    return image


def render_into(out: np.ndarray, image: np.ndarray, program: Program, i: int) -> None:
    """As `render`, with the result in `out` (h, w, 3) uint8, contiguous and no part of `image`."""
    active = [kernel for kernel in program.kernels if not kernel.is_identity(i)]
    for kernel in active[:-1]:
        image = KERNELS[type(kernel)](image, kernel, i)
    for kernel in active[-1:]:
        image = KERNELS[type(kernel)](image, kernel, i, out)
    if image is not out:
        np.copyto(out, image)


def can_render(kernel: k.Kernel) -> bool:
    """Whether this renderer has a kernel of a template."""
    return type(kernel) in KERNELS


def _blend(image: np.ndarray, kernel: k.Blend, i: int, out: geometry.Out = None) -> np.ndarray:
    own, *weights = kernel.weights[i].tolist()
    mixed = np.multiply(image, np.float32(own), dtype=np.float32)
    for branch, weight in zip(kernel.branches, weights, strict=True):
        cv2.scaleAdd(render(image, branch, i).astype(np.float32), weight, mixed, dst=mixed)
    return mixed.astype(np.uint8)


#: Each called with an image, the kernel, the image's index, and perhaps memory for the result.
KERNELS: dict[type[k.Kernel], Callable[..., np.ndarray]] = {
    k.Window: geometry.window,
    k.Resize: geometry.resize,
    k.Flip: geometry.flip,
    k.Warp: geometry.warp,
    k.Matrix: tone.matrix,
    k.Table: tone.table,
    k.Stretch: tone.stretch,
    k.Blur: texture.blur,
    k.Sharpen: texture.sharpen,
    k.Jpeg: texture.jpeg,
    k.Noise: texture.noise,
    k.Erase: texture.erase,
    k.Blend: _blend,
}
