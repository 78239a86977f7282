"""The DeviceStage: the kernels that a loader has left, on a whole batch, in torch.

Every kernel is a fixed number of torch operations however many images there are, and none makes the host
wait, except Python, whose function is the user's. A kernel is given only those images that it changes.

Shapes: N images, H × W before and h × w after a kernel; x is (N, H, W, 3) uint8 throughout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import torch

from fastffdi.recipe import kernels as k
from fastffdi.recipe.packing import pack
from fastffdi.recipe.program import Program
from fastffdi.render.device import geometry, jpeg, python, texture, tone
from fastffdi.render.device.tensors import DeviceKernel, Parameters, to_device
from fastffdi.render.device.upload import upload
from fastffdi.render.memory import Pool

#: Numbers in a tensor that torch works on in one thread, whatever set_num_threads says (at::GRAIN_SIZE).
_UNSHARED = 32_767


class Rendered(Protocol):
    """What a loader has rendered so far, and what remains; a Batch is one."""

    @property
    def images(self) -> torch.Tensor: ...

    @property
    def remaining(self) -> Program: ...


class DeviceStage:
    """A loader's batch to model input: (N, 3, H, W), channels-last, in the model's precision.

    Args:
        device: where the model is
        dtype: float32, float16 or bfloat16
    """

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self.device, self.dtype = device, dtype
        # One batch is being made while the consumer has the one before.
        self._memory = Pool(spare=2)
        self._tables: dict[tuple[k.Normalize, int], tuple[torch.Tensor, torch.Tensor]] = {}

    def __call__(self, batch: Rendered) -> torch.Tensor:
        """The batch's images with everything that remains applied; where nothing does, of any dtype."""
        x, normalize = self.pixels(batch), batch.remaining.normalize
        out = x.to(self.dtype) if normalize is None else self._normalized(x, normalize)
        return out.permute(0, 3, 1, 2)

    def pixels(self, batch: Rendered) -> torch.Tensor:
        """The batch's images with everything that remains applied but Normalize: (N, h, w, 3)."""
        x = batch.images.to(self.device, non_blocking=True)
        return _applied(x, upload(batch.remaining.packed, self.device))

    def _normalized(self, x: torch.Tensor, normalize: k.Normalize) -> torch.Tensor:
        """One pass over rows of W·3 numbers: an inner dimension of 3 would be several times slower."""
        n, height, width, _ = x.shape
        x = x.reshape(n * height, width * 3)
        if (normalize, width) not in self._tables:
            self._tables[normalize, width] = self._scale_bias(normalize, width)
        scale, bias = self._tables[normalize, width]
        out = self._empty((n * height, width * 3))
        # On a CPU in pieces too small for torch to share them out: its threads would wait for one another,
        # spinning, on cores that the loader's threads keep busy; and its float32 copy stays in the cache.
        rows = max(1, _UNSHARED // (width * 3)) if self.device.type == "cpu" else len(x)
        for piece, place in zip(torch.split(x, rows), torch.split(out, rows), strict=True):
            torch.addcmul(bias, piece, scale, out=place)
        return out.view(n, height, width, 3)

    def _empty(self, shape: tuple[int, int]) -> torch.Tensor:
        if self.device.type == "cpu":
            return self._memory.empty(shape, self.dtype)
        return torch.empty(shape, dtype=self.dtype, device=self.device)

    def _scale_bias(self, normalize: k.Normalize, width: int) -> tuple[torch.Tensor, torch.Tensor]:
        mean, std = (torch.tensor(values, dtype=torch.float32) for values in (normalize.mean, normalize.std))
        scale, bias = 1 / (255 * std), -mean / std
        scale, bias = to_device(torch.stack([scale, bias]).repeat(1, width), self.device)
        return scale, bias


def render(x: torch.Tensor, kernels: Iterable[k.Kernel]) -> torch.Tensor:
    """Images after some kernels, not Normalize: what `render.cpu.renderer.render` does, for a batch."""
    return _applied(x, upload(pack(kernels), x.device))


def _applied(x: torch.Tensor, kernels: Iterable[DeviceKernel]) -> torch.Tensor:
    owned = False  # x is the batch's at first, which is its consumer's
    for kernel in kernels:
        if kernel.members is None:
            x = apply(x, kernel)
        else:
            changed = apply(x.index_select(0, kernel.members), kernel)
            x = (x if owned else x.clone()).index_copy_(0, kernel.members, changed)
        owned = True
    return x


def apply(x: torch.Tensor, on_device: DeviceKernel) -> torch.Tensor:
    """One kernel on the images of its members, x (M, H, W, 3) uint8."""
    kernel = on_device.kernel
    if isinstance(kernel, k.Blend):
        return _blend(x, on_device)
    return KERNELS[type(kernel)](x, kernel, on_device.parameters)


def _blend(x: torch.Tensor, on_device: DeviceKernel) -> torch.Tensor:
    own, *weights = on_device.parameters.weights[:, :, None, None, None].unbind(dim=1)
    mixed = own * x
    for weight, branch in zip(weights, on_device.branches, strict=True):
        mixed += weight * _applied(x, branch)
    return mixed.to(torch.uint8)


#: For each kernel but Blend its function of a batch, the kernel and its parameters on the device.
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
    k.Jpeg: jpeg.jpeg,
    k.Noise: texture.noise,
    k.Erase: texture.erase,
    k.Python: python.called,
}


def can_render(kernel: k.Kernel) -> bool:
    """Whether the stage has a kernel of a template."""
    return type(kernel) in KERNELS or isinstance(kernel, k.Blend)
