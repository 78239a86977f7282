"""The DeviceStage: the kernels a loader left undone, on a whole batch, in torch.

Every kernel is a fixed number of torch operations however many images there are, and none makes the host
wait, but for Jpeg, whose codec is the CPU's, and Python, whose function is the user's. The parameters of a
batch travel in one pinned buffer and one copy. A kernel is given only those images that it changes.

Shapes: N images, H × W before and h × w after a kernel; x is (N, H, W, 3) uint8 throughout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from fastffdi.recipe import kernels as k
from fastffdi.render.device import geometry, python, texture, tone
from fastffdi.render.device.tensors import Parameters

#: Numbers in a tensor that torch works on in one thread, whatever set_num_threads says (at::GRAIN_SIZE).
_UNSHARED = 32_767

#: Bytes; where a parameter begins in the buffer, since a view of another dtype must be aligned to it.
_ALIGNED = 8

_DTYPES = {
    "bool": torch.bool,
    "uint8": torch.uint8,
    "int32": torch.int32,
    "int64": torch.int64,
    "float32": torch.float32,
}


class DeviceStage:
    """A loader's images to model input: (N, 3, H, W), channels-last, in the model's precision.

    device  where the model is
    dtype   float32, float16 or bfloat16
    """

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self.device, self.dtype = device, dtype
        self._tables: dict[tuple[k.Normalize, int], tuple[torch.Tensor, torch.Tensor]] = {}

    def __call__(self, images: torch.Tensor, program: k.Program, done: int) -> torch.Tensor:
        """The images with the program's kernels from number `done` on applied.

        images (N, H, W, 3) uint8; where the whole program is done, of any dtype.
        """
        x = images.to(self.device, non_blocking=True)
        if done == len(program):
            return x.to(self.dtype).permute(0, 3, 1, 2)
        *kernels, normalize = program.kernels[done:]
        assert isinstance(normalize, k.Normalize)
        return self._normalized(render(x, kernels), normalize).permute(0, 3, 1, 2)

    def _normalized(self, x: torch.Tensor, normalize: k.Normalize) -> torch.Tensor:
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

    def _scale_bias(self, normalize: k.Normalize, width: int) -> tuple[torch.Tensor, torch.Tensor]:
        mean, std = (torch.tensor(values, dtype=torch.float32) for values in (normalize.mean, normalize.std))
        scale, bias = 1 / (255 * std), -mean / std
        return scale.repeat(width).to(self.device), bias.repeat(width).to(self.device)


def render(x: torch.Tensor, kernels: Iterable[k.Kernel]) -> torch.Tensor:
    """Images after some kernels, not Normalize: the batch's twin of the CPU renderer's `render`."""
    kernels = active_kernels(kernels)
    for kernel, parameters in zip(kernels, upload(kernels, x.device), strict=True):
        x = _done(x, kernel, parameters)
    return x


@dataclass(frozen=True)
class Subset(k.Kernel):
    """A kernel with parameters for the images `members` (M,) int64 only; it keeps their size."""

    members: np.ndarray
    kernel: k.Kernel


def active_kernels(kernels: Iterable[k.Kernel]) -> list[k.Kernel]:
    """The kernels with work to do, each for the images that it changes."""
    return [least for kernel in kernels if (least := _active_kernel(kernel)) is not None]


def _active_kernel(kernel: k.Kernel) -> k.Kernel | None:
    # After Window and Resize there is one size, so that they have work with all images or with none.
    if isinstance(kernel, k.Views) or not any(kernel.is_identity):
        return _active_branches(kernel)
    members = np.flatnonzero(np.logical_not(kernel.is_identity))
    return Subset(members, _active_branches(kernel.take(members))) if len(members) else None


def _active_branches(kernel: k.Kernel) -> k.Kernel:
    if not isinstance(kernel, k.Blend):
        return kernel
    return replace(
        kernel, branches=tuple(k.Program(tuple(active_kernels(b.kernels))) for b in kernel.branches)
    )


def upload(kernels: Sequence[k.Kernel], device: torch.device) -> list[Parameters]:
    """The per-image parameters of some kernels on the device: one buffer, one copy.

    Each (N, …) in its own dtype, float64 as float32; those of kernels inside a kernel by their path.
    """
    arrays = [{name: _plain(value) for name, value in _named(kernel)} for kernel in kernels]
    flat = [value for named in arrays for value in named.values()]
    sizes = [-(-value.nbytes // _ALIGNED) * _ALIGNED for value in flat]
    host = torch.empty(sum(sizes), dtype=torch.uint8, pin_memory=device.type == "cuda")
    for place, value in zip(torch.split(host, sizes), flat, strict=True):
        place.numpy()[: value.nbytes] = value.reshape(-1).view(np.uint8)
    pieces = iter(torch.split(host.to(device, non_blocking=True), sizes))
    return [{name: _like(value, next(pieces)) for name, value in named.items()} for named in arrays]


def _plain(value: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(value, np.float32 if value.dtype == np.float64 else value.dtype)


def _like(value: np.ndarray, piece: torch.Tensor) -> torch.Tensor:
    """The array that a piece of the buffer holds the bytes of."""
    return piece[: value.nbytes].view(_DTYPES[value.dtype.name]).view(value.shape)


def _named(kernel: k.Kernel, path: str = "") -> Iterable[tuple[str, np.ndarray]]:
    """A kernel's arrays, and those of the kernels inside it, by name."""
    yield from ((path + name, value) for name, value in kernel.arrays().items())
    for name, inner in _inside(kernel):
        yield from _named(inner, path + name)


def _inside(kernel: k.Kernel) -> list[tuple[str, k.Kernel]]:
    if isinstance(kernel, Subset):
        return [("", kernel.kernel)]
    branches = kernel.branches if isinstance(kernel, k.Blend) else ()
    return [
        (f"{b}.{j}.", inner) for b, branch in enumerate(branches) for j, inner in enumerate(branch.kernels)
    ]


def _done(x: torch.Tensor, kernel: k.Kernel, p: Parameters) -> torch.Tensor:
    if not isinstance(kernel, Subset):
        return KERNELS[type(kernel)](x, kernel, p)
    members = p["members"]
    return x.index_copy(0, members, _done(x.index_select(0, members), kernel.kernel, p))


def _blend(x: torch.Tensor, kernel: k.Blend, p: Parameters) -> torch.Tensor:
    weights = p["weights"][:, :, None, None, None].unbind(dim=1)
    mixed = weights[0] * x
    for b, branch in enumerate(kernel.branches):
        mixed += weights[b + 1] * _branch(x, branch, p, f"{b}.")
    return mixed.to(torch.uint8)


def _branch(x: torch.Tensor, branch: k.Program, p: Parameters, path: str) -> torch.Tensor:
    for j, kernel in enumerate(branch.kernels):
        start = f"{path}{j}."
        inner = {name.removeprefix(start): value for name, value in p.items() if name.startswith(start)}
        x = _done(x, kernel, inner)
    return x


KERNELS: dict[type[k.Kernel], Callable[[torch.Tensor, Any, Parameters], torch.Tensor]] = {
    k.Window: geometry.window,
    k.Resize: geometry.resize,
    k.Flip: geometry.flip,
    k.Warp: geometry.warp,
    k.Views: geometry.views,
    k.Matrix: tone.matrix,
    k.Table: tone.table,
    k.Stretch: tone.stretch,
    k.Blur: texture.blur,
    k.Sharpen: texture.sharpen,
    k.Jpeg: texture.jpeg,
    k.Noise: texture.noise,
    k.Erase: texture.erase,
    k.Blend: _blend,
    k.Python: python.called,
}
