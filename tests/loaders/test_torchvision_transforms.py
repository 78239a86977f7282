from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from fastffdi.errors import RecipeError
from fastffdi.loaders.torchvision_transforms import REFUSED, TRANSFORMS, composed, transform
from fastffdi.recipe.read import read_steps
from fastffdi.recipe.steps import STEPS
from fastffdi.recipe.steps.base import Step

END = {"normalize": {"mean": [0.5, 0.4, 0.3], "std": [0.25, 0.2, 0.3]}}

#: For steps that warp: how pixels are interpolated, what fills what is outside the image; and torchvision's.
WARPED = {"interpolation": "bilinear", "fill": 8}
WARPS = {"interpolation": v2.InterpolationMode.BILINEAR, "fill": 8}

#: Parameters for the steps that want some, and what of them is to be seen in torchvision's transform.
GIVEN: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "resize": (
        {"size": 32, "max_size": 40, "interpolation": "bicubic"},
        {"size": [32], "max_size": 40, "interpolation": v2.InterpolationMode.BICUBIC, "antialias": True},
    ),
    "center_crop": ({"size": 32}, {"size": (32, 32)}),
    "random_crop": (
        {
            "size": [32, 30],
            "padding": [1, 2, 3, 4],
            "pad_if_needed": True,
            "fill": 7,
            "padding_mode": "symmetric",
        },
        {
            "size": (32, 30),
            "padding": [1, 3, 2, 4],  # kept in torch's order
            "pad_if_needed": True,
            "fill": 7,
            "padding_mode": "symmetric",
        },
    ),
    "random_resized_crop": (
        {"size": 32, "scale": [0.5, 1], "ratio": [0.8, 1.25], "interpolation": "bicubic"},
        {
            "size": (32, 32),
            "scale": (0.5, 1),
            "ratio": (0.8, 1.25),
            "interpolation": v2.InterpolationMode.BICUBIC,
        },
    ),
    "pad": (
        {"padding": [1, 2], "fill": [9, 80, 200], "padding_mode": "edge"},
        {"padding": [1, 2, 1, 2], "fill": (9, 80, 200), "padding_mode": "edge"},
    ),
    "horizontal_flip": ({"p": 0.3}, {"p": 0.3}),
    "vertical_flip": ({"p": 0.3}, {"p": 0.3}),
    "random_rotation": (
        {"degrees": 20, **WARPED, "center": [4, 6], "fill": [9, 80, 200]},
        {"degrees": [-20, 20], **WARPS, "center": [4, 6], "fill": (9, 80, 200), "expand": False},
    ),
    "random_affine": (
        {"degrees": 5, "translate": [0.1, 0.2], "scale": [0.9, 1.1], "shear": 3, "center": [4, 6], **WARPED},
        {
            "degrees": [-5, 5],
            "translate": (0.1, 0.2),
            "scale": (0.9, 1.1),
            "shear": [-3, 3, 0, 0],
            "center": [4, 6],
            **WARPS,
        },
    ),
    "random_perspective": (
        {"distortion_scale": 0.3, "p": 0.4, **WARPED},
        {"distortion_scale": 0.3, "p": 0.4, **WARPS},
    ),
    "color_jitter": (
        {"brightness": 0.5, "contrast": 0.4, "saturation": 0.3, "hue": 0.1},
        {"brightness": (0.5, 1.5), "contrast": (0.6, 1.4), "saturation": (0.7, 1.3), "hue": (-0.1, 0.1)},
    ),
    "grayscale": ({}, {"num_output_channels": 3}),
    "random_grayscale": ({"p": 0.2}, {"p": 0.2}),
    "random_invert": ({"p": 0.2}, {"p": 0.2}),
    "random_posterize": ({"bits": 3, "p": 0.2}, {"bits": 3, "p": 0.2}),
    "random_solarize": ({"threshold": 99.5, "p": 0.2}, {"threshold": 99.5, "p": 0.2}),
    "random_equalize": ({"p": 0.2}, {"p": 0.2}),
    "random_autocontrast": ({"p": 0.2}, {"p": 0.2}),
    "gaussian_blur": ({"kernel_size": [3, 5], "sigma": 2}, {"kernel_size": [3, 5], "sigma": (2, 2)}),
    "random_adjust_sharpness": ({"sharpness_factor": 2, "p": 0.2}, {"sharpness_factor": 2, "p": 0.2}),
    "jpeg_compression": ({"quality": [30, 90]}, {"quality": (30, 90)}),
    "gaussian_noise": ({"mean": 0.1, "sigma": 0.05}, {"mean": 0.1, "sigma": 0.05, "clip": True}),
    "random_erasing": (
        {"p": 0.2, "scale": [0.1, 0.2], "ratio": [0.5, 2], "value": 9},
        {"p": 0.2, "scale": (0.1, 0.2), "ratio": (0.5, 2), "value": [9, 9, 9]},
    ),
    "auto_augment": (
        {"policy": "svhn", **WARPED},
        {"policy": v2.AutoAugmentPolicy.SVHN, **WARPS},
    ),
    "rand_augment": (
        {"num_ops": 3, "magnitude": 5, "num_magnitude_bins": 21, **WARPED},
        {"num_ops": 3, "magnitude": 5, "num_magnitude_bins": 21, **WARPS},
    ),
    "trivial_augment_wide": (
        {"num_magnitude_bins": 9, **WARPED},
        {"num_magnitude_bins": 9, **WARPS},
    ),
    "aug_mix": (
        {"severity": 5, "mixture_width": 2, "chain_depth": 2, "alpha": 0.5, "all_ops": False, **WARPED},
        {"severity": 5, "mixture_width": 2, "chain_depth": 2, "alpha": 0.5, "all_ops": False, **WARPS},
    ),
    "random_apply": ({"transforms": ["grayscale"], "p": 0.3}, {"p": 0.3}),
    "random_choice": (
        {"transforms": ["grayscale", {"pad": {"padding": 1}}], "p": [1, 3]},
        {"p": [0.25, 0.75]},
    ),
    "random_order": ({"transforms": ["grayscale", "horizontal_flip"]}, {}),
    "normalize": (END["normalize"], {"mean": [0.5, 0.4, 0.3], "std": [0.25, 0.2, 0.3]}),
}


def steps(*entries: Any) -> tuple[Step, ...]:
    return read_steps(list(entries), "test")


def image(*size: int) -> Image.Image:
    levels = np.random.default_rng(3).integers(0, 256, (*size, 3))
    return Image.fromarray(levels.astype(np.uint8))


def test_every_step_has_a_transform_or_a_reason_for_none():
    assert set(TRANSFORMS) | set(REFUSED) == set(STEPS.values())
    assert not set(TRANSFORMS) & set(REFUSED)
    assert set(GIVEN) == {step.name() for step in TRANSFORMS}


@pytest.mark.parametrize("name", GIVEN)
def test_parameters_reach_torchvision(name: str):
    parameters, seen = GIVEN[name]
    made = transform(steps({name: parameters})[0])
    assert type(made).__module__.startswith("torchvision.transforms")
    for attribute, value in seen.items():
        found = getattr(made, attribute)
        assert (list(found) == list(value)) if isinstance(value, list | tuple) else found == value


@pytest.mark.parametrize("name", sorted(set(GIVEN) - {"normalize"}))
def test_every_transform_gives_a_normalised_image(name: str):
    out = composed(steps({name: GIVEN[name][0]}, {"resize": {"size": [32, 30]}}, END))(image(40, 50))
    assert out.dtype == torch.float32
    assert out.shape == (3, 32, 30)
    assert -2 <= out.min() < out.max() <= 3


def test_steps_inside_a_step_are_all_there_in_their_order():
    inside = [
        {"pad": {"padding": 1}},
        "grayscale",
        {"random_apply": {"transforms": ["horizontal_flip"], "p": 1}},
    ]
    kinds = [v2.Pad, v2.Grayscale, v2.RandomApply]
    for name in ("random_apply", "random_choice", "random_order"):
        made = transform(steps({name: {"transforms": inside}})[0])
        assert list(map(type, made.transforms)) == kinds
        assert type(made.transforms[2].transforms[0]) is v2.RandomHorizontalFlip


def test_a_step_on_tensors_among_others_inside_a_step_is_given_a_tensor():
    inside = ["grayscale", {"gaussian_noise": {"sigma": 0.1}}]
    made = composed(steps({"random_order": {"transforms": inside}}, END))
    assert [type(one).__name__ for one in made.transforms[:2]] == ["PILToTensor", "RandomOrder"]
    assert made(image(20, 30)).shape == (3, 20, 30)


def test_steps_after_one_on_tensors_and_normalize_see_the_same_levels():
    still = {"gaussian_noise": {"sigma": 0.0}}
    photo = image(20, 30)
    rest = {"random_posterize": {"bits": 3, "p": 1}}, {"pad": {"padding": 3, "padding_mode": "reflect"}}, END
    torch.testing.assert_close(
        composed(steps(still, *rest))(photo), composed(steps(*rest))(photo), rtol=0, atol=0.05
    )


def test_erasing_fills_with_levels_even_inside_another_step():
    erase = {"random_erasing": {"p": 1, "scale": [0.5, 0.5], "ratio": [1, 1], "value": [255, 0, 51]}}
    out = composed(steps({"random_apply": {"transforms": [erase], "p": 1}}, END))(Image.new("RGB", (30, 30)))
    filled = out[:, (out[0] == 2).nonzero()[0, 0], (out[0] == 2).nonzero()[0, 1]]
    torch.testing.assert_close(filled, torch.tensor([2.0, -2.0, -1 / 3]))


def test_compression_falls_to_its_share_of_images():
    (one,) = steps({"jpeg_compression": {"quality": 50, "p": 0.4}})
    made = transform(one)
    assert isinstance(made, v2.RandomApply)
    assert made.p == 0.4


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"ten_crop": {"size": 8}}, "ten_crop: an image's several views have no place"),
        ({"python": "module:function"}, "python: your function is called on whole batches"),
        ({"gaussian_noise": {"sigma": [0, 0.1]}}, "gaussian_noise with a range"),
    ],
)
def test_what_the_baseline_is_not_to_have_is_refused_with_the_reason(entry: Any, reason: str):
    with pytest.raises(
        RecipeError, match=f"--loader torchvision cannot express {reason}.*take another loader"
    ):
        composed(steps({"resize": {"size": [16, 16]}}, entry, END))


def test_a_step_without_a_transform_is_refused_by_name():
    @dataclass(frozen=True)
    class Swirl(Step):
        pass

    with pytest.raises(RecipeError, match="--loader torchvision cannot express swirl"):
        composed((Swirl(), *steps(END)))


@pytest.mark.parametrize("name", ["random_rotation", "random_affine"])
@pytest.mark.parametrize(("given", "center"), [({}, None), ({"center": [3, 4]}, [3, 4])])
def test_a_warp_is_about_the_centre_or_a_point(name: str, given: dict, center: list[int] | None) -> None:
    assert transform(STEPS[name].read({"degrees": 9, **given})).center == center
