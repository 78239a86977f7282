import math
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from recipes import step
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F
from torchvision.transforms.v2.functional._geometry import _get_inverse_affine_matrix

from fastffdi.recipe.kernels import Kernel
from fastffdi.recipe.program import Program
from fastffdi.recipe.steps import STEPS
from fastffdi.recipe.steps.base import Range, Step
from fastffdi.recipe.steps.warps import affine, perspective, rotation
from fastffdi.render.cpu.renderer import render

quick = settings(max_examples=60, deadline=None)
BELOW_ONE = np.nextafter(1, 0)


def lowered(one: Step, u: list, size: tuple[int, int]) -> Kernel:
    """The kernel for as many images of one size as u has rows."""
    numbers = np.array(u, np.float64).reshape(len(u), -1)
    (kernel,) = one.lower(numbers, np.tile(np.array(size, np.int32), (len(numbers), 1)))
    return kernel


def as_tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)


def mapped(matrix: np.ndarray, point: list[float]) -> list[float]:
    x, y, w = matrix @ [*point, 1]
    return [x / w, y / w]


NEGATIVE = "is negative; give a number of at least 0, or [low, high]"
WRONG = [
    (
        "random_rotation",
        {"degrees": -5},
        "random_rotation: degrees: -5 is negative; give a number of at least 0, or [low, high]",
    ),
    (
        "random_rotation",
        {"degrees": 5, "interpolation": "bicubic"},
        "random_rotation: interpolation: 'bicubic' is not one of nearest, bilinear",
    ),
    (
        "random_affine",
        {"degrees": 5, "translate": 0.1},
        "random_affine: translate: 0.1 is not [x, y], fractions of width and height",
    ),
    (
        "random_affine",
        {"degrees": 5, "translate": [0, 2]},
        "random_affine: translate: 2 is not between 0 and 1",
    ),
    ("random_affine", {"degrees": 5, "scale": 2}, "random_affine: scale: 2 is not [low, high]"),
    (
        "random_affine",
        {"degrees": 5, "scale": [0, 2]},
        "random_affine: scale: [0, 2] does not give a range within 0.01 … 100",
    ),
    ("random_affine", {"degrees": 5, "shear": -3}, f"random_affine: shear: -3 {NEGATIVE}"),
    (
        "random_affine",
        {"degrees": 5, "shear": [0, 5, 0, 90]},
        "random_affine: shear: [0, 90] does not give a range within -89 … 89",
    ),
    (
        "random_affine",
        {"degrees": 5, "shear": [3]},
        "random_affine: shear: [3] is not [low, high]",
    ),
    (
        "random_affine",
        {"degrees": 5, "center": 3},
        "random_affine: center: 3 is neither [x, y] in pixels nor null for the middle",
    ),
    (
        "random_perspective",
        {"distortion_scale": 1.5},
        "random_perspective: distortion_scale: 1.5 is not between 0 and 1",
    ),
]


@pytest.mark.parametrize(("name", "parameters", "line"), WRONG)
def test_wrong_parameters_are_refused_in_one_line(name: str, parameters: dict, line: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(line)}$"):
        STEPS[name].read(parameters)


@pytest.mark.parametrize("value", [10**400, -(10**400), math.inf])
def test_numbers_beyond_floats_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"^random_rotation: degrees: .* is not a number$"):
        step("random_rotation", degrees=value)


def test_one_number_spans_both_directions() -> None:
    assert step("random_rotation", degrees=30).degrees == Range(-30, 30)
    assert step("random_rotation", degrees=[5, 10]).degrees == Range(5, 10)


def test_a_quarter_turn_is_counter_clockwise() -> None:
    matrix = rotation(np.array([90.0]), np.array([[5, 5]]))[0]
    assert np.allclose(matrix @ [0, 0, 1], [4, 0, 1])  # top left shows what was top right
    assert np.allclose(matrix @ [2, 2, 1], [2, 2, 1])  # the middle stays


@pytest.mark.parametrize(("degrees", "turns"), [(90, 1), (180, 2), (270, 3)])
def test_quarter_turns_of_a_square_are_exact(degrees: int, turns: int, paint) -> None:
    image = paint(21, 21, 0)
    kernel = lowered(step("random_rotation", degrees=[degrees, degrees]), [[0.5]], (21, 21))
    assert np.array_equal(render(image, Program((kernel,)), 0), np.rot90(image, turns))


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize(("degrees", "size"), [(17, (60, 80)), (-123, (51, 40)), (3, (7, 90))])
def test_rotation_is_torchvisions(interpolation: str, degrees: int, size: tuple[int, int], paint) -> None:
    one = step("random_rotation", degrees=[degrees, degrees], interpolation=interpolation, fill=100)
    image = paint(*size, 3)
    ours = render(image, Program((lowered(one, [[0.5]], size),)), 0).astype(int)
    mode = v2.InterpolationMode(interpolation)
    theirs = F.rotate(as_tensor(image), degrees, mode, fill=[100.0] * 3).permute(1, 2, 0).numpy()
    inside = F.rotate(torch.ones(1, *size), degrees, mode)[0].numpy() == 1
    assert np.abs(ours - theirs)[inside].mean() < 0.5
    assert (np.abs(ours - theirs)[inside] <= 3).mean() > 0.99
    assert (ours[F.rotate(torch.ones(1, *size), degrees, mode)[0].numpy() == 0] == 100).mean() > 0.98


@quick
@given(st.floats(-360, 360), st.floats(0.1, 5), *[st.floats(-80, 80)] * 2, *[st.integers(-50, 50)] * 4)
def test_affine_matrices_are_torchvisions(
    angle: float, scale: float, shear_x: float, shear_y: float, x: int, y: int, cx: int, cy: int
) -> None:
    size, shear = np.array([[31, 48]]), np.array([[shear_x, shear_y]])
    ours = affine(size, np.array([angle]), np.array([[x, y]]), np.array([scale]), shear, (cx, cy))[0]
    # torchvision counts from the middle of the image.
    theirs = _get_inverse_affine_matrix([cx - 24, cy - 15.5], angle, [x, y], scale, [shear_x, shear_y])
    from_middle = np.array([[1, 0, 23.5], [0, 1, 15], [0, 0, 1]])
    expected = from_middle @ [theirs[:3], theirs[3:], [0, 0, 1]] @ np.linalg.inv(from_middle)
    assert np.allclose(ours, expected, rtol=1e-9, atol=1e-6)


def test_an_affine_that_does_nothing_is_the_identity() -> None:
    assert np.array_equal(affine(np.array([[5, 8], [30, 2]])), [np.eye(3)] * 2)


def test_a_shift_is_whole_pixels_up_to_its_share_of_each_side() -> None:
    one = step("random_affine", degrees=0, translate=[0.1, 0.5])
    u = np.full((3, 6), 0.5)
    u[0, 1:3], u[2, 1:3] = 0, BELOW_ONE
    kernel = lowered(one, list(u), (20, 47))
    assert kernel.matrix[:, :2, 2].tolist() == [[5, 10], [0, 0], [-5, -10]]


def test_scale_and_shear_reach_their_ends() -> None:
    one = step("random_affine", degrees=0, scale=[0.5, 2], shear=[-45, 45, 10, 10], center=[0, 0])
    u = np.full((2, 6), 0.5)
    u[:, 3] = u[:, 4] = 0, BELOW_ONE
    first, last = np.linalg.inv(lowered(one, list(u), (9, 9)).matrix[:, :2, :2])
    assert np.linalg.det(first) == pytest.approx(0.25)
    assert np.linalg.det(last) == pytest.approx(4)
    assert (first[0, 1], last[0, 1]) == pytest.approx((0.5, -2))


def test_affine_parameters_are_drawn_as_in_torchvision() -> None:
    parameters = {"degrees": [5, 30], "translate": [0.2, 0.1], "scale": [0.8, 1.1], "shear": [-5, 9, 2, 20]}
    one, size = step("random_affine", **parameters), (60, 90)
    ours = lowered(one, list(np.random.default_rng(0).random((4000, 6))), size).matrix
    theirs, image = v2.RandomAffine(**parameters), [torch.zeros(1, *size)]
    drawn = [SimpleNamespace(**theirs.make_params(image)) for _ in range(1000)]
    expected = affine(
        np.tile([size], (1000, 1)),
        np.array([d.angle for d in drawn]),
        np.array([d.translate for d in drawn]),
        np.array([d.scale for d in drawn]),
        np.array([d.shear for d in drawn]),
    )
    assert np.allclose(ours.mean(0)[:2, :2], expected.mean(0)[:2, :2], atol=0.03)
    assert np.allclose(ours.std(0)[:2], expected.std(0)[:2], rtol=0.15)


@quick
@given(st.integers(2, 300), st.integers(2, 300), st.lists(st.floats(0, BELOW_ONE), min_size=8, max_size=8))
def test_a_tilt_takes_the_corners_where_they_are_drawn(height: int, width: int, u: list[float]) -> None:
    one = step("random_perspective", distortion_scale=0.4, p=1)
    (matrix,) = lowered(one, [[0, *u]], (height, width)).matrix
    reach = [int(0.4 * (width // 2)), int(0.4 * (height // 2))]
    corners = [[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]]
    for corner, share in zip(corners, np.array(u).reshape(4, 2), strict=True):
        steps = [int(v * (r + 1)) for v, r in zip(share, reach, strict=True)]
        # Whole places from the least to the greatest, on either side.
        moved = [s if c == 0 else c - r + s for c, r, s in zip(corner, reach, steps, strict=True)]
        back = mapped(matrix, [moved[0] - 0.5, moved[1] - 0.5])
        assert back == pytest.approx([corner[0] - 0.5, corner[1] - 0.5], abs=1e-6)


def test_a_tilt_is_torchvisions() -> None:
    corners = [[4, 9], [60, 2], [70, 38], [11, 44]]
    whole = [[0, 0], [79, 0], [79, 49], [0, 49]]
    theirs = [*v2._geometry._get_perspective_coeffs(whole, corners), 1]
    (matrix,) = perspective(np.array([corners]), np.array([[50, 80]]))
    for x, y in [(0, 0), (30, 20), (79, 49)]:
        expected = mapped(np.reshape(theirs, (3, 3)), [x + 0.5, y + 0.5])
        assert mapped(matrix, [x, y]) == pytest.approx([expected[0] - 0.5, expected[1] - 0.5], abs=1e-3)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1)])
def test_a_line_of_pixels_cannot_be_tilted(size: tuple[int, int]) -> None:
    kernel = lowered(step("random_perspective", distortion_scale=1, p=1), [[0.5] * 9], size)
    assert np.array_equal(kernel.matrix[0], np.eye(3))


def test_corners_that_fall_together_leave_the_image() -> None:
    u = [[0, BELOW_ONE, 0, 0, 0, *[0.5] * 4], [0, 0, 0, BELOW_ONE, 0, 0.5, 0.5, 0.5, 0.5]]
    kernel = lowered(step("random_perspective", distortion_scale=1, p=1), u, (41, 41))
    assert np.array_equal(kernel.matrix[0], np.eye(3))
    assert not np.array_equal(kernel.matrix[1], np.eye(3))


@example(24, 20, 699)  # the horizon goes through the centre of a pixel
@quick
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32))
def test_tilts_are_finite_whatever_is_drawn(height: int, width: int, seed: int) -> None:
    u = np.random.default_rng(seed).random((50, 9))
    one = step("random_perspective", distortion_scale=1, p=1, fill=7)
    kernel = lowered(one, list(u), (height, width))
    assert np.isfinite(kernel.matrix).all()
    image = np.full((height, width, 3), 7, np.uint8)
    assert np.array_equal(render(image, Program((kernel,)), 0), image)
