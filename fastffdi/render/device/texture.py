"""Kernels that filter or add artefacts, on a batch: x (N, H, W, 3) uint8 in and out."""

from __future__ import annotations

import numpy as np
import torch

from fastffdi.recipe.kernels import Blur, Erase, Noise, Sharpen
from fastffdi.render.cpu.texture import ONE_LEVEL
from fastffdi.render.device.tensors import Parameters, filled, mirrored, separable, to_uint8


def blur(x: torch.Tensor, kernel: Blur, p: Parameters) -> torch.Tensor:
    height, width = x.shape[1:3]
    rows, columns = p.rows, p.columns
    wide = x.index_select(1, _reach(rows, height)).index_select(2, _reach(columns, width))
    return separable(wide, _band(rows, height), _band(columns, width))


def _reach(weights: torch.Tensor, length: int) -> torch.Tensor:
    """(length + k − 1,): the places along an axis that weights (N, k) reach from first to last."""
    k = weights.shape[1]
    return mirrored(torch.arange(length + k - 1, device=weights.device) - k // 2, length)


def _band(weights: torch.Tensor, length: int) -> torch.Tensor:
    """(N, length, length + k − 1): weights (N, k), one place further along in every row."""
    last = weights.shape[1] - 1
    source = torch.arange(length + last, device=weights.device)
    place = source - source[:length, None]
    return weights[:, place.clamp(0, last)].masked_fill_((place < 0) | (place > last), 0)


def sharpen(x: torch.Tensor, kernel: Sharpen, p: Parameters) -> torch.Tensor:
    inner = x[:, 1:-1, 1:-1].float()
    rows = x[:, :-2].float() + x[:, 1:-1] + x[:, 2:]
    smooth = ((rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:] + 4 * inner) / 13).round_()
    amount = p.amount.view(-1, 1, 1, 1)
    out = x.clone()
    out[:, 1:-1, 1:-1] = to_uint8(amount * inner + (1 - amount) * smooth)
    return out


def noise(x: torch.Tensor, kernel: Noise, p: Parameters) -> torch.Tensor:
    """Bit-identical to the CPU renderer."""
    bell = _bell(x[0].numel(), p.key).view(x.shape)
    factor = (p.sigma.double() * ONE_LEVEL).round().int().view(-1, 1, 1, 1)
    offset = p.offset.int().view(-1, 1, 1, 1)
    return (x + offset + ((bell * factor + (1 << 15)) >> 16)).clamp_(0, 255).to(torch.uint8)


def _bell(count: int, key: torch.Tensor) -> torch.Tensor:
    """(N, count) int32: see the CPU renderer's; in int32, whose products wrap as those of uint32 do."""
    word = torch.arange(count, dtype=torch.int32, device=key.device) * _signed(0x9E3779B9)
    word = word + key.int()[:, None]
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        word = _folded(word, shift) * _signed(factor)
    four = _folded(word, 16).view(torch.uint8).view(len(key), count, 4)
    return four.sum(dim=2, dtype=torch.int32) - 510


def _folded(word: torch.Tensor, shift: int) -> torch.Tensor:
    """word ^ (word >> shift) without the sign that int32 shifts in."""
    return word ^ ((word >> shift) & ((1 << (32 - shift)) - 1))


def _signed(word: int) -> int:
    """The int32 of a uint32's bits."""
    return int(np.uint32(word).astype(np.int32))


def erase(x: torch.Tensor, kernel: Erase, p: Parameters) -> torch.Tensor:
    top, left, bottom, right = p.box.T[..., None]
    ys, xs = (torch.arange(side, device=x.device) for side in x.shape[1:3])
    rows, columns = (ys >= top) & (ys < bottom), (xs >= left) & (xs < right)
    box = rows[:, :, None] & columns[:, None, :]
    return filled(x, box, kernel.fill)
