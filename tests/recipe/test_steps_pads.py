"""pad, and what random_crop pads, against torchvision."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from recipes import kernel_of, step
from torchvision.transforms.v2 import functional as F

from fastffdi.recipe.program import Program
from fastffdi.recipe.steps import STEPS
from fastffdi.recipe.steps.base import TooSmall
from fastffdi.render.cpu.renderer import render

quick = settings(max_examples=60, deadline=None)
MODES = "constant", "edge", "reflect", "symmetric"


def as_tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)


WRONG = [
    (
        "pad",
        {"padding": [1, 2, 3]},
        "pad: padding: [1, 2, 3] is neither pixels for all sides, [left and right, top and bottom], nor "
        "[left, top, right, bottom], each from 0 to 30000",
    ),
    (
        "pad",
        {"padding": -1},
        "pad: padding: -1 is neither pixels for all sides, [left and right, top and bottom], nor "
        "[left, top, right, bottom], each from 0 to 30000",
    ),
    ("pad", {"padding": [1, 2.5]}, "pad: padding: 2.5 is not a whole number"),
    ("pad", {"padding": 1, "fill": 300}, "pad: fill: 300 is not a pixel value between 0 and 255"),
    (
        "pad",
        {"padding": 1, "padding_mode": "mirror"},
        "pad: padding_mode: 'mirror' is not one of constant, edge, reflect, symmetric",
    ),
    (
        "random_crop",
        {"size": 8, "padding_mode": 3},
        "random_crop: padding_mode: 3 is not one of constant, edge, reflect, symmetric",
    ),
]


@pytest.mark.parametrize(("name", "parameters", "line"), WRONG)
def test_wrong_parameters_are_refused_in_one_line(name: str, parameters: dict, line: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(line)}$"):
        STEPS[name].read(parameters)


margin, short = st.integers(0, 12), st.integers(1, 15)


@quick
@given(short, short, st.lists(margin, min_size=4, max_size=4), st.sampled_from(MODES))
def test_padding_is_torchvisions_or_refused_where_it_refuses(
    height: int, width: int, padding: list[int], mode: str
) -> None:
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    one = step("pad", padding=padding, fill=9, padding_mode=mode)
    try:
        theirs = F.pad(as_tensor(image), padding, 9, mode)
    except (RuntimeError, IndexError):
        with pytest.raises(
            TooSmall, match=f"^padding_mode {mode} cannot add .* pixels to an image of {height}×"
        ):
            kernel_of(one, [[]], (height, width))
    else:
        ours = render(image, Program((kernel_of(one, [[]], (height, width)),)), 0)
        assert np.array_equal(ours, theirs.permute(1, 2, 0))


@pytest.mark.parametrize(
    ("given_", "read"), [(3, (3, 3, 3, 3)), ([1, 2], (1, 2, 1, 2)), ([1, 2, 3, 4], (1, 2, 3, 4))]
)
def test_padding_is_given_as_in_torchvision(given_: int | list[int], read: tuple) -> None:
    assert step("pad", padding=given_).padding == read
    left, top, right, bottom = read
    kernel = kernel_of(step("pad", padding=given_), [[]], (20, 30))
    assert kernel.start.tolist() == [[-top, -left]]
    assert kernel.size.tolist() == [[20 + top + bottom, 30 + left + right]]


def test_padding_by_a_mirror_wants_enough_to_mirror() -> None:
    line = "padding_mode reflect cannot add 0 and 9 pixels to an image of 40×9; "
    line += "take padding_mode: edge, or resize first"
    with pytest.raises(TooSmall, match=f"^{re.escape(line)}$") as error:
        step("pad", padding=[9, 0], padding_mode="reflect").lower(
            np.zeros((2, 0)), np.array([[9, 10], [40, 9]])
        )
    assert error.value.index == 1


def test_of_several_images_the_padding_of_the_refused_one_is_named() -> None:
    one = step("random_crop", size=30, pad_if_needed=True, padding_mode="reflect")
    with pytest.raises(TooSmall, match="cannot add 18 and 21 pixels to an image of 12×9;") as error:
        one.lower(np.zeros((3, 2)), np.array([[29, 28], [30, 40], [12, 9]], np.int32))
    assert error.value.index == 2


@quick
@given(short, short, st.integers(1, 30), st.integers(0, 2**32))
def test_a_padded_random_crop_is_a_crop_of_the_padded_image(
    height: int, width: int, side: int, seed: int
) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    one = step("random_crop", size=side, padding=[2, 3, 0, 5], pad_if_needed=True, fill=7)
    kernel = kernel_of(one, list(np.random.default_rng(seed).random((20, 2))), (height, width))
    lack_y, lack_x = max(side - height - 8, 0), max(side - width - 2, 0)
    padded = F.pad(as_tensor(image), [2 + lack_x, 3 + lack_y, lack_x, 5 + lack_y], fill=7).permute(1, 2, 0)
    for i, (top, left) in enumerate(kernel.start + np.array([3 + lack_y, 2 + lack_x])):
        ours = render(image, Program((kernel,)), i)
        assert np.array_equal(ours, padded[top : top + side, left : left + side])
        assert ours.shape == (side, side, 3)


def test_a_random_crop_larger_than_the_padded_image_is_refused() -> None:
    line = "10×10 does not fit an image of 8×9; set pad_if_needed: true, or resize first"
    with pytest.raises(TooSmall, match=f"^{re.escape(line)}$"):
        kernel_of(step("random_crop", size=10, padding=[4, 0, 4, 1]), [[0, 0]], (8, 9))
