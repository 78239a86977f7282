"""The DeviceStage: the kernels a loader left undone, on a whole batch, in torch.

Every kernel is a fixed number of torch operations however many pictures there are, and none of them makes the
host wait. The parameters of a batch travel in one pinned buffer and one copy.

Shapes: N pictures, H × W before and h × w after a kernel; x is (N, H, W, 3) uint8 throughout.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from fastffdi.recipe.kernels import Flip, Kernel, Matrix, Normalize, Program, Resize, Warp, Window

Parameters = dict[str, torch.Tensor]

#: Numbers in a tensor that torch works on in one thread, whatever set_num_threads says (at::GRAIN_SIZE).
_UNSHARED = 32_767


class DeviceStage:
    """A loader's images to model input: (N, 3, H, W), channels-last, in the model's precision.

    device  where the model is
    dtype   float32, float16 or bfloat16
    """

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self.device, self.dtype = device, dtype
        self._tables: dict[tuple[Normalize, int], tuple[torch.Tensor, torch.Tensor]] = {}

    def __call__(self, images: torch.Tensor, program: Program, done: int) -> torch.Tensor:
        """The images with the program's kernels from number `done` on applied.

        images (N, H, W, 3) uint8; where the whole program is done, of any dtype.
        """
        x = images.to(self.device, non_blocking=True)
        if done == len(program):
            return x.to(self.dtype).permute(0, 3, 1, 2)
        *kernels, normalize = program.kernels[done:]
        for kernel, parameters in zip(kernels, upload(kernels, self.device), strict=True):
            x = KERNELS[type(kernel)](x, kernel, parameters)
        assert isinstance(normalize, Normalize)
        return self._normalized(x, normalize).permute(0, 3, 1, 2)

    def _normalized(self, x: torch.Tensor, normalize: Normalize) -> torch.Tensor:
        """One pass over rows of W·3 numbers: an inner dimension of 3 would be several times slower."""
        n, height, width, _ = x.shape
        x = x.reshape(n * height, width * 3)
        if (normalize, width) not in self._tables:
            self._tables[normalize, width] = self._scale_bias(normalize, width)
        scale, bias = self._tables[normalize, width]
        out = torch.empty((n * height, width * 3), dtype=self.dtype, device=self.device)
        # On a CPU in pieces too small for torch to share them out: its threads would wait for one another,
        # spinning, on cores that the loader's threads keep busy; and its float32 copy stays in the cache.
        rows = max(1, _UNSHARED // (width * 3)) if self.device.type == "cpu" else len(x)
        for piece, place in zip(torch.split(x, rows), torch.split(out, rows), strict=True):
            torch.addcmul(bias, piece, scale, out=place)
        return out.view(n, height, width, 3)

    def _scale_bias(self, normalize: Normalize, width: int) -> tuple[torch.Tensor, torch.Tensor]:
        mean, std = (torch.tensor(values, dtype=torch.float32) for values in (normalize.mean, normalize.std))
        scale, bias = 1 / (255 * std), -mean / std
        return scale.repeat(width).to(self.device), bias.repeat(width).to(self.device)


def upload(kernels: Sequence[Kernel], device: torch.device) -> list[Parameters]:
    """The per-picture parameters of some kernels on the device, as float32 (N, …): one buffer, one copy."""
    arrays = [kernel.arrays() for kernel in kernels]
    flat = [value.astype(np.float32).ravel() for named in arrays for value in named.values()]
    buffer = torch.from_numpy(np.concatenate(flat)) if flat else torch.empty(0)
    if device.type == "cuda":
        buffer = buffer.pin_memory().to(device, non_blocking=True)
    pieces = iter(torch.split(buffer, [len(values) for values in flat]))
    return [{name: next(pieces).view(value.shape) for name, value in named.items()} for named in arrays]


def _window(x: torch.Tensor, kernel: Window, p: Parameters) -> torch.Tensor:
    height, width = (int(side) for side in kernel.size[0])
    ys = p["start"][:, :1].long() + torch.arange(height, device=x.device)
    xs = p["start"][:, 1:].long() + torch.arange(width, device=x.device)
    inside = _within(ys, x.shape[1])[:, :, None] & _within(xs, x.shape[2])[:, None, :]
    out = _gathered(x, ys.clamp(0, x.shape[1] - 1), xs.clamp(0, x.shape[2] - 1))
    return out.masked_fill(~inside[..., None], kernel.fill)


def _flip(x: torch.Tensor, kernel: Flip, p: Parameters) -> torch.Tensor:
    return _gathered(x, _mirrored(p["vertical"], x.shape[1]), _mirrored(p["horizontal"], x.shape[2]))


def _resize(x: torch.Tensor, kernel: Resize, p: Parameters) -> torch.Tensor:
    """Separable: one weight matrix per picture and axis, so that any regions make two matrix products."""
    height, width = (int(side) for side in kernel.size[0])
    roi = p["roi"]
    rows = _triangle(roi[:, 0], roi[:, 2], x.shape[1], height)
    columns = _triangle(roi[:, 1], roi[:, 3], x.shape[2], width)
    narrow = torch.einsum("nwv,nhvc->nhwc", columns, x.float())
    return _levels(torch.einsum("nhg,ngwc->nhwc", rows, narrow))


def _warp(x: torch.Tensor, kernel: Warp, p: Parameters) -> torch.Tensor:
    n, height, width, _ = x.shape
    ys, xs = torch.meshgrid(*(torch.arange(s, device=x.device) for s in (height, width)), indexing="ij")
    points = torch.stack([xs, ys, torch.ones_like(xs)], dim=-1).float().view(-1, 3)
    source = points @ p["matrix"].transpose(1, 2)
    scale = torch.stack([torch.full_like(xs[0, 0], s) for s in (width, height)])
    grid = (2 * source[..., :2] / source[..., 2:] + 1) / scale - 1
    # Shifted so that the fill is 0, which is what grid_sample puts outside.
    image = x.permute(0, 3, 1, 2).float() - kernel.fill
    out = F.grid_sample(image, grid.view(n, height, width, 2), kernel.interpolation, "zeros", False)
    return _levels(out.permute(0, 2, 3, 1) + kernel.fill)


def _matrix(x: torch.Tensor, kernel: Matrix, p: Parameters) -> torch.Tensor:
    matrix = p["matrix"]
    flat = x.reshape(len(x), -1, 3).float()
    return _levels(torch.baddbmm(matrix[:, None, :, 3], flat, matrix[:, :, :3].transpose(1, 2))).view(x.shape)


def _triangle(start: torch.Tensor, end: torch.Tensor, length: int, out: int) -> torch.Tensor:
    """Antialiased bilinear weights (N, out, length) for the regions start … end, fractions of the length.

    A triangle as wide as the reduction, cut off at the region's edges and scaled to sum 1, as in Pillow.
    """
    first, last = (start * length)[:, None, None], (end * length)[:, None, None]
    step = (last - first) / out
    centre = first + step * (torch.arange(out, device=start.device)[:, None] + 0.5)
    at = torch.arange(length, device=start.device) + 0.5
    weights = (1 - (at - centre).abs() / step.abs().clamp(min=1)).clamp(min=0)
    inside = (at > torch.minimum(first, last)) & (at < torch.maximum(first, last))
    weights = weights * inside
    return weights / weights.sum(dim=2, keepdim=True)


def _gathered(x: torch.Tensor, ys: torch.Tensor, xs: torch.Tensor) -> torch.Tensor:
    """Pixels at rows ys (N, h) and columns xs (N, w): (N, h, w, 3)."""
    pictures = torch.arange(len(x), device=x.device)[:, None, None]
    return x[pictures, ys[:, :, None], xs[:, None, :]]


def _mirrored(chosen: torch.Tensor, length: int) -> torch.Tensor:
    forward = torch.arange(length, device=chosen.device)
    return torch.where(chosen[:, None] > 0, forward.flip(0), forward)


def _within(index: torch.Tensor, length: int) -> torch.Tensor:
    return (index >= 0) & (index < length)


def _levels(x: torch.Tensor) -> torch.Tensor:
    return x.round_().clamp_(0, 255).to(torch.uint8)


KERNELS: dict[type[Kernel], Callable[[torch.Tensor, Any, Parameters], torch.Tensor]] = {
    Window: _window,
    Resize: _resize,
    Flip: _flip,
    Warp: _warp,
    Matrix: _matrix,
}
