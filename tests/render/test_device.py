"""The DeviceStage: what it does with a program; its kernels one by one are in test_device_kernels."""

import numpy as np
import pytest
import torch
from kernel_samples import SAMPLES, SIZE, H, W, members, sample
from recorded import WAITING, recorded

from fastffdi.recipe.kernels import Blend, Flip, Normalize, Views
from fastffdi.recipe.lowering import lower
from fastffdi.recipe.program import Program
from fastffdi.recipe.rng import CounterRNG
from fastffdi.recipe.steps import STEPS
from fastffdi.render.cpu.renderer import render
from fastffdi.render.device import stage as device
from fastffdi.render.device.stage import DeviceStage, Subset, active_kernels, upload

CPU = torch.device("cpu")
NORMALIZE = Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
SIZES = np.tile(SIZE, (6, 1))
POLICIES = ("auto_augment", "rand_augment", "trivial_augment_wide", "aug_mix")


def images(paint, n: int) -> torch.Tensor:
    return torch.from_numpy(np.stack([paint(H, W, k) for k in range(n)]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_whole_stage_makes_no_host_wait(dtype: torch.dtype, paint) -> None:
    program = Program((sample("resize", 2), sample("blend", 2), NORMALIZE))
    with recorded() as names:
        DeviceStage(CPU, dtype)(images(paint, 2), program, 0)
    assert not [name for name in names if any(word in name for word in WAITING)]


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float16, 2e-3), (torch.bfloat16, 1e-2)]
)
def test_normalize_is_its_formula(dtype: torch.dtype, tolerance: float, paint) -> None:
    x = images(paint, 3)
    out = DeviceStage(CPU, dtype)(x, Program((NORMALIZE,)), 0)
    mean, std = (torch.tensor(v, dtype=torch.float64) for v in (NORMALIZE.mean, NORMALIZE.std))
    expected = ((x.double() / 255 - mean) / std).permute(0, 3, 1, 2)
    assert out.dtype == dtype
    assert torch.allclose(out.double(), expected, rtol=tolerance / 2, atol=tolerance / 2)


def test_the_output_is_channels_last(paint) -> None:
    out = DeviceStage(CPU, torch.bfloat16)(images(paint, 3), Program((NORMALIZE,)), 0)
    assert out.shape == (3, 3, H, W)
    assert out.is_contiguous(memory_format=torch.channels_last)


def test_what_is_done_is_not_done_again(paint) -> None:
    x, stage = images(paint, 4), DeviceStage(CPU, torch.float32)
    program = Program((sample("matrix", 4), sample("flip", 4), NORMALIZE))
    half = torch.stack(
        [torch.from_numpy(render(x[i].numpy(), Program(program.kernels[:1]), i)) for i in range(4)]
    )
    assert torch.allclose(stage(x, program, 0), stage(half, program, 1), atol=2 / 255 / 0.2)
    assert torch.equal(stage(half, program, 2), stage(half, Program((NORMALIZE,)), 0))


def test_images_that_are_done_pass_through(paint) -> None:
    x = images(paint, 2).float() / 7
    program = Program((sample("flip", 2), NORMALIZE))
    out = DeviceStage(CPU, torch.float32)(x, program, len(program))
    assert torch.equal(out, x.permute(0, 3, 1, 2))


def test_one_stage_serves_several_widths_and_normalizations(paint) -> None:
    stage, x = DeviceStage(CPU, torch.float32), images(paint, 2)
    first = stage(x, Program((NORMALIZE,)), 0)
    other = Normalize((0, 0, 0), (1 / 255, 1 / 255, 1 / 255))
    assert torch.allclose(stage(x, Program((other,)), 0), x.permute(0, 3, 1, 2).float(), rtol=1e-5)
    narrow = stage(x[:, :, :20].contiguous(), Program((NORMALIZE,)), 0)
    assert torch.equal(narrow, first[..., :20])


def test_an_earlier_output_is_never_overwritten(paint) -> None:
    stage, x = DeviceStage(CPU, torch.float32), images(paint, 2)
    first = stage(x, Program((NORMALIZE,)), 0)
    kept = first.clone()
    stage(255 - x, Program((NORMALIZE,)), 0)
    assert torch.equal(first, kept)


@pytest.mark.parametrize("name", [name for name in SAMPLES if name != "blend"])
def test_upload_keeps_names_shapes_dtypes_and_values(name: str) -> None:
    kernel = sample(name, 5)
    (parameters,) = upload([kernel], CPU)
    assert list(parameters) == list(kernel.arrays())
    for field, value in kernel.arrays().items():
        # Only float64 is too much for a GPU.
        assert str(parameters[field].dtype) == f"torch.{value.dtype}".replace("float64", "float32")
        assert np.array_equal(
            parameters[field].numpy(), value.astype(np.float32 if field == "matrix" else None)
        )


def test_upload_puts_everything_in_one_buffer_blends_branches_too() -> None:
    blend, noise = upload([sample("blend", 5), sample("noise", 5)], CPU)
    assert list(blend) == ["weights", "0.0.table", "0.1.matrix", "1.0.weights", "1.0.0.0.matrix"]
    tensors = [*blend.values(), *noise.values()]
    assert len({tensor.untyped_storage().data_ptr() for tensor in tensors}) == 1


def test_upload_of_nothing_is_nothing() -> None:
    assert upload([], CPU) == []


def test_a_kernel_is_given_only_the_images_it_changes() -> None:
    table = sample("table", 6).only(members(6), SIZES)
    (some,) = active_kernels([table])
    assert isinstance(some, Subset)
    assert some.members.tolist() == [1, 2, 4, 5]
    assert np.array_equal(some.kernel.arrays()["table"], table.arrays()["table"][[1, 2, 4, 5]])


def test_a_kernel_with_nothing_to_do_is_left_out() -> None:
    assert active_kernels([sample("warp", 6).only(np.zeros(6, bool), SIZES)]) == []


@pytest.mark.parametrize("name", ["window edge", "resize", "warp"])
def test_a_kernel_that_changes_all_images_is_as_it_was(name: str) -> None:
    kernel = sample(name, 6)
    assert active_kernels([kernel]) == [kernel]


def test_branches_too_have_only_the_images_they_change() -> None:
    inner = sample("table", 6).only(members(6), SIZES)
    weights = np.float32([[0.5, 0.5], [1, 0], [0.5, 0.5]] * 2)
    (some,) = active_kernels([Blend((Program((inner,)),), weights)])
    assert some.members.tolist() == [0, 2, 3, 5]
    assert some.kernel.branches[0].kernels[0].members.tolist() == [1, 3]


@pytest.mark.parametrize("name", [name for name in SAMPLES if "window" not in name and name != "resize"])
def test_images_left_out_stay_as_they_are(name: str, paint) -> None:
    x, kernel = images(paint, 6), sample(name, 6).only(members(6), SIZES)
    whole = device.KERNELS[type(kernel)](x, kernel, upload([kernel], CPU)[0])
    assert torch.equal(device.render(x, [kernel]), whole)
    assert torch.equal(x, images(paint, 6))


@pytest.mark.parametrize("name", POLICIES)
def test_policies_come_out_as_from_the_cpu_renderer(name: str, paint) -> None:
    program = lower([STEPS[name].read({})], CounterRNG(2), 0, np.arange(6), np.zeros(6, np.int64), SIZES)
    x = images(paint, 6)
    ours = device.render(x, program.kernels).numpy().astype(int)
    theirs = np.stack([render(image, program, i) for i, image in enumerate(x.numpy())])
    # Some operations make much of a single level's difference, but few pixels have one.
    assert np.abs(ours - theirs).mean() < 0.3
    assert (ours != theirs).mean() < 0.1


def test_after_views_every_view_has_its_own_parameters(paint) -> None:
    x, flip = images(paint, 2), Flip(np.array([False, True, False, True]), np.zeros(4, bool))
    out = device.render(x, [Views(2), flip])
    assert torch.equal(out, torch.stack([x[0], x[0].flip(1), x[1], x[1].flip(1)]))


@pytest.mark.gpu
@pytest.mark.parametrize("name", [name for name in SAMPLES if name != "jpeg"])
def test_on_cuda_no_kernel_synchronises(name: str, paint) -> None:
    ours, theirs = on_cuda_and_cpu(images(paint, 4), Program((sample(name, 4), NORMALIZE)))
    assert ((ours - theirs).abs() * 0.225 * 255).mean() < 0.5


@pytest.mark.gpu
@pytest.mark.parametrize("name", POLICIES)
def test_on_cuda_no_policy_synchronises(name: str, paint) -> None:
    program = lower([STEPS[name].read({})], CounterRNG(2), 0, np.arange(6), np.zeros(6, np.int64), SIZES)
    ours, theirs = on_cuda_and_cpu(images(paint, 6), Program((*program.kernels, NORMALIZE)))
    assert ((ours - theirs).abs() * 0.225 * 255).mean() < 0.5


def on_cuda_and_cpu(x: torch.Tensor, program: Program) -> tuple[torch.Tensor, torch.Tensor]:
    """What the stage gives on a GPU, where nothing may synchronise once all is warm, and on the CPU."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    stage, pinned = DeviceStage(torch.device("cuda"), torch.float32), x.pin_memory()
    stage(pinned, program, 0)
    torch.cuda.set_sync_debug_mode("error")
    try:
        out = stage(pinned, program, 0)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return out.cpu(), DeviceStage(CPU, torch.float32)(x, program, 0)
