"""What holds for every single step, with the parameters of its parity cases."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parity_cases import CASES

from fastffdi.recipe.kernels import Warp
from fastffdi.recipe.steps import STEPS
from fastffdi.recipe.steps.base import (
    NO_DRAWS,
    Draws,
    P,
    Range,
    Step,
    pixel_value,
    probability,
    real,
    whole,
)
from fastffdi.recipe.steps.forms import height_width

quick = settings(max_examples=10, deadline=None)
every_step = pytest.mark.parametrize("step", [case.step for case in CASES.values()], ids=CASES)
every_chance = pytest.mark.parametrize(
    "step", [case.step for case in CASES.values() if hasattr(case.step, "p")], ids=lambda step: step.name()
)


def drawn(step: Step, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers and sizes for n images that are large enough for all cases."""
    rng = np.random.default_rng(seed)
    return rng.random((n, step.draws.total)), rng.integers(350, 900, (n, 2)).astype(np.int32)


@every_step
def test_a_step_survives_being_stored(step: Step) -> None:
    ((name, parameters),) = step.to_data().items()
    assert STEPS[name].read(parameters) == step


@every_step
@quick
@given(st.integers(1, 9), st.integers(0, 2**32))
def test_the_kernels_are_those_declared_with_a_row_for_every_view(step: Step, n: int, seed: int) -> None:
    kernels = step.lower(*drawn(step, n, seed))
    assert tuple(map(type, kernels)) == tuple(step.kernels)
    rows = n * step.views
    assert all(len(value) == rows for kernel in kernels for value in kernel.arrays().values())


@every_step
@quick
@given(st.integers(2, 9), st.integers(0, 2**32))
def test_an_image_is_lowered_the_same_alone(step: Step, n: int, seed: int) -> None:
    u, size = drawn(step, n, seed)
    views = slice(step.views, 2 * step.views)
    for together, alone in zip(step.lower(u, size), step.lower(u[1:2], size[1:2]), strict=True):
        for name, value in alone.arrays().items():
            assert np.array_equal(value, together.arrays()[name][views])


@every_step
def test_what_needs_no_size_reads_none(step: Step) -> None:
    u, size = drawn(step, 5, 0)
    if not step.needs_size:
        for known, unknown in zip(step.lower(u, size), step.lower(u, None), strict=True):
            assert all(np.array_equal(a, unknown.arrays()[name]) for name, a in known.arrays().items())


@every_chance
@pytest.mark.parametrize("p", [0, 0.3, 1])
def test_a_step_is_done_with_its_probability(step: Step, p: float) -> None:
    u = np.full((100, step.draws.total), 0.5)
    u[:, 0] = [*np.arange(99) / 100, np.nextafter(1, 0)]
    (kernel,) = replace(step, p=p).lower(u, np.full((100, 2), 400, np.int32))
    assert [kernel.is_identity(i) for i in range(100)] == [i >= 100 * p for i in range(100)]


def test_draws_are_split_by_name_in_order() -> None:
    draws, u = Draws(angle=1, center=2, none=0, scale=1), np.arange(12).reshape(3, 4) / 12
    parts = draws.split(u)
    assert draws.total == 4
    assert list(parts) == ["angle", "center", "none", "scale"]
    assert np.array_equal(parts["angle"], u[:, 0])
    assert np.array_equal(parts["center"], u[:, 1:3])
    assert parts["none"].shape == (3, 0)
    assert np.array_equal(parts["scale"], u[:, 3])


def test_one_number_is_a_row_and_several_are_columns() -> None:
    assert (P.total, NO_DRAWS.total, Draws(a=0).total) == (1, 0, 0)
    assert NO_DRAWS.split(np.zeros((3, 0))) == {}
    assert P.split(np.zeros((3, 1)))["p"].shape == (3,)
    assert P.split(np.zeros((0, 1)))["p"].shape == (0,)
    assert Draws(a=2).split(np.zeros((0, 2)))["a"].shape == (0, 2)


@every_step
def test_the_numbers_of_a_step_are_all_named(step: Step) -> None:
    u = np.random.default_rng(0).random((3, step.draws.total))
    parts = step.draws.split(u)
    columns = [part[:, None] if part.ndim == 1 else part for part in parts.values()]
    assert np.array_equal(np.concatenate([u[:, :0], *columns], axis=1), u)


#: As torchvision's, but for what the steps themselves say: bilinear warps, the p of jpeg_compression.
DEFAULTS = {
    "random_crop": {"padding": (0, 0, 0, 0), "pad_if_needed": False, "fill": 0, "padding_mode": "constant"},
    "random_resized_crop": {"scale": Range(0.08, 1), "ratio": Range(3 / 4, 4 / 3)},
    "ten_crop": {"vertical_flip": False},
    "pad": {"fill": 0, "padding_mode": "constant"},
    "horizontal_flip": {"p": 0.5},
    "vertical_flip": {"p": 0.5},
    "random_rotation": {"interpolation": "bilinear", "fill": 0},
    "random_affine": {
        "translate": (0, 0),
        "scale": Range(1, 1),
        "shear": (0, 0, 0, 0),
        "interpolation": "bilinear",
        "fill": 0,
        "center": None,
    },
    "random_perspective": {"distortion_scale": 0.5, "p": 0.5, "interpolation": "bilinear", "fill": 0},
    "color_jitter": {
        "brightness": Range(1, 1),
        "contrast": Range(1, 1),
        "saturation": Range(1, 1),
        "hue": Range(0, 0),
    },
    "random_grayscale": {"p": 0.1},
    "random_invert": {"p": 0.5},
    "random_posterize": {"p": 0.5},
    "random_solarize": {"p": 0.5},
    "random_equalize": {"p": 0.5},
    "random_autocontrast": {"p": 0.5},
    "gaussian_blur": {"sigma": Range(0.1, 2)},
    "random_adjust_sharpness": {"p": 0.5},
    "jpeg_compression": {"p": 1},
    "gaussian_noise": {"mean": 0, "sigma": Range(0.1, 0.1)},
    "random_erasing": {"p": 0.5, "scale": Range(0.02, 0.33), "ratio": Range(0.3, 3.3), "value": (0, 0, 0)},
    "random_apply": {"p": 0.5},
    "random_choice": {"p": None},
    "normalize": {"mean": "backbone", "std": "backbone"},
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_defaults_are_torchvisions(name: str) -> None:
    found = {field.name: field.default for field in fields(STEPS[name])}
    assert {key: found[key] for key in DEFAULTS[name]} == DEFAULTS[name]


@pytest.mark.parametrize("name", ["random_rotation", "random_affine", "random_perspective"])
def test_a_warp_is_interpolated_and_filled_as_the_step_says(name: str) -> None:
    required = {} if name == "random_perspective" else {"degrees": 10}
    for how, fill in [("nearest", 7), ("bilinear", 255)]:
        one = STEPS[name].read({**required, "interpolation": how, "fill": fill})
        (warp,) = one.lower(*drawn(one, 2, 0))
        assert (warp.interpolation, warp.fill) == (how, fill)
        assert warp.projective == (name == "random_perspective")


POLICIES = ["auto_augment", "rand_augment", "trivial_augment_wide", "aug_mix"]


@pytest.mark.parametrize("name", POLICIES)
def test_a_policys_warps_are_interpolated_and_filled_as_it_says(name: str) -> None:
    for how, fill in [("nearest", 7), ("bilinear", 255)]:
        one = STEPS[name].read({"interpolation": how, "fill": fill})
        kernels = one.lower(*drawn(one, 2, 0))
        if name == "aug_mix":
            kernels = [kernel for branch in kernels[0].branches for kernel in branch.kernels]
        warps = [kernel for kernel in kernels if isinstance(kernel, Warp)]
        assert {(warp.interpolation, warp.fill) for warp in warps} == {(how, fill)}


@pytest.mark.parametrize("value", [True, None, "1", [1]])
@pytest.mark.parametrize("convert", [real, whole, pixel_value, probability])
def test_what_is_no_number_is_refused(convert, value: object) -> None:
    with pytest.raises(ValueError, match=r" is not a (whole )?number$"):
        convert(value)


def test_bounds_belong_to_what_is_allowed() -> None:
    assert [pixel_value(0), pixel_value(255), probability(0), probability(1)] == [0, 255, 0, 1]
    assert height_width([1, 30_000]) == (1, 30_000)
    for convert, value in [(pixel_value, 256), (pixel_value, -1), (height_width, 0), (height_width, 30_001)]:
        with pytest.raises(ValueError, match="is not"):
            convert(value)


def test_names_are_those_of_the_recipe() -> None:
    assert all(one.name() == name for name, one in STEPS.items())


def test_every_step_is_described_in_a_line() -> None:
    assert all(one.__doc__ and one.__doc__.splitlines()[0][-1] in ".:" for one in STEPS.values())
