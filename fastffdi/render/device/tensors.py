"""What the kernels on a batch share: their parameters' type, and a few operations on x (N, H, W, 3)."""

from __future__ import annotations

import torch

#: A kernel's per-image parameters on the device by field name, each (N, …).
Parameters = dict[str, torch.Tensor]


def levels(x: torch.Tensor) -> torch.Tensor:
    """Rounded half to even and clamped to uint8; x, in floating point, is written to."""
    return x.round_().clamp_(0, 255).to(torch.uint8)


def separable(x: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Images with weights along each axis: rows (N, h, H) and columns (N, w, W) float32."""
    across = torch.einsum("nwv,nhvc->nhwc", columns, x.float())
    return levels(torch.einsum("nhg,ngwc->nhwc", rows, across))


def mirrored(index: torch.Tensor, length: int, edge: bool = False) -> torch.Tensor:
    """For places along an axis the place 0 … length − 1 that mirrors show there, with its `edge` or not."""
    if edge:
        place = index % (2 * length)
        return torch.minimum(place, 2 * length - 1 - place)
    return length - 1 - (index % max(2 * length - 2, 1) - (length - 1)).abs()
