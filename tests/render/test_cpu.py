import itertools

import kernel_samples
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional as F

from fastffdi.recipe.kernels import Flip, Kernel, Matrix, Resize, Warp, Window
from fastffdi.recipe.program import Program
from fastffdi.render.cpu.renderer import render, render_into

WHOLE = [0.0, 0.0, 1.0, 1.0]
IDENTITY = np.eye(3)


def done(image: np.ndarray, kernel: Kernel) -> np.ndarray:
    return render(image, Program((kernel,)), 0)


def window(top: int, left: int, height: int, width: int, fill: int = 0) -> Window:
    return Window(np.array([[top, left]], np.int32), np.array([[height, width]], np.int32), fill)


def resize(height: int, width: int, roi: list[float] = WHOLE) -> Resize:
    return Resize(np.array([roi], np.float32), np.array([[height, width]], np.int32))


def flip(horizontal: bool, vertical: bool) -> Flip:
    return Flip(np.array([horizontal]), np.array([vertical]))


def test_a_window_inside_is_a_slice(paint) -> None:
    image = paint(20, 30, 0)
    assert np.array_equal(done(image, window(3, 5, 10, 12)), image[3:13, 5:17])


@settings(max_examples=100, deadline=None)
@given(st.integers(-30, 30), st.integers(-30, 30), st.integers(1, 30), st.integers(1, 30))
def test_a_window_is_filled_outside_the_image(paint, top: int, left: int, height: int, width: int) -> None:
    image = paint(9, 14, 0)
    padded = np.pad(image, ((30, 60), (30, 60), (0, 0)), constant_values=77)
    expected = padded[top + 30 : top + 30 + height, left + 30 : left + 30 + width]
    assert np.array_equal(done(image, window(top, left, height, width, 77)), expected)


@settings(max_examples=60, deadline=None)
@given(*[st.integers(1, 60)] * 4)
def test_a_resize_is_torchvisions(paint, height: int, width: int, rows: int, columns: int) -> None:
    image = paint(height, width, 1)
    theirs = F.resize(torch.from_numpy(image).permute(2, 0, 1), [rows, columns], antialias=True)
    ours = done(image, resize(rows, columns))
    assert ours.shape == (rows, columns, 3)
    assert np.abs(ours.astype(int) - theirs.permute(1, 2, 0).numpy()).max() <= 1


def test_a_region_is_cut_out_before_it_is_resized(paint) -> None:
    image = paint(40, 50, 2)
    region = np.ascontiguousarray(image[10:30, 5:45])
    assert np.array_equal(done(image, resize(16, 16, [0.25, 0.1, 0.75, 0.9])), done(region, resize(16, 16)))


@pytest.mark.parametrize(
    ("roi", "turned"),
    [([0, 1, 1, 0], np.s_[:, ::-1]), ([1, 0, 0, 1], np.s_[::-1]), ([1, 1, 0, 0], np.s_[::-1, ::-1])],
)
def test_a_reversed_region_flips(roi: list[float], turned: tuple, paint) -> None:
    image = paint(40, 50, 2)
    assert np.array_equal(done(image, resize(24, 20, roi)), done(image, resize(24, 20))[turned])


def test_a_resize_to_the_same_size_changes_nothing(paint) -> None:
    image = paint(17, 19, 2)
    assert np.array_equal(done(image, resize(17, 19)), image)


@pytest.mark.parametrize(
    ("horizontal", "vertical", "turned"),
    [
        (False, False, np.s_[:]),
        (True, False, np.s_[:, ::-1]),
        (False, True, np.s_[::-1]),
        (True, True, np.s_[::-1, ::-1]),
    ],
)
def test_flips(horizontal: bool, vertical: bool, turned: tuple, paint) -> None:
    image = paint(7, 9, 3)
    assert np.array_equal(done(image, flip(horizontal, vertical)), image[turned])


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_the_identity_warp_changes_nothing(interpolation: str, paint) -> None:
    image = paint(20, 30, 4)
    assert np.array_equal(done(image, Warp(IDENTITY[None], interpolation)), image)


def test_a_warp_maps_output_to_input_and_fills_outside(paint) -> None:
    image = paint(20, 30, 4)
    shift = IDENTITY.copy()
    shift[:2, 2] = 3, -5  # output (x, y) shows input (x + 3, y − 5)
    out = done(image, Warp(shift[None], fill=9))
    assert np.array_equal(out[5:, :27], image[:15, 3:])
    assert (out[:5] == 9).all()
    assert (out[:, 27:] == 9).all()


def test_a_bilinear_warp_by_half_a_pixel_is_the_mean_of_neighbours(paint) -> None:
    image = paint(20, 30, 4)
    shift = IDENTITY.copy()
    shift[0, 2] = 0.5
    mean = (image[:, :-1].astype(float) + image[:, 1:]) / 2
    assert np.abs(done(image, Warp(shift[None]))[:, :-1] - mean).max() <= 0.5


def test_a_matrix_mixes_rounds_and_clamps() -> None:
    image = np.array([[[10, 20, 30], [200, 100, 3]]], np.uint8)
    matrix = np.array([[[0, 1, 0, 5], [2, 0, 0, -30], [0, 0, 0.1, 0.26]]], np.float32)
    assert done(image, Matrix(matrix)).tolist() == [[[25, 0, 3], [105, 255, 1]]]


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1)])
def test_images_of_one_pixel_a_side_go_through_all_kernels(size: tuple[int, int], paint) -> None:
    matrix = Matrix(np.eye(3, 4, dtype=np.float32)[None])
    kernels = window(0, 0, *size), resize(8, 8, [1, 1, 0, 0]), flip(True, False), Warp(IDENTITY[None]), matrix
    assert render(paint(*size, 0), Program(kernels), 0).shape == (8, 8, 3)


def test_each_image_has_its_own_parameters(paint) -> None:
    image = paint(7, 9, 3)
    program = Program((Flip(np.array([False, True]), np.array([False, False])),))
    assert np.array_equal(render(image, program, 0), image)
    assert np.array_equal(render(image, program, 1), image[:, ::-1])


def test_a_region_that_is_only_flipped_leaves_the_image(paint) -> None:
    image = paint(20, 30, 1)
    kernel = Resize(np.array([[0, 1, 1, 0]], np.float32), np.array([[20, 30]], np.int32))
    flipped = render(image, Program((kernel,)), 0)
    assert np.array_equal(image, paint(20, 30, 1))
    assert np.array_equal(flipped, image[:, ::-1])


def test_the_image_given_is_never_written_to(paint) -> None:
    image = paint(20, 30, 5)
    image.setflags(write=False)
    before = image.copy()
    matrix = Matrix(np.full((1, 3, 4), 0.5, np.float32))
    for kernel in (window(-2, 0, 5, 5), flip(True, True), Warp(IDENTITY[None] * 1.1), matrix):
        done(image, kernel)
    assert np.array_equal(image, before)


@pytest.mark.parametrize("name", kernel_samples.SAMPLES)
def test_rendering_into_given_memory_is_rendering(name: str, paint) -> None:
    image = paint(kernel_samples.H, kernel_samples.W, 6)
    program = Program((kernel_samples.sample(name, 7),))
    for i in range(7):
        expected = render(image, program, i)
        batch = np.full((3, *expected.shape), 99, np.uint8)
        render_into(batch[1], image, program, i)
        assert np.array_equal(batch[1], expected)
        assert (batch[[0, 2]] == 99).all()


@pytest.mark.parametrize("name", kernel_samples.SAMPLES)
def test_rendering_into_given_memory_leaves_the_image(name: str, paint) -> None:
    image, program = paint(kernel_samples.H, kernel_samples.W, 6), Program((kernel_samples.sample(name, 7),))
    before = image.copy()
    for i in range(7):
        render_into(np.empty_like(render(before.copy(), program, i)), image, program, i)
        assert np.array_equal(image, before)


@pytest.mark.parametrize("side", [7, 61, 300])
def test_a_region_between_two_pixels_is_those_between_them(side: int) -> None:
    image = np.arange(side * 3, dtype=np.uint16).reshape(side, 1, 3).astype(np.uint8)
    turned = np.ascontiguousarray(image.transpose(1, 0, 2))
    for first, last in itertools.combinations(range(0, side + 1, 1 if side < 100 else 13), 2):
        down, across = [first / side, 0, last / side, 1], [0, first / side, 1, last / side]
        assert np.array_equal(done(image, resize(last - first, 1, down)), image[first:last])
        assert np.array_equal(done(turned, resize(1, last - first, across)), turned[:, first:last])


def test_a_program_that_does_nothing_copies(paint) -> None:
    image, out = paint(9, 11, 7), np.zeros((9, 11, 3), np.uint8)
    render_into(out, image, Program((flip(False, False),)), 0)
    assert np.array_equal(out, image)
