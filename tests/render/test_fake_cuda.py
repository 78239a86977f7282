"""The device's code on a fake CUDA device: nothing waits, and what comes out is what it should be."""

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fake_cuda import fake_cuda
from kernel_samples import SAMPLES, SIZE, SIZING, H, W, members, sample

from fastffdi.recipe.kernels import Kernel, Normalize, Views
from fastffdi.recipe.lowering import lower, output_size, template
from fastffdi.recipe.program import EMPTY, Program
from fastffdi.recipe.recipe import load, shipped
from fastffdi.recipe.rng import CounterRNG
from fastffdi.render.device import jpeg, stage
from fastffdi.render.device.stage import DeviceStage
from fastffdi.render.split import split

N = 6
SIZES = np.tile(SIZE, (N, 1))
NORMALIZE = Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])

#: Without Python, whose function runs on the CPU.
KERNELS: dict[str, Kernel] = {
    **{name: sample(name, N) for name in SAMPLES},
    **{f"{name} of some": sample(name, N).only(members(N), SIZES) for name in SAMPLES if name not in SIZING},
    "views": Views(3),
}


@pytest.fixture(autouse=True)
def _no_fake_tables_are_kept() -> Iterator[None]:
    """The constants of Jpeg are kept for a device: fake ones for this test only."""
    jpeg._tables.cache_clear()
    yield
    jpeg._tables.cache_clear()


def images(height: int, width: int, device: torch.device) -> torch.Tensor:
    return torch.zeros((N, height, width, 3), dtype=torch.uint8, device=device)


@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_gives_uint8_images_in_one_piece_on_the_device(name: str) -> None:
    (*_, (height, width)) = size = KERNELS[name].out_size(SIZES)
    with fake_cuda() as device:
        out = stage.render(images(H, W, device), [KERNELS[name]])
    assert (out.device, out.dtype) == (device, torch.uint8)
    assert out.shape == (len(size), height, width, 3)
    assert out.is_contiguous()


@DTYPES
def test_the_stage_normalises_on_the_device(dtype: torch.dtype) -> None:
    check_stage(Program.of((sample("resize", N), sample("blend", N), NORMALIZE)), (H, W), (20, 30), N, dtype)


@DTYPES
def test_the_stage_gives_what_is_left_as_it_is_in_the_models_precision(dtype: torch.dtype) -> None:
    check_stage(EMPTY, (H, W), (H, W), N, dtype)


@pytest.mark.parametrize("name", shipped())
@pytest.mark.parametrize("part", ["train", "eval"])
@DTYPES
def test_the_stage_does_what_the_cpu_loader_leaves_of_a_shipped_recipe(
    name: str, part: str, dtype: torch.dtype
) -> None:
    steps = getattr(load(name).resolve((96, 80), (0.4,) * 3, (0.2,) * 3), part)
    whole, sizes = template(steps), 200 + 7 * np.arange(2 * N, dtype=np.int32).reshape(N, 2)
    program = lower(steps, CounterRNG(0), 0, np.arange(N), np.zeros(N, np.int64), sizes)
    parts = split(whole, lambda kernel: True, "cpu", beyond=False)
    before = output_size(parts.loader(whole))
    check_stage(parts.remaining(program), before, output_size(whole), N * program.views, dtype)


def check_stage(
    remaining: Program, before: tuple[int, int], after: tuple[int, int], n: int, dtype: torch.dtype
) -> None:
    """n model inputs of the size `after`, channels-last, from images of the size `before`; twice alike."""
    with fake_cuda() as device:
        batch = SimpleNamespace(images=torch.empty((N, *before, 3), dtype=torch.uint8, pin_memory=True))
        batch.remaining, of_one_run = remaining, DeviceStage(device, dtype)
        for out in (of_one_run(batch), of_one_run(batch)):
            assert (out.device, out.dtype) == (device, dtype)
            assert out.shape == (n, 3, *after)
            assert out.is_contiguous(memory_format=torch.channels_last)
