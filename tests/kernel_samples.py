"""One of every kernel, with other parameters for each of n images of H × W, for the renderers' tests."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fastffdi.recipe import kernels as k
from fastffdi.recipe.packing import ActiveKernel
from fastffdi.recipe.program import Program
from fastffdi.recipe.steps.warps import rotation

H, W = 24, 36
SIZE = np.array([[H, W]], np.int32)


def sample(name: str, n: int) -> k.Kernel:
    """The kernel SAMPLES names, for n images."""
    return SAMPLES[name](np.random.default_rng(0), n)


def members(n: int) -> np.ndarray:
    return np.arange(n) % 3 > 0


def whole(kernel: k.Kernel) -> ActiveKernel:
    """The kernel for all images, those that it does not change among them."""
    branches = kernel.branches if isinstance(kernel, k.Blend) else ()
    return ActiveKernel(kernel, None, tuple(tuple(map(whole, branch.kernels)) for branch in branches))


COLOUR = (9, 80, 200)


def _window(mode: str, fill: k.Fill = 50) -> Callable[[np.random.Generator, int], k.Kernel]:
    def make(rng: np.random.Generator, n: int) -> k.Kernel:
        sizes = np.tile(np.array([[30, 44]], np.int32), (n, 1))
        return k.Window(rng.integers(-18, 20, (n, 2)).astype(np.int32), sizes, fill, mode)

    return make


def _resize(interpolation: str) -> Callable[[np.random.Generator, int], k.Kernel]:
    def make(rng: np.random.Generator, n: int) -> k.Kernel:
        starts = rng.integers(0, 6, (n, 4)) * [1, 1, -1, -1] + [0, 0, H, W]
        sizes = np.tile(np.array([[20, 30]], np.int32), (n, 1))
        return k.Resize((starts / [H, W, H, W]).astype(np.float32), sizes, interpolation)

    return make


def _warp(rng: np.random.Generator, n: int, fill: k.Fill = 70) -> k.Warp:
    return k.Warp(rotation(rng.uniform(-180, 180, n), np.tile(SIZE, (n, 1))), "bilinear", fill)


def _perspective(rng: np.random.Generator, n: int) -> k.Warp:
    tilt = rng.normal(0, 1, (n, 3, 3)) * [[0.1, 0.1, 4], [0.1, 0.1, 4], [0.004, 0.004, 0]]
    return k.Warp(np.eye(3) + tilt, "bilinear", 70, projective=True)


def _matrix(rng: np.random.Generator, n: int) -> k.Kernel:
    return k.Matrix((np.eye(3, 4) + rng.normal(0, 0.2, (n, 3, 4))).astype(np.float32))


def _table(rng: np.random.Generator, n: int) -> k.Table:
    return k.Table(rng.integers(0, 256, (n, 256)).astype(np.uint8))


def _stretch(*how: int) -> Callable[[np.random.Generator, int], k.Kernel]:
    def make(rng: np.random.Generator, n: int) -> k.Stretch:
        return k.Stretch(np.resize(np.int32(how), n), rng.uniform(0, 2, n).astype(np.float32))

    return make


def _blur(rows: int, columns: int) -> Callable[[np.random.Generator, int], k.Kernel]:
    def weights(rng: np.random.Generator, n: int, width: int) -> np.ndarray:
        raw = rng.uniform(0.1, 1, (n, width))
        return (raw / raw.sum(axis=1, keepdims=True)).astype(np.float32)

    return lambda rng, n: k.Blur(weights(rng, n, rows), weights(rng, n, columns))


def _sharpen(rng: np.random.Generator, n: int) -> k.Kernel:
    return k.Sharpen(rng.uniform(0, 3, n).astype(np.float32))


def _jpeg(rng: np.random.Generator, n: int) -> k.Kernel:
    return k.Jpeg(np.where(members(n), rng.integers(1, 101, n), 0).astype(np.int32))


def _noise(rng: np.random.Generator, n: int) -> k.Kernel:
    keys = rng.integers(0, 2**32, n)
    keys[-1] = 2**32 - 1
    offset = rng.integers(-40, 41, n).astype(np.int32)
    return k.Noise(rng.uniform(0, 60, n).astype(np.float32), keys, offset)


def _erase(rng: np.random.Generator, n: int) -> k.Kernel:
    box = np.sort(rng.integers(0, W, (n, 2, 2)), axis=1).reshape(n, 4)
    return k.Erase(box.astype(np.int32), (1, 120, 250))


def _blend(rng: np.random.Generator, n: int) -> k.Kernel:
    weights = rng.dirichlet(np.ones(3), n).astype(np.float32)
    table = _table(rng, n).only(members(n), np.tile(SIZE, (n, 1)))
    inner = k.Blend((Program((_perspective(rng, n),)),), weights[:, :2])
    return k.Blend((Program((table, _warp(rng, n))), Program((inner,))), weights)


SAMPLES: dict[str, Callable[[np.random.Generator, int], k.Kernel]] = {
    **{f"window {mode}": _window(mode) for mode in ("constant", "edge", "reflect", "symmetric")},
    "window over a colour": _window("constant", COLOUR),
    "resize": _resize("bilinear"),
    "bicubic resize": _resize("bicubic"),
    "flip": lambda rng, n: k.Flip(np.arange(n) % 2 == 0, np.arange(n) % 3 == 0),
    "warp": _warp,
    "warp over a colour": lambda rng, n: _warp(rng, n, COLOUR),
    "projective warp": _perspective,
    "matrix": _matrix,
    "table": _table,
    "equalize": _stretch(k.EQUALIZE),
    "autocontrast": _stretch(k.AUTOCONTRAST),
    "contrast": _stretch(k.CONTRAST),
    "all stretches": _stretch(k.EQUALIZE, k.AUTOCONTRAST, k.CONTRAST),
    "blur": _blur(5, 9),
    "wide blur": _blur(31, 1),
    "sharpen": _sharpen,
    "jpeg": _jpeg,
    "noise": _noise,
    "erase": _erase,
    "blend": _blend,
}

#: Those that change the images' size.
SIZING = tuple(name for name in SAMPLES if "window" in name or "resize" in name)
