import re

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from recipes import step
from torchvision.transforms.v2 import functional as F

from fastffdi.errors import RecipeError
from fastffdi.recipe.kernels import Views
from fastffdi.recipe.lowering import lower, needs_sizes, output_size, sizing_point, template
from fastffdi.recipe.program import Program
from fastffdi.recipe.recipe import parse
from fastffdi.recipe.rng import CounterRNG
from fastffdi.recipe.steps.base import Step, TooSmall
from fastffdi.render.cpu.renderer import render

RESIZE, FIVE, TEN = {"resize": {"size": [8, 9]}}, {"five_crop": {"size": 5}}, {"ten_crop": {"size": 4}}
SHORT = {"resize": {"size": 8}}
sides = st.integers(1, 12)


def rendered(one: Step, images: list[np.ndarray]) -> list[np.ndarray]:
    sizes = np.array([image.shape[:2] for image in images], np.int32)
    views, *rest = one.lower(np.zeros((len(images), 0)), sizes)
    assert views == Views(one.views)
    each = [image for image in images for _ in range(one.views)]
    return [render(image, Program(tuple(rest)), i) for i, image in enumerate(each)]


@pytest.mark.parametrize("upside_down", [None, False, True], ids=["five", "ten", "ten upside down"])
@settings(max_examples=40, deadline=None)
@given(sides, sides, sides, sides)
def test_views_are_torchvisions_in_its_order(
    paint, upside_down: bool | None, height: int, width: int, rows: int, columns: int
) -> None:
    assume(rows <= height and columns <= width)
    images, size = [paint(height, width, 0), paint(height, width, 1)], [rows, columns]
    tensors = [torch.from_numpy(image).permute(2, 0, 1) for image in images]
    if upside_down is None:
        one, theirs = step("five_crop", size=size), [F.five_crop(x, size) for x in tensors]
    else:
        one = step("ten_crop", size=size, vertical_flip=upside_down)
        theirs = [F.ten_crop(x, size, upside_down) for x in tensors]
    for ours, view in zip(rendered(one, images), [x for views in theirs for x in views], strict=True):
        assert np.array_equal(ours, view.permute(1, 2, 0))


def test_a_view_larger_than_the_image_is_refused() -> None:
    line = "5×9 does not fit an image of 8×8; cut out less, or resize first"
    with pytest.raises(TooSmall, match=f"^{re.escape(line)}$") as error:
        step("five_crop", size=[5, 9]).lower(np.zeros((2, 0)), np.array([[9, 9], [8, 8]], np.int32))
    assert error.value.index == 1


@pytest.mark.parametrize("size", [(5, 8), (8, 5)])
def test_flip_views_are_the_image_and_its_mirror(paint, size: tuple[int, int]) -> None:
    images = [paint(*size, seed) for seed in range(3)]
    found = rendered(step("flip_views"), images)
    wanted = [view for image in images for view in (image, image[:, ::-1])]
    assert [np.array_equal(one, other) for one, other in zip(found, wanted, strict=True)] == [True] * 6


@pytest.mark.parametrize(("grid", "side"), [(2, 12), (3, 18), (2, 9), (3, 11)])
def test_tiles_reach_from_edge_to_edge_and_leave_nothing_out(paint, grid: int, side: int) -> None:
    image = paint(side, side + grid, 0)
    one = step("tiles", size=[6, 7], grid=grid)
    windows = one.lower(np.zeros((1, 0)), np.array([image.shape[:2]], np.int32))[1].start
    assert (windows[0].tolist(), windows[-1].tolist()) == ([0, 0], [side - 6, side + grid - 7])
    seen = np.zeros(image.shape[:2], int)
    for (top, left), view in zip(windows.tolist(), rendered(one, [image]), strict=True):
        assert np.array_equal(view, image[top : top + 6, left : left + 7])
        seen[top : top + 6, left : left + 7] += 1
    assert seen.min() == 1
    assert side < 6 * grid or seen.max() == 1


@pytest.mark.parametrize("grid", [0, 1, 9, 2.0, True])
def test_a_number_of_tiles_out_of_bounds_is_refused(grid: object) -> None:
    line = "tiles: grid: .*(is not from 2 to 8 tiles a side|is not a whole number)"
    with pytest.raises(ValueError, match=line):
        step("tiles", size=6, grid=grid)


def test_what_a_recipe_with_views_alone_tells() -> None:
    steps = (step("resize", size=[8, 9]), step("ten_crop", size=[5, 4]))
    assert template(steps).views == 10
    assert (sizing_point(template(steps)), output_size(template(steps))) == (1, (5, 4))
    assert not needs_sizes(steps)


def test_steps_after_views_draw_for_every_view() -> None:
    steps = step("resize", size=[8, 9]), step("five_crop", size=5), step("color_jitter", brightness=0.5)
    program = lower(steps, CounterRNG(1), 0, np.arange(3), np.zeros(3, np.int64), None)
    matrices = program.kernels[-1].arrays()["matrix"]
    assert len({matrix.tobytes() for matrix in matrices}) == 15


TWICE, EARLY = "makes views already; leave one of them out", "not all images have one size yet"
WRONG = [
    ([RESIZE, FIVE, TEN], f"train[2]: ten_crop: five_crop {TWICE}"),
    (
        [RESIZE, FIVE, "horizontal_flip", {"five_crop": {"size": 2}}],
        f"train[3]: five_crop: five_crop {TWICE}",
    ),
    ([FIVE, RESIZE], f"train[0]: five_crop: {EARLY}; put a resize or crop before it"),
    ([SHORT, TEN], f"train[1]: ten_crop: {EARLY}; put a resize or crop before it"),
    (
        [RESIZE, {"five_crop": {"size": 9}}],
        "train: five_crop: 9×9 does not fit the 8×9 that resize gives; cut out less, "
        "or change one of the two",
    ),
    (
        [RESIZE, {"five_crop": {}}],
        "train[1]: five_crop: parameter 'size' is missing; write five_crop: {size: …}",
    ),
    (
        [RESIZE, {"ten_crop": {"size": 3, "vertical_flip": 1}}],
        "train[1]: ten_crop: vertical_flip: 1 is neither true nor false",
    ),
]


@pytest.mark.parametrize(("steps", "line"), WRONG)
def test_views_out_of_place_are_refused_when_the_recipe_is_read(steps: list, line: str) -> None:
    with pytest.raises(RecipeError, match=f"^{re.escape(f'mine: {line}')}$"):
        parse({"train": [*steps, "normalize"], "eval": [RESIZE, "normalize"]}, "mine")


@pytest.mark.parametrize("steps", [[RESIZE, FIVE], [SHORT, {"center_crop": {"size": 8}}, TEN]])
def test_views_in_their_place_are_read(steps: list) -> None:
    recipe = parse({"train": [RESIZE, "normalize"], "eval": [*steps, "normalize"]}, "mine")
    assert recipe.eval[-2].views in (5, 10)
