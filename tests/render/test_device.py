"""The DeviceStage: what it does with a program; its kernels one by one are in test_device_kernels."""

from collections.abc import Iterable, Iterator
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from kernel_samples import SAMPLES, SIZE, SIZING, H, W, members, sample, whole
from sync import nothing_waits

from fastffdi.recipe.kernels import Blend, Flip, Normalize, Views
from fastffdi.recipe.lowering import lower
from fastffdi.recipe.packing import pack, packed
from fastffdi.recipe.program import EMPTY, Program
from fastffdi.recipe.rng import CounterRNG
from fastffdi.recipe.steps import STEPS
from fastffdi.render.cpu.renderer import render
from fastffdi.render.device import stage as device
from fastffdi.render.device.stage import DeviceStage
from fastffdi.render.device.tensors import DeviceKernel
from fastffdi.render.device.upload import upload

CPU = torch.device("cpu")
NORMALIZE = Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
SIZES = np.tile(SIZE, (6, 1))
POLICIES = ("auto_augment", "rand_augment", "trivial_augment_wide", "aug_mix")


def images(paint, n: int) -> torch.Tensor:
    return torch.from_numpy(np.stack([paint(H, W, k) for k in range(n)]))


def batch(x: torch.Tensor, program: Program) -> SimpleNamespace:
    """What a loader gives that leaves all of a program."""
    return SimpleNamespace(images=x, remaining=program)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float16, 2e-3), (torch.bfloat16, 1e-2)]
)
def test_normalize_is_its_formula(dtype: torch.dtype, tolerance: float, paint) -> None:
    x = images(paint, 3)
    out = DeviceStage(CPU, dtype)(batch(x, Program((), NORMALIZE)))
    mean, std = (torch.tensor(v, dtype=torch.float64) for v in (NORMALIZE.mean, NORMALIZE.std))
    expected = ((x.double() / 255 - mean) / std).permute(0, 3, 1, 2)
    assert out.dtype == dtype
    assert torch.allclose(out.double(), expected, rtol=tolerance / 2, atol=tolerance / 2)


def test_the_output_is_channels_last(paint) -> None:
    out = DeviceStage(CPU, torch.bfloat16)(batch(images(paint, 3), Program((), NORMALIZE)))
    assert out.shape == (3, 3, H, W)
    assert out.is_contiguous(memory_format=torch.channels_last)


def test_only_what_remains_is_applied(paint) -> None:
    x, stage = images(paint, 4), DeviceStage(CPU, torch.float32)
    program = Program.of((sample("matrix", 4), sample("flip", 4), NORMALIZE))
    half = torch.stack([torch.from_numpy(render(x[i].numpy(), program.first(1), i)) for i in range(4)])
    assert torch.allclose(stage(batch(x, program)), stage(batch(half, program.after(1))), atol=2 / 255 / 0.2)
    assert torch.equal(stage(batch(half, program.after(2))), stage(batch(half, Program((), NORMALIZE))))


def test_images_with_nothing_remaining_pass_through(paint) -> None:
    x = images(paint, 2).float() / 7
    out = DeviceStage(CPU, torch.float32)(batch(x, EMPTY))
    assert torch.equal(out, x.permute(0, 3, 1, 2))


def test_the_pixels_are_uint8_before_normalising(paint) -> None:
    x, program = images(paint, 4), Program.of((sample("matrix", 4), sample("flip", 4), NORMALIZE))
    stage = DeviceStage(CPU, torch.float32)
    pixels = stage.pixels(batch(x, program))
    assert pixels.dtype == torch.uint8
    assert torch.equal(pixels, device.render(x, program.kernels))
    assert torch.equal(stage(batch(pixels, program.after(2))), stage(batch(x, program)))


def test_a_program_without_normalize_gives_pixel_values(paint) -> None:
    x, program = images(paint, 3), Program((sample("flip", 3),))
    out = DeviceStage(CPU, torch.float32)(batch(x, program))
    assert out.dtype == torch.float32
    assert torch.equal(out, device.render(x, program.kernels).float().permute(0, 3, 1, 2))


def test_one_stage_serves_several_widths_and_normalizations(paint) -> None:
    stage, x = DeviceStage(CPU, torch.float32), images(paint, 2)
    first = stage(batch(x, Program((), NORMALIZE)))
    other = Normalize((0, 0, 0), (1 / 255, 1 / 255, 1 / 255))
    assert torch.allclose(stage(batch(x, Program((), other))), x.permute(0, 3, 1, 2).float(), rtol=1e-5)
    narrow = stage(batch(x[:, :, :20].contiguous(), Program((), NORMALIZE)))
    assert torch.equal(narrow, first[..., :20])


def test_an_earlier_output_is_never_overwritten(paint) -> None:
    stage, x = DeviceStage(CPU, torch.float32), images(paint, 2)
    first = stage(batch(x, Program((), NORMALIZE)))
    kept = first.clone()
    stage(batch(255 - x, Program((), NORMALIZE)))
    assert torch.equal(first, kept)


@pytest.mark.parametrize("name", [name for name in SAMPLES if name != "blend"])
def test_upload_keeps_names_shapes_dtypes_and_values(name: str) -> None:
    kernel = sample(name, 5)
    (on_device,) = upload(packed((whole(kernel),)), CPU)
    parameters = on_device.parameters
    assert (on_device.kernel, on_device.members, on_device.branches) == (kernel, None, ())
    assert list(parameters) == list(kernel.arrays())
    for field, value in kernel.arrays().items():
        assert getattr(parameters, field) is parameters[field]
        # Only float64 is too much for a GPU.
        assert str(parameters[field].dtype) == f"torch.{value.dtype}".replace("float64", "float32")
        assert np.array_equal(
            parameters[field].numpy(), value.astype(np.float32 if field == "matrix" else None)
        )


def test_upload_puts_everything_in_one_buffer_blends_branches_too() -> None:
    blend, noise = upload(pack([sample("blend", 5), sample("noise", 5)]), CPU)
    (table, warp), (inner,) = blend.branches
    ((inner_warp,),) = inner.branches
    names = [list(kernel.parameters) for kernel in (blend, table, warp, inner, inner_warp)]
    assert names == [["weights"], ["table"], ["matrix"], ["weights"], ["matrix"]]
    found = tensors((blend, noise))
    assert len(found) == 9  # with the table's members
    assert len({tensor.untyped_storage().data_ptr() for tensor in found}) == 1


def tensors(kernels: Iterable[DeviceKernel]) -> list[torch.Tensor]:
    """All that is on the device: parameters and members, those in branches too."""
    return [tensor for kernel in kernels for tensor in _tensors(kernel)]


def _tensors(kernel: DeviceKernel) -> Iterator[torch.Tensor]:
    yield from kernel.parameters.values()
    yield from () if kernel.members is None else (kernel.members,)
    for branch in kernel.branches:
        yield from tensors(branch)


def nested_blend() -> Blend:
    """For six images: one in a branch of another, and each kernel changes only some of those that come to it.

    The outer one changes 0, 2, 3, 5; of these the table 2 and 5, the inner one 3 and 5, and its flip only 3.
    """
    table = sample("table", 6).only(members(6), SIZES)
    warp = sample("projective warp", 6)
    flip = Flip(np.arange(6) == 3, np.zeros(6, bool))
    weights = np.float32([[1, 0], [0.5, 0.5], [1, 0], [0.25, 0.75], [0.5, 0.5], [0.75, 0.25]])
    inner = Blend((Program((flip, warp)),), weights)
    outer_weights = np.float32([[0.5, 0.25, 0.25], [1, 0, 0], [0.25, 0.5, 0.25]] * 2)
    outer_weights[[3, 4, 5]] = [[0.25, 0.25, 0.5], [1, 0, 0], [0.5, 0.25, 0.25]]
    return Blend((Program((table,)), Program((inner,))), outer_weights)


def test_upload_of_nested_blends_keeps_members_dtypes_and_values() -> None:
    blend, noise = nested_blend(), sample("noise", 6)
    ours, ours_noise = upload(pack([blend, noise]), CPU)
    ((table,), (inner,)) = ours.branches
    ((flip, warp),) = inner.branches
    given_inner = blend.branches[1].kernels[0]
    given_flip, given_warp = given_inner.branches[0].kernels
    expected = [
        # on the device, given, which of the batch's images, which of those that come to the kernel
        (ours, blend, [0, 2, 3, 5], [0, 2, 3, 5]),
        (table, blend.branches[0].kernels[0], [2, 5], [1, 3]),
        (inner, given_inner, [3, 5], [2, 3]),
        (flip, given_flip, [3], [0]),
        (warp, given_warp, [3, 5], None),
        (ours_noise, noise, [0, 1, 2, 3, 4, 5], None),
    ]
    for on_device, kernel, rows, among in expected:
        assert type(on_device.kernel) is type(kernel)
        if among is None:
            assert on_device.members is None
        else:
            assert on_device.members.dtype == torch.int64
            assert on_device.members.tolist() == among
        assert list(on_device.parameters) == list(kernel.arrays())
        for name, value in kernel.arrays().items():
            dtype = np.float32 if value.dtype == np.float64 else value.dtype
            assert on_device.parameters[name].numpy().dtype == dtype
            assert np.array_equal(on_device.parameters[name].numpy(), value[rows].astype(dtype))
    # 10 arrays, and the members of four kernels.
    found = tensors((ours, ours_noise))
    assert len(found) == 13
    assert len({tensor.untyped_storage().data_ptr() for tensor in found}) == 1
    assert len({tensor.data_ptr() for tensor in found}) == 13
    assert all(tensor.storage_offset() * tensor.element_size() % 8 == 0 for tensor in found)


def test_nested_blends_come_out_as_from_the_cpu_renderer(paint) -> None:
    x, program = images(paint, 6), Program((nested_blend(),))
    ours = device.render(x, program.kernels).numpy().astype(int)
    theirs = np.stack([render(image, program, i) for i, image in enumerate(x.numpy())])
    assert np.abs(ours - theirs).max() <= 1
    assert np.array_equal(ours[[1, 4]], x[[1, 4]])
    assert all((ours[i] != x[i].numpy()).any() for i in (2, 3, 5))


def test_upload_of_nothing_is_nothing() -> None:
    assert upload(pack([]), CPU) == ()


@pytest.mark.parametrize("name", [name for name in SAMPLES if name not in SIZING])
def test_images_left_out_stay_as_they_are(name: str, paint) -> None:
    x, kernel = images(paint, 6), sample(name, 6).only(members(6), SIZES)
    assert torch.equal(device.render(x, [kernel]), device.apply(x, *upload(packed((whole(kernel),)), CPU)))
    assert torch.equal(x, images(paint, 6))


@pytest.mark.parametrize("name", POLICIES)
def test_policies_come_out_as_from_the_cpu_renderer(name: str, paint) -> None:
    program = lower([STEPS[name].read({})], CounterRNG(2), 0, np.arange(6), np.zeros(6, np.int64), SIZES)
    x = images(paint, 6)
    ours = device.render(x, program.kernels).numpy().astype(int)
    theirs = np.stack([render(image, program, i) for i, image in enumerate(x.numpy())])
    # Some operations make much of a difference of one pixel value, but few pixels have one.
    assert np.abs(ours - theirs).mean() < 0.3
    assert (ours != theirs).mean() < 0.1


def test_after_views_every_view_has_its_own_parameters(paint) -> None:
    x, flip = images(paint, 2), Flip(np.array([False, True, False, True]), np.zeros(4, bool))
    out = device.render(x, [Views(2), flip])
    assert torch.equal(out, torch.stack([x[0], x[0].flip(1), x[1], x[1].flip(1)]))


@pytest.mark.gpu
@pytest.mark.parametrize("name", SAMPLES)
def test_on_cuda_no_kernel_synchronises(name: str, paint) -> None:
    ours, theirs = on_cuda_and_cpu(images(paint, 4), Program.of((sample(name, 4), NORMALIZE)))
    assert ((ours - theirs).abs() * 0.225 * 255).mean() < 0.5


@pytest.mark.gpu
@pytest.mark.parametrize("name", POLICIES)
def test_on_cuda_no_policy_synchronises(name: str, paint) -> None:
    program = lower([STEPS[name].read({})], CounterRNG(2), 0, np.arange(6), np.zeros(6, np.int64), SIZES)
    ours, theirs = on_cuda_and_cpu(images(paint, 6), Program.of((*program.kernels, NORMALIZE)))
    assert ((ours - theirs).abs() * 0.225 * 255).mean() < 0.5


def on_cuda_and_cpu(x: torch.Tensor, program: Program) -> tuple[torch.Tensor, torch.Tensor]:
    """What the stage gives on a GPU, where nothing may synchronise once all is warm, and on the CPU."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    stage, pinned = DeviceStage(torch.device("cuda"), torch.float32), x.pin_memory()
    stage(batch(pinned, program))
    with nothing_waits():
        out = stage(batch(pinned, program))
    return out.cpu(), DeviceStage(CPU, torch.float32)(batch(x, program))
