import re

import pytest

from fastffdi.recipe.steps.base import Only
from fastffdi.recipe.steps.forms import (
    fill,
    height_width,
    interpolation,
    or_null,
    pixels,
    short_side_or_size,
    two,
)


def test_null_has_a_meaning_of_its_own() -> None:
    read = or_null(pixels, 7)
    assert (read(None), read(3)) == (7, 3)


def test_one_number_is_meant_twice() -> None:
    assert [two(value) for value in (3, [3], [3, 4], [3, 4, 5])] == [(3, 3), (3, 3), (3, 4), (3, 4, 5)]


def test_one_number_is_a_square_or_the_shorter_side() -> None:
    assert [height_width(value) for value in (3, [3], [3, 4], "imagenet")] == [
        (3, 3),
        (3, 3),
        (3, 4),
        "imagenet",
    ]
    assert [short_side_or_size(value) for value in (3, [3], [3, 3], "backbone")] == [3, 3, (3, 3), "backbone"]


def test_a_fill_of_one_value_is_a_number() -> None:
    assert [fill(value) for value in (None, 7, 7.0, [7], [7, 7, 7])] == [0, 7, 7, 7, 7]
    assert fill([1, 2.0, 255]) == (1, 2, 255)


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ([1, 2], "[1, 2] is neither a pixel value nor three"),
        ([1, 2, 256], "256 is not a pixel value between 0 and 255"),
        (0.5, "0.5 is not a whole number"),
        ("red", "'red' is not a whole number"),
        (float("inf"), "inf is not a whole number"),
    ],
)
def test_what_is_no_fill_is_refused(value: object, line: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(line)}$"):
        fill(value)


def test_interpolation_is_a_word_or_pillows_number() -> None:
    read = interpolation("nearest", "bilinear")
    assert [read(value) for value in ("nearest", 0, 2)] == ["nearest", "nearest", "bilinear"]
    for wrong in ("bicubic", 3, 9, True, False, None, ["nearest"]):
        with pytest.raises(ValueError, match=r"is not one of nearest, bilinear$"):
            read(wrong)


@pytest.mark.parametrize("value", [1, 1.0, "true", None, False])
def test_only_one_value_means_that_very_value(value: object) -> None:
    only = Only("clip", True, "so it is")
    only.check(True)
    with pytest.raises(ValueError, match=f"^clip: {value!r} is not offered, only true: so it is$"):
        only.check(value)
