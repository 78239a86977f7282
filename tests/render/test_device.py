from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from fastffdi.recipe.kernels import Flip, Kernel, Matrix, Normalize, Program, Resize, Warp, Window
from fastffdi.recipe.steps.geometry import rotation
from fastffdi.render.cpu import render
from fastffdi.render.device import KERNELS, DeviceStage, upload

CPU = torch.device("cpu")
NORMALIZE = Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
H, W = 24, 36


def kernel_of(kind: type[Kernel], n: int) -> Kernel:
    """A kernel with different parameters for each of n pictures of H × W."""
    rng = np.random.default_rng(0)
    sizes = np.tile(np.array([[20, 30]], np.int32), (n, 1))
    if kind is Window:
        return Window(rng.integers(-8, 12, (n, 2)).astype(np.int32), sizes, 50)
    if kind is Resize:
        starts = rng.integers(0, 6, (n, 4)) * [1, 1, -1, -1] + [0, 0, H, W]
        return Resize((starts / [H, W, H, W]).astype(np.float32), sizes)
    if kind is Flip:
        return Flip(np.arange(n) % 2 == 0, np.arange(n) % 3 == 0)
    if kind is Warp:
        return Warp(rotation(rng.uniform(-180, 180, n), np.tile([[H, W]], (n, 1))), "bilinear", 70)
    assert kind is Matrix
    return Matrix((np.eye(3, 4) + rng.normal(0, 0.2, (n, 3, 4))).astype(np.float32))


def pictures(paint, n: int) -> torch.Tensor:
    return torch.from_numpy(np.stack([paint(H, W, k) for k in range(n)]))


@contextmanager
def recorded() -> Iterator[list[str]]:
    """The names of all torch operations that run meanwhile."""
    names: list[str] = []

    class Recorder(TorchDispatchMode):
        def __torch_dispatch__(self, operation, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            names.append(str(operation))
            return operation(*args, **(kwargs or {}))

    with Recorder():
        yield names


def operations(paint, kind: type[Kernel], n: int) -> list[str]:
    kernel, x = kernel_of(kind, n), pictures(paint, n)
    with recorded() as names:
        KERNELS[kind](x, kernel, upload([kernel], CPU)[0])
    return names


@pytest.mark.parametrize("kind", list(KERNELS))
def test_operations_do_not_grow_with_the_batch(kind: type[Kernel], paint) -> None:
    assert operations(paint, kind, 8) == operations(paint, kind, 2)


@pytest.mark.parametrize("kind", list(KERNELS))
def test_no_operation_makes_the_host_wait(kind: type[Kernel], paint) -> None:
    waiting = ("item", "nonzero", "_local_scalar_dense", "masked_select", "_to_copy.default_device", "unique")
    names = operations(paint, kind, 3)
    assert names
    assert not [name for name in names if any(word in name for word in waiting)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_whole_stage_makes_no_host_wait(dtype: torch.dtype, paint) -> None:
    program = Program((kernel_of(Resize, 2), kernel_of(Matrix, 2), NORMALIZE))
    with recorded() as names:
        DeviceStage(CPU, dtype)(pictures(paint, 2), program, 0)
    assert not [name for name in names if "nonzero" in name or "_local_scalar_dense" in name]


@pytest.mark.parametrize("kind", list(KERNELS))
def test_kernels_agree_with_the_cpu_renderer(kind: type[Kernel], paint) -> None:
    kernel, x = kernel_of(kind, 6), pictures(paint, 6)
    ours = KERNELS[kind](x, kernel, upload([kernel], CPU)[0])
    theirs = np.stack([render(x[i].numpy(), Program((kernel,)), i) for i in range(6)])
    difference = np.abs(ours.numpy().astype(int) - theirs)
    assert ours.dtype == torch.uint8
    assert ours.shape == theirs.shape
    assert difference.mean() <= 0.5
    assert np.quantile(difference, 0.998) <= (0 if kind in (Window, Flip) else 2)


def test_a_nearest_warp_agrees_with_the_cpu_renderer(paint) -> None:
    warp = Warp(rotation(np.array([33.0, -70.0]), np.tile([[H, W]], (2, 1))), "nearest", 70)
    x = pictures(paint, 2)
    ours = KERNELS[Warp](x, warp, upload([warp], CPU)[0]).numpy()
    theirs = np.stack([render(x[i].numpy(), Program((warp,)), i) for i in range(2)])
    assert (ours == theirs).mean() > 0.98


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float16, 2e-3), (torch.bfloat16, 1e-2)]
)
def test_normalize_is_its_formula(dtype: torch.dtype, tolerance: float, paint) -> None:
    x = pictures(paint, 3)
    out = DeviceStage(CPU, dtype)(x, Program((NORMALIZE,)), 0)
    mean, std = (torch.tensor(v, dtype=torch.float64) for v in (NORMALIZE.mean, NORMALIZE.std))
    expected = ((x.double() / 255 - mean) / std).permute(0, 3, 1, 2)
    assert out.dtype == dtype
    assert torch.allclose(out.double(), expected, rtol=tolerance / 2, atol=tolerance / 2)


def test_the_output_is_channels_last(paint) -> None:
    out = DeviceStage(CPU, torch.bfloat16)(pictures(paint, 3), Program((NORMALIZE,)), 0)
    assert out.shape == (3, 3, H, W)
    assert out.is_contiguous(memory_format=torch.channels_last)


def test_what_is_done_is_not_done_again(paint) -> None:
    x, stage = pictures(paint, 4), DeviceStage(CPU, torch.float32)
    program = Program((kernel_of(Matrix, 4), kernel_of(Flip, 4), NORMALIZE))
    half = torch.stack(
        [torch.from_numpy(render(x[i].numpy(), Program(program.kernels[:1]), i)) for i in range(4)]
    )
    assert torch.allclose(stage(x, program, 0), stage(half, program, 1), atol=2 / 255 / 0.2)
    assert torch.equal(stage(half, program, 2), stage(half, Program((NORMALIZE,)), 0))


def test_pictures_that_are_done_pass_through(paint) -> None:
    x = pictures(paint, 2).float() / 7
    program = Program((kernel_of(Flip, 2), NORMALIZE))
    out = DeviceStage(CPU, torch.float32)(x, program, len(program))
    assert torch.equal(out, x.permute(0, 3, 1, 2))


def test_one_stage_serves_several_widths_and_normalizations(paint) -> None:
    stage, x = DeviceStage(CPU, torch.float32), pictures(paint, 2)
    first = stage(x, Program((NORMALIZE,)), 0)
    other = Normalize((0, 0, 0), (1 / 255, 1 / 255, 1 / 255))
    assert torch.allclose(stage(x, Program((other,)), 0), x.permute(0, 3, 1, 2).float(), rtol=1e-5)
    narrow = stage(x[:, :, :20].contiguous(), Program((NORMALIZE,)), 0)
    assert torch.equal(narrow, first[..., :20])


def test_an_earlier_output_is_never_overwritten(paint) -> None:
    stage, x = DeviceStage(CPU, torch.float32), pictures(paint, 2)
    first = stage(x, Program((NORMALIZE,)), 0)
    kept = first.clone()
    stage(255 - x, Program((NORMALIZE,)), 0)
    assert torch.equal(first, kept)


def test_upload_keeps_names_shapes_and_values() -> None:
    kernels = [kernel_of(kind, 5) for kind in KERNELS]
    for kernel, parameters in zip(kernels, upload(kernels, CPU), strict=True):
        assert list(parameters) == list(kernel.arrays())
        for name, value in kernel.arrays().items():
            assert parameters[name].dtype == torch.float32
            assert np.array_equal(parameters[name].numpy(), value.astype(np.float32))


def test_upload_of_nothing_is_nothing() -> None:
    assert upload([], CPU) == []


@pytest.mark.gpu
@pytest.mark.parametrize("kind", list(KERNELS))
def test_on_cuda_no_kernel_synchronises(kind: type[Kernel], paint) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    program, x = Program((kernel_of(kind, 4), NORMALIZE)), pictures(paint, 4)
    stage = DeviceStage(torch.device("cuda"), torch.float32)
    expected, x = DeviceStage(CPU, torch.float32)(x, program, 0), x.pin_memory()
    stage(x, program, 0)
    torch.cuda.set_sync_debug_mode("error")
    try:
        out = stage(x, program, 0)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert ((out.cpu() - expected).abs() * 0.225 * 255).mean() < 0.5
