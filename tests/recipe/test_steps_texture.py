import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from recipes import step
from torchvision.transforms import v2
from torchvision.transforms.v2.functional._misc import _get_gaussian_kernel1d

from fastffdi.recipe.kernels import Erase, Kernel
from fastffdi.recipe.steps import STEPS
from fastffdi.recipe.steps.base import Range, Step, TooSmall
from fastffdi.recipe.steps.texture import gaussian

quick = settings(max_examples=60, deadline=None)
BELOW_ONE = np.nextafter(1, 0)


def lowered(one: Step, u: list, size: tuple[int, int] | None) -> Kernel:
    """The kernel for as many images of one size as u has rows; the size may be unknown."""
    sizes = None if size is None else np.tile(np.array(size, np.int32), (len(u), 1))
    (kernel,) = one.lower(np.array(u, np.float64), sizes)
    return kernel


BLUR, JPEG, ERASING = "gaussian_blur", "jpeg_compression", "random_erasing"
ODD, QUALITY = "is not [x, y] in pixels, each odd, from 1 to 255", "is neither a quality from 1 to 100 nor"
WRONG = [
    (BLUR, {"kernel_size": 4}, f"kernel_size: 4 {ODD}"),
    (BLUR, {"kernel_size": [3, 5, 7]}, f"kernel_size: [3, 5, 7] {ODD}"),
    (BLUR, {"kernel_size": 3, "sigma": 0}, "sigma: [0.0, 0.0] does not give a range within 0.01 … 100"),
    (BLUR, {"kernel_size": 3, "sigma": [2, 1]}, "sigma: [2, 1] does not give a range within 0.01 … 100"),
    (
        "random_adjust_sharpness",
        {"sharpness_factor": -1},
        "sharpness_factor: -1 is not a factor between 0 and 100",
    ),
    (JPEG, {"quality": [0, 50]}, f"quality: [0, 50] {QUALITY} [low, high] of them"),
    (JPEG, {"quality": [90, 50]}, f"quality: [90, 50] {QUALITY} [low, high] of them"),
    (JPEG, {"quality": 50.5}, "quality: 50.5 is not a whole number"),
    (
        ERASING,
        {"value": "random"},
        "value: 'random' is not offered, since renderers draw no random numbers; "
        "give one pixel value or three",
    ),
    (ERASING, {"value": [1, 2]}, "value: [1, 2] is neither a pixel value nor three"),
    (ERASING, {"value": 300}, "value: 300 is not a pixel value between 0 and 255"),
    (ERASING, {"scale": [0.5, 1.5]}, "scale: [0.5, 1.5] does not give a range within 0 … 1"),
    (ERASING, {"ratio": 2}, "ratio: 2 is not [low, high]"),
    ("gaussian_noise", {"sigma": 20}, "sigma: [20.0, 20.0] does not give a range within 0 … 1"),
    ("gaussian_noise", {"mean": 2}, "mean: 2 is not between -1 and 1"),
]


@pytest.mark.parametrize(("name", "parameters", "line"), WRONG)
def test_wrong_parameters_are_refused_in_one_line(name: str, parameters: dict, line: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(f'{name}: {line}')}$"):
        STEPS[name].read(parameters)


def test_one_number_is_that_number() -> None:
    assert step(BLUR, kernel_size=3, sigma=2).sigma == Range(2, 2)
    assert step(JPEG, quality=30).quality == Range(30, 30)
    assert step(ERASING, value=7).value == (7, 7, 7)


@quick
@given(st.integers(0, 30), st.floats(0.05, 50))
def test_the_weights_are_torchvisions(half: int, sigma: float) -> None:
    (ours,) = gaussian(2 * half + 1, np.array([sigma]))
    theirs = _get_gaussian_kernel1d(2 * half + 1, sigma, torch.float64, torch.device("cpu"))
    assert ours.dtype == np.float32
    assert np.allclose(ours, theirs, atol=1e-7)


def test_sigma_is_drawn_for_each_image_and_the_sizes_are_x_and_y() -> None:
    one = step(BLUR, kernel_size=[5, 9], sigma=[1, 3])
    kernel = lowered(one, [[0.0], [0.5], [BELOW_ONE]], None)
    assert (kernel.columns.shape, kernel.rows.shape) == ((3, 5), (3, 9))
    assert np.allclose(kernel.columns, gaussian(5, np.array([1, 2, 3])))


def test_a_blur_wider_than_the_image_can_reflect_is_refused_where_that_is_known() -> None:
    one = step(BLUR, kernel_size=[5, 9])
    assert not lowered(one, [[0.5]], (5, 3)).is_identity(0)
    assert not lowered(one, [[0.5]], None).is_identity(0)
    line = "kernel_size [5, 9] does not fit an image of 4×3; make it smaller, or resize first"
    with pytest.raises(TooSmall, match=f"^{re.escape(line)}$"):
        lowered(one, [[0.5]], (4, 3))


def test_sharpness_is_the_factor_or_nothing() -> None:
    kernel = lowered(step("random_adjust_sharpness", sharpness_factor=2.5), [[0.1], [0.6]], None)
    assert kernel.amount.tolist() == [2.5, 1]


def test_qualities_include_both_ends_equally() -> None:
    u = np.stack([np.zeros(300), np.linspace(0, BELOW_ONE, 300)], axis=1)
    kernel = lowered(step(JPEG, quality=[70, 72]), list(u), None)
    assert np.bincount(kernel.quality)[70:].tolist() == [100, 100, 100]
    assert kernel.quality.dtype == np.int32


@quick
@given(st.integers(2, 300), st.integers(2, 300), st.integers(0, 2**32))
def test_boxes_lie_inside_and_are_smaller_than_the_image(height: int, width: int, seed: int) -> None:
    u = np.random.default_rng(seed).random((50, 23))
    kernel = lowered(step(ERASING, p=1, value=[1, 2, 3]), list(u), (height, width))
    assert isinstance(kernel, Erase)
    start, end = kernel.box[:, :2], kernel.box[:, 2:]
    assert ((start >= 0) & (start <= end) & (end <= [height, width])).all()
    assert (end - start < [height, width]).all()
    assert (kernel.box.dtype, kernel.fill) == (np.int32, (1, 2, 3))


def test_boxes_are_drawn_as_in_torchvision() -> None:
    height, width = 120, 80
    u = np.random.default_rng(0).random((6000, 23))
    box = lowered(step(ERASING, p=1), list(u), (height, width)).box
    ours = np.concatenate([box[:, :2], box[:, 2:] - box[:, :2]], axis=1)
    theirs, image = v2.RandomErasing(p=1), [torch.zeros(3, height, width)]
    drawn = np.array([[theirs.make_params(image)[k] for k in "ijhw"] for _ in range(2000)])
    assert ours.mean(axis=0) == pytest.approx(drawn.mean(axis=0), rel=0.1)
    assert ours.std(axis=0) == pytest.approx(drawn.std(axis=0), rel=0.1)


def test_where_none_of_ten_boxes_is_small_enough_nothing_is_erased() -> None:
    one = step(ERASING, p=1, scale=[0.5, 0.5], ratio=[50, 50])
    assert lowered(one, [[0.5] * 23], (100, 100)).box.tolist() == [[0] * 4]


def test_the_first_box_that_fits_is_taken() -> None:
    one = step(ERASING, p=1, scale=[0.04, 1], ratio=[1, 1])
    u = np.full((1, 23), BELOW_ONE)
    u[0, 4:11] = 0, *[0.5] * 6
    assert lowered(one, list(u), (50, 50)).box.tolist() == [[40, 40, 50, 50]]


@pytest.mark.parametrize(("mean", "offset"), [(0.1, 26), (-0.1, -26), (0.25, 64), (1, 255), (0, 0)])
def test_the_mean_of_noise_is_rounded_pixel_values(mean: float, offset: int) -> None:
    kernel = lowered(step("gaussian_noise", mean=mean), [[0.5, 0.5]], None)
    assert kernel.offset.tolist() == [offset]


def test_the_key_of_noise_is_its_own_number() -> None:
    kernel = lowered(step("gaussian_noise", sigma=[0, 0.2]), [[0.5, 0.25], [0.5, BELOW_ONE]], None)
    assert kernel.key.tolist() == [2**22, 2**24 - 1]


@pytest.mark.parametrize("value", [[9, 80, 200], 7])
def test_a_box_is_filled_with_red_green_and_blue_as_given(value: int | list[int]) -> None:
    kernel = lowered(step(ERASING, p=1, value=value), [[0.5] * 23], (50, 50))
    assert kernel.fill == (tuple(value) if isinstance(value, list) else (7, 7, 7))


def test_noise_is_in_pixel_values_with_a_key_for_each_image() -> None:
    u = np.random.default_rng(0).random((100, 2))
    kernel = lowered(step("gaussian_noise", sigma=[0.1, 0.2]), list(u), None)
    assert np.allclose(kernel.sigma, 255 * (0.1 + 0.1 * u[:, 0]))
    assert len(set(kernel.key.tolist())) == 100
    assert np.array_equal(kernel.key.astype(np.float32), kernel.key)
