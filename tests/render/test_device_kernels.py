"""The kernels on a batch: what they cost in operations, and that they do what the CPU renderer does."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_samples import SAMPLES, SIZE, SIZING, H, W, members, sample, whole
from recorded import recorded

from fastffdi.recipe import kernels as k
from fastffdi.recipe.packing import packed
from fastffdi.recipe.program import Program
from fastffdi.render.cpu.renderer import render
from fastffdi.render.device import stage
from fastffdi.render.device.upload import upload

CPU = torch.device("cpu")
#: Those that give what the CPU renderer does, to the last bit.
EXACT = (
    *(name for name in SAMPLES if name.startswith("window")),
    *("flip", "table", "equalize", "autocontrast", "jpeg", "noise", "erase"),
)

Make = Callable[[int], torch.Tensor]


@pytest.fixture
def images(paint) -> Make:
    """images(n): (n, H, W, 3), every other one of low contrast."""
    return lambda n: torch.from_numpy(
        np.stack([paint(H, W, i) // (1 + i % 2) + 9 * (i % 2) for i in range(n)])
    )


def done(x: torch.Tensor, kernel: k.Kernel) -> torch.Tensor:
    """All images by the kernel, those too that its parameters leave as they are."""
    return stage.apply(x, *upload(packed((whole(kernel),)), CPU))


def on_cpu(x: torch.Tensor, kernel: k.Kernel) -> np.ndarray:
    program = Program((kernel,))
    return np.stack([render(image, program, i) for i, image in enumerate(x.numpy())])


def operations(x: torch.Tensor, kernel: k.Kernel) -> list[str]:
    done(x, kernel)  # what is made once for a device is made now
    with recorded() as names:
        done(x, kernel)
    return names


def test_there_is_a_sample_of_every_kernel() -> None:
    kinds = {type(sample(name, 2)) for name in SAMPLES} | {k.Views, k.Python}
    assert kinds == set(stage.KERNELS) | {k.Blend}


@pytest.mark.parametrize("name", SAMPLES)
def test_operations_do_not_grow_with_the_batch(name: str, images: Make) -> None:
    assert operations(images(8), sample(name, 8)) == operations(images(2), sample(name, 2))


@pytest.mark.parametrize("name", SAMPLES)
def test_kernels_agree_with_the_cpu_renderer(name: str, images: Make) -> None:
    x, kernel = images(6), sample(name, 6)
    ours, theirs = done(x, kernel), on_cpu(x, kernel)
    difference = np.abs(ours.numpy().astype(int) - theirs)
    assert ours.dtype == torch.uint8
    assert ours.shape == theirs.shape
    assert difference.max() <= (0 if name in EXACT else 1)
    assert difference.mean() <= 0.25


@pytest.mark.parametrize("name", [name for name in SAMPLES if name not in SIZING])
def test_neutral_parameters_change_nothing(name: str, images: Make) -> None:
    x, kernel = images(6), sample(name, 6).only(members(6), np.tile(SIZE, (6, 1)))
    ours = done(x, kernel)
    assert torch.equal(ours[::3], x[::3])
    assert not torch.equal(ours, x)


@pytest.mark.parametrize("name", SAMPLES)
def test_the_images_given_are_never_written_to(name: str, images: Make) -> None:
    x = images(4)
    done(x, sample(name, 4))
    assert torch.equal(x, images(4))


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["constant", "edge", "reflect", "symmetric"]),
    *[st.integers(1, 7)] * 2,
    *[st.integers(-20, 20)] * 2,
    *[st.integers(1, 30)] * 2,
)
def test_a_window_is_the_cpu_renderers_wherever_it_lies(
    paint, mode: str, height: int, width: int, top: int, left: int, rows: int, columns: int
) -> None:
    x = torch.from_numpy(paint(height, width, 0)[None].copy())
    kernel = k.Window(np.array([[top, left]], np.int32), np.array([[rows, columns]], np.int32), 9, mode)
    assert np.array_equal(done(x, kernel).numpy(), on_cpu(x, kernel))


@pytest.mark.parametrize("name", ["equalize", "autocontrast", "all stretches"])
def test_stretches_of_flat_dark_and_sparse_images_are_the_cpu_renderers(name: str) -> None:
    rng = np.random.default_rng(3)
    x = torch.from_numpy(rng.integers(0, 256, (6, H, W, 3)).astype(np.uint8))
    x[0], x[1, ..., 0], x[2] = 7, 255, x[2] // 16
    x[3] = 100 + 50 * (x[3] > 250).byte()
    x[4] = 200 + x[4] // 128
    kernel = sample(name, 6)
    assert np.abs(done(x, kernel).numpy().astype(int) - on_cpu(x, kernel)).max() <= (name == "all stretches")


@pytest.mark.parametrize("name", ["blur", "sharpen", "warp"])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 3)])
def test_tiny_images(name: str, size: tuple[int, int], paint) -> None:
    x = torch.from_numpy(paint(*size, 0)[None].copy())
    kernel = sample(name, 1)
    assert np.abs(done(x, kernel).numpy().astype(int) - on_cpu(x, kernel)).max() <= 1


def test_a_nearest_warp_agrees_with_the_cpu_renderer(images: Make) -> None:
    kernel = k.Warp(sample("warp", 2).arrays()["matrix"], "nearest", 70)
    assert (done(images(2), kernel).numpy() == on_cpu(images(2), kernel)).mean() > 0.98


def test_views_repeat_every_image_in_a_row(images: Make) -> None:
    x = images(2)
    assert torch.equal(done(x, k.Views(3)), x[[0, 0, 0, 1, 1, 1]])


def test_views_are_as_many_operations_for_any_batch(images: Make) -> None:
    assert operations(images(8), k.Views(5)) == operations(images(2), k.Views(5))
