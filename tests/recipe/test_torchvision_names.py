"""Steps take torchvision's parameters: all of them, in all forms, but for the exceptions that are listed."""

import dataclasses
import inspect
import re
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from recipes import step
from torchvision.transforms import v2

from fastffdi.recipe.aliases import INSTEAD, class_name
from fastffdi.recipe.steps import STEPS
from fastffdi.recipe.steps.base import Step

README = Path(__file__).parents[2] / "pipelines" / "README.md"

#: Parameters with another default: what ours is.
DEFAULTS = {
    ("random_rotation", "interpolation"): "bilinear",
    ("random_affine", "interpolation"): "bilinear",
    ("grayscale", "num_output_channels"): 3,
    ("normalize", "mean"): "backbone",
    ("normalize", "std"): "backbone",
}

#: Values of torchvision's that are refused, and what the message says is allowed.
REFUSED = {
    ("resize", "interpolation"): ("nearest", "bilinear, bicubic"),
    ("resize", "antialias"): (False, "only true"),
    ("random_resized_crop", "interpolation"): ("nearest-exact", "bilinear, bicubic"),
    ("random_resized_crop", "antialias"): (False, "only true"),
    ("random_rotation", "interpolation"): ("bicubic", "nearest, bilinear"),
    ("random_rotation", "expand"): (True, "only false"),
    ("random_affine", "interpolation"): ("bicubic", "nearest, bilinear"),
    ("random_perspective", "interpolation"): ("bicubic", "nearest, bilinear"),
    ("grayscale", "num_output_channels"): (1, "only 3"),
    ("gaussian_noise", "clip"): (False, "only true"),
    ("random_erasing", "value"): ("random", "one pixel value or three"),
    ("random_erasing", "inplace"): (True, "only false"),
    ("auto_augment", "interpolation"): ("bicubic", "nearest, bilinear"),
    ("rand_augment", "interpolation"): ("bicubic", "nearest, bilinear"),
    ("trivial_augment_wide", "interpolation"): ("bicubic", "nearest, bilinear"),
    ("aug_mix", "interpolation"): ("bicubic", "nearest, bilinear"),
    ("random_order", "transforms"): ((step("grayscale"),) * 5, "at most 4"),
    ("normalize", "inplace"): (True, "only false"),
}

#: torchvision's transforms that have no step.
ABSENT = {
    "ElasticTransform", "LinearTransformation", "RandomChannelPermutation", "RandomPhotometricDistort",
    "RandomResize", "RandomShortestSize", "RandomZoomOut", "ScaleJitter",
}  # fmt: skip

#: For boxes, masks, key points and videos, which no recipe has.
ELSEWHERE = {
    "ClampBoundingBoxes", "ClampKeyPoints", "ConvertBoundingBoxFormat", "RandomIoUCrop",
    "SanitizeBoundingBoxes", "SanitizeKeyPoints", "SetClampingMode", "UniformTemporalSubsample",
}  # fmt: skip

#: What a step wants at least, in a form that torchvision takes too.
NEEDED: dict[str, dict[str, Any]] = {
    **{name: {"size": 9} for name in ("resize", "center_crop", "random_crop", "random_resized_crop")},
    **{name: {"size": 9} for name in ("five_crop", "ten_crop")},
    "pad": {"padding": 1},
    "random_rotation": {"degrees": 9},
    "random_affine": {"degrees": 9},
    "random_posterize": {"bits": 3},
    "random_solarize": {"threshold": 9},
    "gaussian_blur": {"kernel_size": 3},
    "random_adjust_sharpness": {"sharpness_factor": 2},
    "jpeg_compression": {"quality": 50},
    **{
        name: {"transforms": [step("grayscale")]}
        for name in ("random_apply", "random_choice", "random_order")
    },
}

NAMED = [name for name in STEPS if class_name(name)]


def theirs(name: str) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(getattr(v2, class_name(name))).parameters)


def plain(value: Any) -> Any:
    """A default of torchvision's as a recipe writes it."""
    if isinstance(value, Enum):
        return value.value
    return list(value) if isinstance(value, tuple) else value


def taken(name: str, **parameters: Any) -> Step:
    return step(name, **{**NEEDED.get(name, {}), **parameters})


@pytest.mark.parametrize("name", NAMED)
def test_every_parameter_has_torchvisions_default(name: str) -> None:
    for parameter, described in theirs(name).items():
        if (name, parameter) in DEFAULTS:
            assert taken(name) == taken(name, **{parameter: DEFAULTS[name, parameter]})
        elif described.default is inspect.Parameter.empty:
            assert parameter in NEEDED[name]
            rest = {key: value for key, value in NEEDED[name].items() if key != parameter}
            with pytest.raises(ValueError, match=f"'{parameter}' is missing"):
                step(name, **rest)
        else:
            assert taken(name, **{parameter: plain(described.default)}) == taken(name)


@pytest.mark.parametrize(("name", "parameter"), DEFAULTS)
def test_where_the_default_is_another_torchvisions_is_none_of_ours(name: str, parameter: str) -> None:
    default = theirs(name)[parameter].default
    if default is inspect.Parameter.empty:
        return
    try:
        assert taken(name, **{parameter: default}) != taken(name)
    except ValueError:
        assert (name, parameter) in REFUSED


def test_ours_have_no_parameters_beside_torchvisions_but_one() -> None:
    ours = {(name, field.name) for name in NAMED for field in dataclasses.fields(STEPS[name])}
    assert ours - {(name, parameter) for name in NAMED for parameter in theirs(name)} == {
        ("jpeg_compression", "p")
    }


@pytest.mark.parametrize(("name", "parameter"), REFUSED)
def test_what_is_refused_says_what_is_allowed(name: str, parameter: str) -> None:
    value, allowed = REFUSED[name, parameter]
    assert parameter in theirs(name)
    with pytest.raises(ValueError, match=f"^{name}: {parameter}: .*{re.escape(allowed)}"):
        taken(name, **{parameter: value})


#: Parameters in a form that torchvision takes, and what they mean.
FORMS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("resize", {"size": [9]}, {"size": 9}),
    ("resize", {"size": 9, "interpolation": 3}, {"size": 9, "interpolation": "bicubic"}),
    ("center_crop", {"size": [9]}, {"size": [9, 9]}),
    ("random_crop", {"padding": [3]}, {"padding": [3, 3, 3, 3]}),
    ("random_crop", {"padding": 3, "fill": [7.0, 7, 7]}, {"padding": [3, 3], "fill": 7}),
    ("random_resized_crop", {"size": [9]}, {"size": 9}),
    ("five_crop", {"size": [9]}, {"size": [9, 9]}),
    ("ten_crop", {"size": [9]}, {"size": [9, 9]}),
    ("pad", {"padding": [3], "fill": [7]}, {"padding": 3, "fill": 7}),
    ("pad", {"fill": None}, {"fill": 0}),
    ("random_rotation", {"degrees": 20}, {"degrees": [-20, 20]}),
    ("random_rotation", {"interpolation": 0}, {"interpolation": "nearest"}),
    ("random_affine", {"shear": 5}, {"shear": [-5, 5]}),
    ("random_affine", {"shear": [-5, 5]}, {"shear": [-5, 5, 0, 0]}),
    ("random_affine", {"translate": None, "scale": None}, {"translate": [0, 0], "scale": [1, 1]}),
    ("color_jitter", {"brightness": 0.25, "hue": 0.5}, {"brightness": [0.75, 1.25], "hue": [-0.5, 0.5]}),
    ("color_jitter", {"contrast": 1.5, "saturation": 0}, {"contrast": [0, 2.5], "saturation": [1, 1]}),
    ("gaussian_blur", {"kernel_size": [5]}, {"kernel_size": [5, 5]}),
    ("gaussian_blur", {"sigma": 2}, {"sigma": [2, 2]}),
    ("gaussian_blur", {"sigma": [2]}, {"sigma": [2, 2]}),
    ("jpeg_compression", {"quality": 50}, {"quality": [50, 50]}),
    ("random_erasing", {"value": 7.0}, {"value": [7, 7, 7]}),
    ("random_erasing", {"value": [7]}, {"value": 7}),
    (
        "rand_augment",
        {"fill": [7, 8, 9], "interpolation": 2},
        {"fill": (7, 8, 9), "interpolation": "bilinear"},
    ),
    ("normalize", {"mean": [0.5], "std": [0.25]}, {"mean": [0.5] * 3, "std": [0.25] * 3}),
]


@pytest.mark.parametrize(("name", "form", "meaning"), FORMS, ids=lambda value: str(value)[:40])
def test_torchvisions_forms_of_a_value_are_taken(name: str, form: dict, meaning: dict) -> None:
    assert taken(name, **form) == taken(name, **meaning)
    getattr(v2, class_name(name))(**{**NEEDED.get(name, {}), **form})


def test_every_transform_is_a_step_or_listed_as_none() -> None:
    known = {
        name for name, kind in vars(v2).items() if inspect.isclass(kind) and issubclass(kind, v2.Transform)
    }
    ours = {class_name(name) for name in NAMED}
    assert not ours & (ABSENT | ELSEWHERE | set(INSTEAD))
    assert known - {"Transform"} - ours - set(INSTEAD) == ABSENT | ELSEWHERE


def test_the_exceptions_are_those_that_the_page_lists() -> None:
    _, section = README.read_text(encoding="utf-8").split("\n## Where steps differ from torchvision's\n")
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \|", section.split("\n## ")[0], re.MULTILINE)
    assert sorted(rows) == sorted({*DEFAULTS, *REFUSED})
    absent = re.search(r"^No step: (.*?)\.$", section, re.MULTILINE | re.DOTALL)
    assert absent is not None
    assert set(re.findall(r"`(\w+)`", absent[1])) == ABSENT
