import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from recipes import kernel_of, step
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from fastffdi.recipe.kernels import Flip
from fastffdi.recipe.program import Program
from fastffdi.recipe.steps import STEPS
from fastffdi.recipe.steps.base import Range
from fastffdi.render.cpu.renderer import render

quick = settings(max_examples=60, deadline=None)
BELOW_ONE = np.nextafter(1, 0)


def as_tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)


WRONG = [
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
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_the_centre_crop_is_torchvisions(height: int, width: int, rows: int, columns: int) -> None:
    image = np.random.default_rng(0).integers(1, 256, (height, width, 3), np.uint8)
    kernel = kernel_of(step("center_crop", size=[rows, columns]), [[]], (height, width))
    ours = render(image, Program((kernel,)), 0)
    assert np.array_equal(ours, F.center_crop(as_tensor(image), [rows, columns]).permute(1, 2, 0))


def test_a_random_crop_reaches_all_places_equally() -> None:
    u = np.stack([np.linspace(0, BELOW_ONE, 600), np.linspace(BELOW_ONE, 0, 600)], axis=1)
    kernel = kernel_of(step("random_crop", size=[8, 15]), list(u), (12, 20))
    assert np.bincount(kernel.start[:, 0]).tolist() == [120] * 5
    assert np.bincount(kernel.start[:, 1]).tolist() == [100] * 6


def test_a_random_crop_draws_down_and_then_across() -> None:
    assert kernel_of(step("random_crop", size=[8, 15]), [[0, BELOW_ONE]], (12, 20)).start.tolist() == [[0, 5]]


@pytest.mark.parametrize(
    ("more", "inside"), [({}, True), ({"padding": [0, 0, 0, 1]}, False), ({"pad_if_needed": True}, False)]
)
def test_a_random_crop_knows_whether_it_stays_inside(more: dict, inside: bool) -> None:
    assert kernel_of(step("random_crop", size=8, **more), [[0, 0]], (12, 20)).inside is inside


def test_a_random_crop_of_the_whole_image_stays_where_it_is() -> None:
    kernel = kernel_of(step("random_crop", size=12), [[0, BELOW_ONE]], (12, 12))
    assert kernel.start.tolist() == [[0, 0]]


def test_a_random_crop_pads_a_lack_on_both_sides_as_torchvision() -> None:
    one = step("random_crop", size=10, pad_if_needed=True, fill=3)
    kernel = kernel_of(one, [[0, 0], [BELOW_ONE, BELOW_ONE]], (7, 20))
    assert kernel.start.tolist() == [[-3, 0], [0, 10]]
    theirs = v2.RandomCrop(10, pad_if_needed=True)
    drawn = [theirs.make_params([torch.zeros(3, 7, 20)]) for _ in range(200)]
    assert {d["top"] - d["padding"][1] for d in drawn} == {-3, -2, -1, 0}
    assert kernel.fill == 3


@pytest.mark.parametrize(("name", "axis"), [("horizontal_flip", 0), ("vertical_flip", 1)])
def test_flips_happen_below_their_probability(name: str, axis: int) -> None:
    kernel = kernel_of(step(name, p=0.3), [[0.0], [0.2999], [0.3], [0.9]], (5, 5))
    assert isinstance(kernel, Flip)
    both = [kernel.horizontal.tolist(), kernel.vertical.tolist()]
    assert both[axis] == [True, True, False, False]
    assert both[1 - axis] == [False] * 4


@pytest.mark.parametrize("p", [0, 1])
def test_a_flip_of_probability_0_never_and_of_1_always_happens(p: int) -> None:
    assert kernel_of(step("horizontal_flip", p=p), [[0.0], [BELOW_ONE]], (5, 5)).horizontal.tolist() == [p, p]
