import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from recipes import step
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from fastffdi.recipe.kernels import Flip, Kernel
from fastffdi.recipe.program import Program
from fastffdi.recipe.steps import STEPS
from fastffdi.recipe.steps.base import Range, Step
from fastffdi.render.cpu.renderer import render

quick = settings(max_examples=60, deadline=None)
sides = st.integers(1, 300)
BELOW_ONE = np.nextafter(1, 0)


def lowered(one: Step, u: list, size: tuple[int, int]) -> Kernel:
    """The kernel for as many images of one size as u has rows."""
    numbers = np.array(u, np.float64).reshape(len(u), -1)
    (kernel,) = one.lower(numbers, np.tile(np.array(size, np.int32), (len(numbers), 1)))
    assert type(kernel) in one.kernels
    return kernel


def as_tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)


WRONG = [
    ("resize", {}, "resize: parameter 'size' is missing; write resize: {size: …}"),
    ("resize", {"size": 0}, "resize: size: 0 is not [height, width] in pixels, each from 1 to 30000"),
    ("resize", {"size": [9]}, "resize: size: [9] is not [height, width] in pixels, each from 1 to 30000"),
    (
        "resize",
        {"size": 10**12},
        f"resize: size: {10**12} is not [height, width] in pixels, each from 1 to 30000",
    ),
    ("resize", {"size": 1.5}, "resize: size: 1.5 is not a whole number"),
    ("resize", {"size": True}, "resize: size: True is not a whole number"),
    ("resize", {"sice": 9}, "resize: unknown parameter 'sice', did you mean 'size'?"),
    ("resize", {5: 9}, "resize: unknown parameter '5'; allowed: size"),
    ("center_crop", {"size": "huge"}, "center_crop: size: 'huge' is not a whole number"),
    (
        "random_crop",
        {"size": 8, "pad_if_needed": 1},
        "random_crop: pad_if_needed: 1 is neither true nor false",
    ),
    (
        "random_crop",
        {"size": 8, "fill": 256},
        "random_crop: fill: 256 is not a pixel value between 0 and 255",
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
    ("horizontal_flip", {"p": 1.1}, "horizontal_flip: p: 1.1 is not a probability between 0 and 1"),
    ("vertical_flip", {"p": "often"}, "vertical_flip: p: 'often' is not a number"),
    ("vertical_flip", {"p": math.nan}, "vertical_flip: p: nan is not a number"),
]


@pytest.mark.parametrize(("name", "parameters", "line"), WRONG)
def test_wrong_parameters_are_refused_in_one_line(name: str, parameters: dict, line: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(line)}$"):
        STEPS[name].read(parameters)


def test_whole_numbers_of_a_range_include_both_ends_equally() -> None:
    drawn = Range(3, 5).integers(np.array([*np.arange(30) / 30, BELOW_ONE]))
    assert np.bincount(drawn)[3:].tolist() == [10, 10, 11]


@quick
@given(sides, sides, st.integers(1, 200))
def test_the_short_side_rule_is_torchvisions(height: int, width: int, short: int) -> None:
    kernel = lowered(step("resize", size=short), [[]], (height, width))
    theirs = F.resize(torch.zeros(1, height, width, dtype=torch.uint8), [short])
    assert kernel.size.tolist() == [list(theirs.shape[-2:])]
    assert kernel.roi.tolist() == [[0, 0, 1, 1]]


def test_resize_to_a_size_ignores_the_images() -> None:
    one = step("resize", size=[30, 50])
    assert not one.needs_size
    assert lowered(one, [[], []], (7, 9)).size.tolist() == [[30, 50], [30, 50]]


@quick
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_the_centre_crop_is_torchvisions(height: int, width: int, rows: int, columns: int) -> None:
    image = np.random.default_rng(0).integers(1, 256, (height, width, 3), np.uint8)
    kernel = lowered(step("center_crop", size=[rows, columns]), [[]], (height, width))
    ours = render(image, Program((kernel,)), 0)
    assert np.array_equal(ours, F.center_crop(as_tensor(image), [rows, columns]).permute(1, 2, 0))


def test_a_random_crop_reaches_all_places_equally() -> None:
    u = np.stack([np.linspace(0, BELOW_ONE, 600), np.linspace(BELOW_ONE, 0, 600)], axis=1)
    kernel = lowered(step("random_crop", size=[8, 15]), list(u), (12, 20))
    assert np.bincount(kernel.start[:, 0]).tolist() == [120] * 5
    assert np.bincount(kernel.start[:, 1]).tolist() == [100] * 6


def test_a_random_crop_draws_down_and_then_across() -> None:
    assert lowered(step("random_crop", size=[8, 15]), [[0, BELOW_ONE]], (12, 20)).start.tolist() == [[0, 5]]


@pytest.mark.parametrize(
    ("more", "inside"), [({}, True), ({"padding": [0, 0, 0, 1]}, False), ({"pad_if_needed": True}, False)]
)
def test_a_random_crop_knows_whether_it_stays_inside(more: dict, inside: bool) -> None:
    assert lowered(step("random_crop", size=8, **more), [[0, 0]], (12, 20)).inside is inside


def test_a_random_crop_of_the_whole_image_stays_where_it_is() -> None:
    kernel = lowered(step("random_crop", size=12), [[0, BELOW_ONE]], (12, 12))
    assert kernel.start.tolist() == [[0, 0]]


def test_a_random_crop_pads_a_lack_on_both_sides_as_torchvision() -> None:
    one = step("random_crop", size=10, pad_if_needed=True, fill=3)
    kernel = lowered(one, [[0, 0], [BELOW_ONE, BELOW_ONE]], (7, 20))
    assert kernel.start.tolist() == [[-3, 0], [0, 10]]
    theirs = v2.RandomCrop(10, pad_if_needed=True)
    drawn = [theirs.make_params([torch.zeros(3, 7, 20)]) for _ in range(200)]
    assert {d["top"] - d["padding"][1] for d in drawn} == {-3, -2, -1, 0}
    assert kernel.fill == 3


@quick
@given(st.integers(4, 400), st.integers(4, 400), st.integers(0, 2**32))
def test_random_resized_crops_keep_their_bounds(height: int, width: int, seed: int) -> None:
    u = np.random.default_rng(seed).random((50, 22))
    kernel = lowered(step("random_resized_crop", size=[24, 32]), list(u), (height, width))
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
    kernel = lowered(step("random_resized_crop", size=8, **bounds), [[0.5] * 22], (height, width))
    theirs = v2.RandomResizedCrop(8, **bounds).make_params([torch.zeros(3, height, width)])
    top, left, bottom, right = np.round(kernel.roi[0] * np.array([height, width, height, width])).astype(int)
    if min(theirs["height"], theirs["width"]) > 0:
        assert [top, left, bottom - top, right - left] == [
            theirs[k] for k in ("top", "left", "height", "width")
        ]


def test_a_random_resized_crop_reaches_all_places() -> None:
    one = step("random_resized_crop", size=8, scale=[0.25, 0.25], ratio=[1, 1])
    roi = lowered(one, [[0.5] * 20 + [0, 0], [0.5] * 20 + [BELOW_ONE] * 2], (40, 40)).roi
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
    (roi,) = lowered(step("random_resized_crop", size=8, **bounds), [[u] * 22], size).roi
    top, left, bottom, right = roi * np.tile(size, 2)
    assert [top, left, bottom - top, right - left] == pytest.approx(box, abs=1e-3)


def test_of_ten_windows_the_first_that_fits_is_taken() -> None:
    u = np.zeros((1, 22))
    u[0, :3] = 1, 1, 0.5  # shares of the area; those of ratio 2 are too wide where the share is above a half
    one = step("random_resized_crop", size=8, scale=[0, 1], ratio=[2, 2])
    assert lowered(one, list(u), (40, 40)).roi[0].tolist() == pytest.approx([0, 0, 0.5, 1], abs=1e-3)


def test_random_resized_crops_have_torchvisions_areas() -> None:
    u = np.random.default_rng(0).random((4000, 22))
    roi = lowered(step("random_resized_crop", size=8), list(u), (375, 500)).roi
    ours = ((roi[:, 2] - roi[:, 0]) * (roi[:, 3] - roi[:, 1])).mean()
    theirs, image = v2.RandomResizedCrop(8), [torch.zeros(1, 375, 500)]
    drawn = [theirs.make_params(image) for _ in range(1000)]
    assert ours == pytest.approx(np.mean([d["height"] * d["width"] for d in drawn]) / 375 / 500, abs=0.03)


@pytest.mark.parametrize(("name", "axis"), [("horizontal_flip", 0), ("vertical_flip", 1)])
def test_flips_happen_below_their_probability(name: str, axis: int) -> None:
    kernel = lowered(step(name, p=0.3), [[0.0], [0.2999], [0.3], [0.9]], (5, 5))
    assert isinstance(kernel, Flip)
    both = [kernel.horizontal.tolist(), kernel.vertical.tolist()]
    assert both[axis] == [True, True, False, False]
    assert both[1 - axis] == [False] * 4


@pytest.mark.parametrize("p", [0, 1])
def test_a_flip_of_probability_0_never_and_of_1_always_happens(p: int) -> None:
    assert lowered(step("horizontal_flip", p=p), [[0.0], [BELOW_ONE]], (5, 5)).horizontal.tolist() == [p, p]
