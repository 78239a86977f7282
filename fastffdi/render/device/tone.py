"""Kernels that map pixel values, on a batch: x (N, H, W, 3) uint8 in and out."""

from __future__ import annotations

import torch

from fastffdi.recipe.kernels import AUTOCONTRAST, CONTRAST, EQUALIZE, Matrix, Stretch, Table
from fastffdi.render.device.tensors import Parameters, to_uint8


def matrix(x: torch.Tensor, kernel: Matrix, p: Parameters) -> torch.Tensor:
    mix = p.matrix
    flat = x.reshape(len(x), -1, 3).float()
    return to_uint8(torch.baddbmm(mix[:, None, :, 3], flat, mix[:, :, :3].transpose(1, 2))).view(x.shape)


def table(x: torch.Tensor, kernel: Table, p: Parameters) -> torch.Tensor:
    return _looked_up(_places(x, 1), p.table)


def stretch(x: torch.Tensor, kernel: Stretch, p: Parameters) -> torch.Tensor:
    """Computes all three tables of each image, and selects the one that `how` asks for."""
    places = _places(x, 3)
    counts = _histograms(places)
    how = p.how[:, None, None]
    out = torch.arange(256, dtype=torch.uint8, device=x.device)
    for what, map_to in (
        (EQUALIZE, _equalized(counts)),
        (AUTOCONTRAST, _widened(counts)),
        (CONTRAST, _contrast(x, p.amount)[:, None]),
    ):
        out = torch.where(how == what, map_to, out)
    return _looked_up(places, out)


def _places(x: torch.Tensor, tables: int) -> torch.Tensor:
    """int32, shaped as x: each pixel value's index into `tables` (1, or 3 by channel) of 256 per image."""
    first = torch.arange(0, 256 * tables * len(x), 256, dtype=torch.int32, device=x.device)
    return x + first.view(len(x), 1, 1, tables)


def _looked_up(places: torch.Tensor, tables: torch.Tensor) -> torch.Tensor:
    return tables.flatten().index_select(0, places.flatten()).view(places.shape)


def _histograms(places: torch.Tensor) -> torch.Tensor:
    """(N, 3, 256) int32: how often each pixel value occurs in each channel."""
    counts = torch.zeros(len(places) * 3 * 256, dtype=torch.int32, device=places.device)
    one = torch.ones(1, dtype=torch.int32, device=places.device)
    return counts.index_add_(0, places.flatten(), one.expand(places.numel())).view(-1, 3, 256)


def _equalized(counts: torch.Tensor) -> torch.Tensor:
    """(N, 3, 256) uint8: Pillow's equalisation of channels with these counts."""
    total = counts.cumsum(dim=2, dtype=torch.int32)
    # The count below the highest value that occurs, divided among 255 steps.
    step = torch.where(total < total[..., -1:], total, 0).amax(dim=2, keepdim=True) // 255
    table = ((total + step // 2) // step.clamp(min=1)).clamp(0, 255)
    table = torch.cat([torch.zeros_like(step), table[..., :-1]], dim=2)
    return torch.where(step > 0, table, _values_like(counts)).to(torch.uint8)


def _widened(counts: torch.Tensor) -> torch.Tensor:
    """(N, 3, 256) uint8: from the lowest … highest value of a channel to 0 … 255."""
    value = _values_like(counts)
    low = torch.where(counts > 0, value, 255).amin(dim=2, keepdim=True)
    high = torch.where(counts > 0, value, 0).amax(dim=2, keepdim=True)
    scale = (high - low).clamp(min=1).float() * (1 / 255)
    table = ((value - low).float() / scale).clamp(0, 255)
    return torch.where(high > low, table, value).to(torch.uint8)


def _contrast(x: torch.Tensor, amount: torch.Tensor) -> torch.Tensor:
    """(N, 256) uint8: values `amount` (N,) times as far from the mean grey."""
    red, green, blue = x.float().unbind(dim=3)
    # torchvision floors each pixel's grey; on average that subtracts 0.5.
    grey = (0.2989 * red + 0.587 * green + 0.114 * blue).floor_().mean(dim=(1, 2))[:, None]
    return to_uint8(grey + amount[:, None] * (_values_like(x) - grey))


def _values_like(like: torch.Tensor) -> torch.Tensor:
    return torch.arange(256, dtype=torch.int32, device=like.device)
