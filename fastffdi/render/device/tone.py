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
    places, value = _places(x, 3), torch.arange(256, dtype=torch.int32, device=x.device)
    how, table = p.how[:, None, None], value
    for what, of_all in (
        (EQUALIZE, _equalized(_histograms(places), value)),
        (AUTOCONTRAST, _widened(x, value)),
        (CONTRAST, _contrast(x, p.amount, value)),
    ):
        table = torch.where(how == what, of_all, table)
    return _looked_up(places, table.to(torch.uint8))


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


def _equalized(counts: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """(N, 3, 256) whole numbers: Pillow's equalisation of channels with so many pixels of each value."""
    lower = counts.cumsum(dim=2, dtype=torch.int32) - counts
    # The count below the highest value that occurs, divided among 255 steps.
    step = (lower * (counts > 0)).amax(dim=2, keepdim=True) // 255
    table = ((lower + step // 2) // step.clamp(min=1)).clamp(max=255)
    return torch.where(step > 0, table, value)


def _widened(x: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """(N, 3, 256), to be truncated: from the lowest … highest value of a channel to 0 … 255."""
    low, high = (end[:, :, None].int() for end in x.flatten(1, 2).aminmax(dim=1))
    scale = (high - low).clamp(min=1) * (1 / 255)
    return torch.where(high > low, ((value - low) / scale).clamp(0, 255), value)


def _contrast(x: torch.Tensor, amount: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """(N, 1, 256) whole numbers: values `amount` (N,) times as far from the mean grey."""
    red, green, blue = x.unbind(dim=3)
    # torchvision floors each pixel's grey; on average that subtracts 0.5.
    grey = (0.2989 * red + 0.587 * green + 0.114 * blue).floor_().mean(dim=(1, 2))[:, None, None]
    return (grey + amount[:, None, None] * (value - grey)).round_().clamp_(0, 255)
