import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from recipes import kernel_of, step
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from fastffdi.recipe.steps import STEPS

quick = settings(max_examples=60, deadline=None)
sides = st.integers(1, 300)
BELOW_ONE = np.nextafter(1, 0)


WRONG = [
    ("resize", {}, "resize: parameter 'size' is missing; write resize: {size: …}"),
    ("resize", {"size": 0}, "resize: size: 0 is not [height, width] in pixels, each from 1 to 30000"),
    (
        "resize",
        {"size": [9, 9, 9]},
        "resize: size: [9, 9, 9] is not [height, width] in pixels, each from 1 to 30000",
    ),
    (
        "resize",
        {"size": 10**12},
        f"resize: size: {10**12} is not [height, width] in pixels, each from 1 to 30000",
    ),
    ("resize", {"size": 1.5}, "resize: size: 1.5 is not a whole number"),
    ("resize", {"size": True}, "resize: size: True is not a whole number"),
    ("resize", {"sice": 9}, "resize: unknown parameter 'sice', did you mean 'size'?"),
    ("resize", {5: 9}, "resize: unknown parameter '5'; allowed: interpolation, max_size, size"),
    ("resize", {"size": None}, "resize: size: null needs a max_size; give one of the two"),
    ("resize", {"size": 9, "max_size": 9}, "resize: max_size: 9 is not above size, 9"),
    (
        "resize",
        {"size": "backbone", "max_size": 9},
        "resize: max_size: size is both sides already; leave max_size out",
    ),
    ("resize", {"size": 9, "max_size": 0}, "resize: max_size: 0 is not from 1 to 30000 pixels"),
    (
        "resize",
        {"size": 9, "antialias": None},
        "resize: antialias: None is not offered, only true: resizing is antialiased by every loader",
    ),
    (
        "resize",
        {"size": 9, "antialas": True},
        "resize: unknown parameter 'antialas', did you mean 'antialias'?",
    ),
    (
        "random_resized_crop",
        {"size": 8, "interpolation": 0},
        "random_resized_crop: interpolation: 'nearest' is not one of bilinear, bicubic",
    ),
    (
        "random_resized_crop",
        {"size": 8, "scale": [0.5]},
        "random_resized_crop: scale: [0.5] is not [low, high]",
    ),
    (
        "random_resized_crop",
        {"size": 8, "scale": [0.5, 1.5]},
        "random_resized_crop: scale: [0.5, 1.5] does not give a range within 0 … 1",
    ),
    (
        "random_resized_crop",
        {"size": 8, "ratio": [2, 1]},
        "random_resized_crop: ratio: [2, 1] does not give a range within 0.01 … 100",
    ),
]


@pytest.mark.parametrize(("name", "parameters", "line"), WRONG)
def test_wrong_parameters_are_refused_in_one_line(name: str, parameters: dict, line: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(line)}$"):
        STEPS[name].read(parameters)


@quick
@given(sides, sides, st.integers(1, 200))
def test_the_short_side_rule_is_torchvisions(height: int, width: int, short: int) -> None:
    kernel = kernel_of(step("resize", size=short), [[]], (height, width))
    theirs = F.resize(torch.zeros(1, height, width, dtype=torch.uint8), [short])
    assert kernel.size.tolist() == [list(theirs.shape[-2:])]
    assert kernel.roi.tolist() == [[0, 0, 1, 1]]


def test_resize_to_a_size_ignores_the_images() -> None:
    one = step("resize", size=[30, 50])
    assert not one.needs_size
    assert kernel_of(one, [[], []], (7, 9)).size.tolist() == [[30, 50], [30, 50]]


@quick
@given(sides, sides, st.integers(1, 200) | st.none(), st.integers(1, 100))
def test_the_longer_side_is_limited_as_torchvisions(
    height: int, width: int, short: int | None, more: int
) -> None:
    most = more + (short or 0)
    kernel = kernel_of(step("resize", size=short, max_size=most), [[]], (height, width))
    size = None if short is None else [short]
    if most * min(height, width) < max(height, width):
        assert kernel.size.min() == 1  # where torchvision fails
        return
    theirs = F.resize(torch.zeros(1, height, width, dtype=torch.uint8), size, max_size=most)
    assert kernel.size.tolist() == [list(theirs.shape[-2:])]


def test_sizes_of_several_images_are_limited_one_by_one() -> None:
    images = np.array([[100, 100], [100, 300], [300, 100]], np.int32)
    (kernel,) = step("resize", size=50, max_size=90).lower(np.zeros((3, 0)), images)
    assert kernel.size.tolist() == [[50, 50], [30, 90], [90, 30]]


@pytest.mark.parametrize("name", ["resize", "random_resized_crop"])
def test_the_interpolation_is_the_kernels(name: str) -> None:
    bicubic, bilinear = step(name, size=[8, 8], interpolation="bicubic"), step(name, size=[8, 8])
    u = [[0.5] * bicubic.draws.total]
    assert kernel_of(bicubic, u, (20, 30)).interpolation == "bicubic"
    assert kernel_of(bilinear, u, (20, 30)).interpolation == "bilinear"


@quick
@given(st.integers(4, 400), st.integers(4, 400), st.integers(0, 2**32))
def test_random_resized_crops_keep_their_bounds(height: int, width: int, seed: int) -> None:
    u = np.random.default_rng(seed).random((50, 22))
    kernel = kernel_of(step("random_resized_crop", size=[24, 32]), list(u), (height, width))
    top, left, bottom, right = (kernel.roi.astype(np.float64) * [height, width, height, width]).T
    rows, columns = bottom - top, right - left
    assert min(top.min(), left.min(), (height + 1e-3 - bottom).min(), (width + 1e-3 - right).min()) >= 0
    assert np.allclose([top, left, rows, columns], np.round([top, left, rows, columns]), atol=1e-3)
    assert kernel.size.tolist() == [[24, 32]] * 50
    if min(height, width) >= 100:
        area, ratio = rows * columns / (height * width), columns / rows
        assert 0.07 < area.min() <= area.max() < 1.01
        assert 0.72 < ratio.min() <= ratio.max() < 1.40


@quick
@given(st.integers(1, 300), st.integers(1, 300))
def test_where_no_window_fits_it_takes_torchvisions_central_one(height: int, width: int) -> None:
    bounds = {"scale": [1, 1], "ratio": [100, 100] if height > 2 else [0.01, 0.01]}
    kernel = kernel_of(step("random_resized_crop", size=8, **bounds), [[0.5] * 22], (height, width))
    theirs = v2.RandomResizedCrop(8, **bounds).make_params([torch.zeros(3, height, width)])
    top, left, bottom, right = np.round(kernel.roi[0] * np.array([height, width, height, width])).astype(int)
    if min(theirs["height"], theirs["width"]) > 0:
        assert [top, left, bottom - top, right - left] == [
            theirs[k] for k in ("top", "left", "height", "width")
        ]


def test_a_random_resized_crop_reaches_all_places() -> None:
    one = step("random_resized_crop", size=8, scale=[0.25, 0.25], ratio=[1, 1])
    roi = kernel_of(one, [[0.5] * 20 + [0, 0], [0.5] * 20 + [BELOW_ONE] * 2], (40, 40)).roi
    assert roi.tolist() == [[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]]


@pytest.mark.parametrize(
    ("size", "bounds", "u", "box"),
    [
        # As high as the image, and so not left out for the central one.
        ((40, 80), {"scale": [0.5, 0.5], "ratio": [1, 1]}, 0.0, [0, 0, 40, 40]),
        ((40, 80), {"scale": [0.5, 0.5], "ratio": [2, 2]}, 0.0, [0, 0, 28, 57]),
        # Ratios are evenly drawn on a logarithmic scale: half way from 1/4 to 4 is 1.
        ((80, 80), {"scale": [0.25, 0.25], "ratio": [0.25, 4]}, 0.5, [20, 20, 40, 40]),
        # A window of no pixel does not fit, nor does a line thinner than one.
        ((1, 1), {"scale": [0.1, 0.1], "ratio": [1, 1]}, 0.0, [0, 0, 1, 1]),
        ((300, 1), {"scale": [1, 1], "ratio": [100, 100]}, 0.0, [149, 0, 1, 1]),
        # None fits: as wide, or as high, as the ratio nearest to the image's allows.
        ((100, 1000), {"scale": [1, 1], "ratio": [0.5, 2]}, 0.0, [0, 400, 100, 200]),
        ((1000, 100), {"scale": [1, 1], "ratio": [0.5, 2]}, 0.0, [400, 0, 200, 100]),
    ],
)
def test_a_window_worked_by_hand(size: tuple, bounds: dict, u: float, box: list[int]) -> None:
    (roi,) = kernel_of(step("random_resized_crop", size=8, **bounds), [[u] * 22], size).roi
    top, left, bottom, right = roi * np.tile(size, 2)
    assert [top, left, bottom - top, right - left] == pytest.approx(box, abs=1e-3)


def test_of_ten_windows_the_first_that_fits_is_taken() -> None:
    u = np.zeros((1, 22))
    u[0, :3] = 1, 1, 0.5  # shares of the area; those of ratio 2 are too wide where the share is above a half
    one = step("random_resized_crop", size=8, scale=[0, 1], ratio=[2, 2])
    assert kernel_of(one, list(u), (40, 40)).roi[0].tolist() == pytest.approx([0, 0, 0.5, 1], abs=1e-3)


def test_random_resized_crops_have_torchvisions_areas() -> None:
    u = np.random.default_rng(0).random((4000, 22))
    roi = kernel_of(step("random_resized_crop", size=8), list(u), (375, 500)).roi
    ours = ((roi[:, 2] - roi[:, 0]) * (roi[:, 3] - roi[:, 1])).mean()
    theirs, image = v2.RandomResizedCrop(8), [torch.zeros(1, 375, 500)]
    drawn = [theirs.make_params(image) for _ in range(1000)]
    assert ours == pytest.approx(np.mean([d["height"] * d["width"] for d in drawn]) / 375 / 500, abs=0.03)
