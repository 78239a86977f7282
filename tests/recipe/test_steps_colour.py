import colorsys
import itertools
import math
import re

import numpy as np
import pytest
from recipes import step

from fastffdi.recipe.kernels import Matrix, Normalize
from fastffdi.recipe.steps.base import Range

SIZE = np.zeros((1, 2), np.int32)


def jittered(colour: list[float], **fixed: float) -> list[float]:
    """A colour under color_jitter with exactly these factors."""
    one = step("color_jitter", **{name: [value, value] for name, value in fixed.items()})
    (kernel,) = one.lower(np.full((1, 4), 0.5), SIZE)
    assert isinstance(kernel, Matrix)
    return list(kernel.matrix[0] @ [*colour, 1])


def hue_of(colour: list[float]) -> float:
    return colorsys.rgb_to_hsv(*np.clip(colour, 0, 255) / 255)[0]


WRONG = [
    ("random_grayscale", {"p": 2}, "random_grayscale: p: 2 is not a probability between 0 and 1"),
    ("random_grayscale", {"q": 1}, "random_grayscale: unknown parameter 'q'; allowed: p"),
    ("color_jitter", {"hue": 0.6}, "color_jitter: hue: 0.6 does not give a range within -0.5 … 0.5"),
    (
        "color_jitter",
        {"contrast": -1},
        "color_jitter: contrast: -1 is negative; give a number of at least 0, or [low, high]",
    ),
    (
        "color_jitter",
        {"brightnes": 1},
        "color_jitter: unknown parameter 'brightnes', did you mean 'brightness'?",
    ),
    ("color_jitter", {"hue": "red"}, "color_jitter: hue: 'red' is not a number"),
    (
        "normalize",
        {"mean": [0.5, 0.5]},
        "normalize: mean: [0.5, 0.5] is neither three numbers nor one of backbone, imagenet",
    ),
    ("normalize", {"mean": [0, "a", 0]}, "normalize: mean: 'a' is not a number"),
    ("normalize", {"std": [1, 0, 1]}, "normalize: std: [1, 0, 1] are to divide by: each must be above 0"),
]


@pytest.mark.parametrize(("name", "parameters", "line"), WRONG)
def test_wrong_parameters_are_refused_in_one_line(name: str, parameters: dict, line: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(line)}$"):
        step(name, **parameters)


def test_a_factor_spans_around_one_and_ends_at_zero() -> None:
    one = step("color_jitter", brightness=0.25, contrast=2, hue=0.1)
    assert (one.brightness, one.contrast) == (Range(0.75, 1.25), Range(0, 3))
    assert (one.saturation, one.hue) == (Range(1, 1), Range(-0.1, 0.1))


def test_neutral_factors_change_nothing() -> None:
    (kernel,) = step("color_jitter").lower(np.random.default_rng(0).random((5, 4)), np.zeros((5, 2)))
    assert np.allclose(kernel.matrix, np.eye(3, 4), atol=1e-6)
    assert kernel.matrix.dtype == np.float32


def test_each_factor_has_its_own_number() -> None:
    one = step("color_jitter", brightness=0.5, contrast=0.5, saturation=0.5, hue=0.5)
    u = np.full((5, 4), 0.5)
    u[np.arange(4), np.arange(4)] = 0.8
    (kernel,) = one.lower(u, np.zeros((5, 2)))
    assert len({matrix.tobytes() for matrix in kernel.matrix}) == 5


def test_brightness_multiplies() -> None:
    assert jittered([10, 100, 200], brightness=1.5) == pytest.approx([15, 150, 300], abs=1e-3)


def test_contrast_is_about_mid_grey() -> None:
    assert jittered([28, 128, 228], contrast=0.5) == pytest.approx([78, 128, 178], abs=1e-3)


def test_contrast_comes_before_brightness() -> None:
    assert jittered([28, 128, 228], contrast=0.5, brightness=2) == pytest.approx([156, 256, 356], abs=1e-3)


def test_no_saturation_leaves_the_luma() -> None:
    luma = 0.299 * 10 + 0.587 * 100 + 0.114 * 200
    assert jittered([10, 100, 200], saturation=0) == pytest.approx([luma] * 3, abs=1e-3)


def test_half_saturation_is_half_way_to_the_luma() -> None:
    luma = 0.299 * 10 + 0.587 * 100 + 0.114 * 200
    halfway = [(channel + luma) / 2 for channel in (10, 100, 200)]
    assert jittered([10, 100, 200], saturation=0.5) == pytest.approx(halfway, abs=1e-3)


@pytest.mark.parametrize("hue", [-0.5, -0.2, 0.1, 0.5])
def test_grey_stays_grey_under_hue_and_saturation(hue: float) -> None:
    assert jittered([77, 77, 77], hue=hue, saturation=1.7) == pytest.approx([77] * 3, abs=1e-2)


@pytest.mark.parametrize(("colour", "towards"), [([255, 0, 0], 1), ([0, 255, 0], 2), ([0, 0, 255], 0)])
def test_a_third_of_the_circle_takes_red_to_green_to_blue_to_red(colour: list[float], towards: int) -> None:
    assert int(np.argmax(jittered(colour, hue=1 / 3))) == towards


@pytest.mark.parametrize("shift", [-0.1, 0.1])
@pytest.mark.parametrize("colour", [[200, 80, 60], [60, 180, 90], [90, 70, 210]])
def test_hue_turns_as_in_hsv(colour: list[float], shift: float) -> None:
    turned = (hue_of(jittered(colour, hue=shift)) - hue_of(colour) + 0.5) % 1 - 0.5
    assert turned == pytest.approx(shift, abs=0.05)


def test_half_a_circle_twice_is_no_change() -> None:
    assert jittered(jittered([10, 100, 200], hue=0.5), hue=0.5) == pytest.approx([10, 100, 200], abs=1e-2)


def by_hand(
    colour: list[float], brightness: float, contrast: float, saturation: float, hue: float
) -> list[float]:
    """A colour's jitter in the published coefficients of YIQ, whose plane of colours turns clockwise."""
    r, g, b = (brightness * (128 + contrast * (value - 128)) for value in colour)
    y = 0.2990 * r + 0.5870 * g + 0.1140 * b
    i = 0.5957 * r - 0.2745 * g - 0.3213 * b
    q = 0.2115 * r - 0.5226 * g + 0.3111 * b
    cosine, sine = math.cos(math.tau * hue), math.sin(math.tau * hue)
    i, q = saturation * (i * cosine + q * sine), saturation * (q * cosine - i * sine)
    return [y + 0.9563 * i + 0.6210 * q, y - 0.2721 * i - 0.6474 * q, y - 1.1070 * i + 1.7046 * q]


COLOURS = [list(colour) for colour in itertools.product([0, 90, 255], repeat=3)]


@pytest.mark.parametrize("hue", [-0.5, -0.3, -0.1, 0, 0.05, 0.25, 0.4])
@pytest.mark.parametrize(("brightness", "contrast"), [(1, 1), (1.5, 1), (1, 0.4), (0.6, 1.8)])
@pytest.mark.parametrize("saturation", [0, 0.7, 1, 1.5])
def test_every_jitter_is_its_formula(
    brightness: float, contrast: float, saturation: float, hue: float
) -> None:
    factors = {"brightness": brightness, "contrast": contrast, "saturation": saturation, "hue": hue}
    for colour in COLOURS:
        assert jittered(colour, **factors) == pytest.approx(by_hand(colour, **factors), abs=0.2)


def test_the_numbers_of_a_jitter_are_brightness_contrast_saturation_and_hue() -> None:
    one = step("color_jitter", brightness=0.5, contrast=0.4, saturation=0.3, hue=0.2)
    u = np.array([[0.1, 0.25, 0.75, 0.9], [0.9, 0.5, 0.5, 0.25]])
    (kernel,) = one.lower(u, np.zeros((2, 2)))
    drawn = [(0.6, 0.8, 1.15, 0.16), (1.4, 1, 1, -0.1)]
    for matrix, factors in zip(kernel.matrix, drawn, strict=True):
        for colour in COLOURS:
            assert list(matrix @ [*colour, 1]) == pytest.approx(by_hand(colour, *factors), abs=0.2)


def test_grey_is_the_luma_in_all_channels() -> None:
    (kernel,) = step("grayscale").lower(np.zeros((2, 0)), SIZE)
    assert kernel.matrix.shape == (2, 3, 4)
    assert np.allclose(
        kernel.matrix[1] @ [10, 100, 200, 1], jittered([10, 100, 200], saturation=0), atol=1e-3
    )
    assert np.allclose(kernel.matrix[0] @ [255, 255, 255, 1], 255)


def test_an_image_is_grey_below_its_probability() -> None:
    (kernel,) = step("random_grayscale", p=0.3).lower(np.array([[0.0], [0.29], [0.3]]), SIZE)
    assert [kernel.is_identity(i) for i in range(3)] == [False, False, True]
    assert kernel.matrix.dtype == np.float32


def test_normalize_carries_mean_and_std() -> None:
    (kernel,) = step("normalize", mean=[0.1, 0.2, 0.3], std=[1, 2, 3]).lower(np.zeros((4, 0)), SIZE)
    assert kernel == Normalize((0.1, 0.2, 0.3), (1, 2, 3))


def test_normalize_has_to_be_resolved() -> None:
    with pytest.raises(ValueError, match=r"^mean 'backbone' or std 'backbone' has not been resolved$"):
        step("normalize").lower(np.zeros((4, 0)), SIZE)
    for half in ({"mean": [0.1, 0.2, 0.3]}, {"std": [1, 2, 3]}):
        with pytest.raises(ValueError, match=r"has not been resolved$"):
            step("normalize", **half).lower(np.zeros((4, 0)), SIZE)
