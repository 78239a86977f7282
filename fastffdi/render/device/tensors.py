"""What the kernels on a batch share: their parameters' type, and a few operations on x (N, H, W, 3)."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from fastffdi.recipe.kernels import Fill, Kernel


class Parameters(dict[str, torch.Tensor]):
    """A kernel's per-image parameters on the device, each (N, …), as attributes named like its fields."""

    def __getattr__(self, name: str) -> torch.Tensor:
        return self[name]


@dataclass(frozen=True)
class DeviceKernel:
    """A kernel on the device.

    Attributes:
        kernel: the kernel; of it only what is the same for all images is read
        parameters: its arrays as tensors, float64 as float32
        members: (M,) int64: the images that it is for, which its parameters belong to; None: all
        branches: the kernels of each branch of a Blend
    """

    kernel: Kernel
    parameters: Parameters
    members: torch.Tensor | None = None
    branches: tuple[tuple[DeviceKernel, ...], ...] = field(default=())


def to_device(host: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A tensor in host memory on the device, where the host need not wait for the copy.

    CUDA copies in the background only out of page-locked memory; other memory is first copied there.
    """
    return host.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else host.to(device)


def to_uint8(x: torch.Tensor) -> torch.Tensor:
    """Rounded half to even and clamped to uint8, contiguous; x, in floating point, is written to."""
    return x.round_().clamp_(0, 255).to(torch.uint8, memory_format=torch.contiguous_format)


def separable(
    x: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor, overshoots: bool = False
) -> torch.Tensor:
    """Images filtered along each axis: weights rows (N, h, H) and columns (N, w, W) float32.

    `overshoots`: some weights are negative, and between the axes values are clamped, as Pillow's uint8 are.
    """
    across = torch.einsum("nwv,nhvc->nhwc", columns, x.float())
    if overshoots:
        across.clamp_(0, 255)
    return to_uint8(torch.einsum("nhg,ngwc->nhwc", rows, across))


def filled(x: torch.Tensor, mask: torch.Tensor, fill: Fill) -> torch.Tensor:
    """Images with the pixels of the mask (N, H, W) bool set to the fill."""
    if isinstance(fill, int):
        return x.masked_fill(mask[..., None], fill)
    return torch.stack([x[..., c].masked_fill(mask, value) for c, value in enumerate(fill)], dim=3)


def mirrored(index: torch.Tensor, length: int, edge: bool = False) -> torch.Tensor:
    """For indices along an axis, also outside 0 … length − 1, those that mirroring maps them to.

    `edge` says whether the outermost pixel is repeated.
    """
    if edge:
        place = index % (2 * length)
        return torch.minimum(place, 2 * length - 1 - place)
    return length - 1 - (index % max(2 * length - 2, 1) - (length - 1)).abs()
