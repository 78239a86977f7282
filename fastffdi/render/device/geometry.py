"""Kernels that move pixels, on a batch: x (N, H, W, 3) uint8 in, (N, h, w, 3) uint8 out."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

from fastffdi.recipe.kernels import Fill, Flip, Resize, Views, Warp, Window
from fastffdi.render.device.tensors import Parameters, filled, mirrored, separable, to_uint8


def window(x: torch.Tensor, kernel: Window, p: Parameters) -> torch.Tensor:
    height, width = (int(side) for side in kernel.size[0])
    down, across = (torch.arange(side, device=x.device)[None] for side in (height, width))
    if kernel.horizontal is not None:
        down, across = _turned(p.vertical, height), _turned(p.horizontal, width)
    ys, xs = p.start[:, :1] + down, p.start[:, 1:] + across
    out = _gathered(x, _inside(ys, x.shape[1], kernel.mode), _inside(xs, x.shape[2], kernel.mode))
    if kernel.mode != "constant":
        return out
    within = _within(ys, x.shape[1])[:, :, None] & _within(xs, x.shape[2])[:, None, :]
    return filled(out, ~within, kernel.fill)


def flip(x: torch.Tensor, kernel: Flip, p: Parameters) -> torch.Tensor:
    return _gathered(x, _turned(p.vertical, x.shape[1]), _turned(p.horizontal, x.shape[2]))


def resize(x: torch.Tensor, kernel: Resize, p: Parameters) -> torch.Tensor:
    """Separable: one weight matrix per image and axis, so that any regions make two matrix products."""
    height, width = (int(side) for side in kernel.size[0])
    roi = p.roi
    bicubic = kernel.interpolation == "bicubic"
    weight = _cubic if bicubic else _triangle
    rows = _weights(roi[:, 0], roi[:, 2], x.shape[1], height, weight)
    columns = _weights(roi[:, 1], roi[:, 3], x.shape[2], width, weight)
    return separable(x, rows, columns, overshoots=bicubic)


def warp(x: torch.Tensor, kernel: Warp, p: Parameters) -> torch.Tensor:
    n, height, width, _ = x.shape
    ys, xs = torch.meshgrid(*(torch.arange(s, device=x.device) for s in (height, width)), indexing="ij")
    points = torch.stack([xs, ys, torch.ones_like(xs)], dim=-1).float().view(-1, 3)
    source = points @ p.matrix.transpose(1, 2)
    scale = torch.stack([torch.full_like(xs[0, 0], s) for s in (width, height)])
    grid = (2 * source[..., :2] / source[..., 2:] + 1) / scale - 1
    # Shifted so that the fill is 0, which is what grid_sample puts outside.
    image = _plus(x.float(), kernel.fill, -1).permute(0, 3, 1, 2)
    out = F.grid_sample(image, grid.view(n, height, width, 2), kernel.interpolation, "zeros", False)
    return to_uint8(_plus(out.permute(0, 2, 3, 1), kernel.fill, 1))


def _plus(x: torch.Tensor, fill: Fill, sign: int) -> torch.Tensor:
    """x (N, H, W, 3) with the fill added, or taken off where `sign` is −1."""
    if isinstance(fill, int):
        return x + sign * fill
    return torch.stack([x[..., c] + sign * value for c, value in enumerate(fill)], dim=3)


def views(x: torch.Tensor, kernel: Views, p: Parameters) -> torch.Tensor:
    return x[:, None].repeat(1, kernel.count, 1, 1, 1).flatten(0, 1)


def _triangle(x: torch.Tensor) -> torch.Tensor:
    """Bilinear weights at distances x."""
    return (1 - x).clamp(min=0)


def _cubic(x: torch.Tensor) -> torch.Tensor:
    """Bicubic weights at distances x: Keys' with a = −½, as in Pillow."""
    near, far = (1.5 * x - 2.5) * x * x + 1, ((2.5 - 0.5 * x) * x - 4) * x + 2
    return torch.where(x < 1, near, torch.where(x < 2, far, 0))


def _weights(
    start: torch.Tensor,
    end: torch.Tensor,
    length: int,
    out: int,
    weight: Callable[[torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """Antialiased weights (N, out, length) for the regions start … end, fractions of the length.

    `weight` of the distance, as wide as the reduction, cut off at the region's edges and scaled to sum 1, as
    in Pillow.
    """
    first, last = (start * length)[:, None, None], (end * length)[:, None, None]
    step = (last - first) / out
    centre = first + step * (torch.arange(out, device=start.device)[:, None] + 0.5)
    at = torch.arange(length, device=start.device) + 0.5
    weights = weight((at - centre).abs() / step.abs().clamp(min=1))
    inside = (at > torch.minimum(first, last)) & (at < torch.maximum(first, last))
    weights = weights * inside
    return weights / weights.sum(dim=2, keepdim=True)


def _inside(index: torch.Tensor, length: int, mode: str) -> torch.Tensor:
    """For indices along an axis, also outside the image, the index whose pixel they get."""
    if mode in ("constant", "edge"):
        return index.clamp(0, length - 1)
    return mirrored(index, length, mode == "symmetric")


def _within(index: torch.Tensor, length: int) -> torch.Tensor:
    return (index >= 0) & (index < length)


def _gathered(x: torch.Tensor, ys: torch.Tensor, xs: torch.Tensor) -> torch.Tensor:
    """Pixels at rows ys (N, h) and columns xs (N, w): (N, h, w, 3)."""
    images = torch.arange(len(x), device=x.device)[:, None, None]
    return x[images, ys[:, :, None], xs[:, None, :]]


def _turned(chosen: torch.Tensor, length: int) -> torch.Tensor:
    forward = torch.arange(length, device=chosen.device)
    return torch.where(chosen[:, None], forward.flip(0), forward)
